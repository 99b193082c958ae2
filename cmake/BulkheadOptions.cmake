# Warnings, hardening and sanitizers, as one interface target every target of ours links.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")  # -O3 gains nothing here and takes longer to build
set(BULKHEAD_SANITIZER "" CACHE STRING "empty, address (with undefined), thread, or fuzzer (address, undefined and libFuzzer's coverage)")

add_library(bulkhead_options INTERFACE)
target_include_directories(bulkhead_options INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/generated)
target_compile_options(bulkhead_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Wold-style-cast
  -Wimplicit-fallthrough -Wno-missing-designated-field-initializers -Werror
  -fstack-protector-strong -fno-strict-aliasing)
target_compile_definitions(bulkhead_options INTERFACE _GNU_SOURCE _FILE_OFFSET_BITS=64)
target_link_options(bulkhead_options INTERFACE -fuse-ld=lld -Wl,-z,relro,-z,now)

if(BULKHEAD_SANITIZER STREQUAL "address")
  target_compile_options(bulkhead_options INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(bulkhead_options INTERFACE -fsanitize=address,undefined)
elseif(BULKHEAD_SANITIZER STREQUAL "fuzzer")
  target_compile_options(bulkhead_options INTERFACE -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
    -fno-omit-frame-pointer)
  target_link_options(bulkhead_options INTERFACE -fsanitize=address,undefined)
elseif(BULKHEAD_SANITIZER STREQUAL "thread")
  target_compile_options(bulkhead_options INTERFACE -fsanitize=thread -fno-omit-frame-pointer)
  target_link_options(bulkhead_options INTERFACE -fsanitize=thread)
elseif(BULKHEAD_SANITIZER)
  message(FATAL_ERROR "BULKHEAD_SANITIZER is empty, address, thread or fuzzer, not '${BULKHEAD_SANITIZER}'")
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_definitions(bulkhead_options INTERFACE _FORTIFY_SOURCE=2)
endif()

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

find_package(PkgConfig REQUIRED)
find_package(nlohmann_json REQUIRED)
# Archives where Debian has them: `bulkhead` and the launcher are started once per command, and the dynamic linker's work
# would be half of their time.
set(shared_suffixes ${CMAKE_FIND_LIBRARY_SUFFIXES})
list(PREPEND CMAKE_FIND_LIBRARY_SUFFIXES .a)
pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp)
pkg_check_modules(CAP REQUIRED IMPORTED_TARGET libcap)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(YAMLCPP REQUIRED IMPORTED_TARGET yaml-cpp)
# SHA-256. OpenSSL's comes with two megabytes that are relocated at each start of `bulkhead`.
pkg_check_modules(NETTLE REQUIRED IMPORTED_TARGET nettle)
# Layers of images, in the worker: only the archive's tar, gzip and zstd are linked; the shared one brings a dozen libraries.
pkg_check_modules(LIBARCHIVE REQUIRED IMPORTED_TARGET libarchive)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
set(CMAKE_FIND_LIBRARY_SUFFIXES ${shared_suffixes})
pkg_check_modules(LIBGIT2 REQUIRED IMPORTED_TARGET libgit2)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(Boost 1.81 REQUIRED COMPONENTS system)
find_package(GTest REQUIRED)
find_package(benchmark REQUIRED)
