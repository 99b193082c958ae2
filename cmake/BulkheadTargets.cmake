# One target a folder. Every *.cpp of the folder belongs to it, except *_main.cpp, which are programs.
#
#   bulkhead_library(NAME DEPS ...)                    a static library from this folder
#   bulkhead_program(NAME [STATIC | STATIC_RUNTIME] MAIN file.cpp DEPS ...)
#                                                      a binary in build/bin; STATIC: needs no file of the system;
#                                                      STATIC_RUNTIME: brings its libstdc++ (no C++ library may be shared then)
#   bulkhead_tiny_program(NAME SOURCES ...)            static, with musl instead of glibc: see below
#   bulkhead_test(NAME [LABELS ...] SOURCES ... DEPS ...)   a GoogleTest program, its cases known to ctest
function(bulkhead_library name)
  cmake_parse_arguments(A "" "" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "_main\\.cpp$")
  if(sources)
    add_library(${name} STATIC ${sources})
    target_link_libraries(${name} PUBLIC bulkhead_options ${A_DEPS})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE bulkhead_options ${A_DEPS})
  endif()
endfunction()

function(bulkhead_program name)
  cmake_parse_arguments(A "STATIC;STATIC_RUNTIME" "MAIN" "DEPS" ${ARGN})
  add_executable(${name} ${A_MAIN})
  target_link_libraries(${name} PRIVATE bulkhead_options ${A_DEPS})
  if(BULKHEAD_SANITIZER)
    return()
  elseif(A_STATIC)
    target_link_options(${name} PRIVATE -static-pie)
  elseif(A_STATIC_RUNTIME)
    target_link_options(${name} PRIVATE -static-libstdc++ -static-libgcc)
  endif()
  target_link_options(${name} PRIVATE -Wl,--gc-sections)
endfunction()

# Programs that are executed with every sandbox. glibc asks the processor about itself at each start (some ninety cpuid
# instructions, each of which leaves a virtual machine), which takes longer than all that such a program has to do; musl
# does not, and a program has 24 KiB with it instead of 690. No C++ runtime: headers that need no library only.
set(musl_include /usr/include/${CMAKE_SYSTEM_PROCESSOR}-linux-musl)
set(musl_library /usr/lib/${CMAKE_SYSTEM_PROCESSOR}-linux-musl)
if(NOT EXISTS ${musl_library}/crt1.o)
  message(FATAL_ERROR "musl is missing: install musl-dev (scripts/setup does)")
endif()
execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-resource-dir OUTPUT_VARIABLE clang_resources
                OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
find_path(libstdcxx_include cstddef PATHS /usr/include/c++/12 NO_DEFAULT_PATH REQUIRED)
find_path(libstdcxx_config bits/c++config.h PATHS /usr/include/${CMAKE_LIBRARY_ARCHITECTURE}/c++/12 NO_DEFAULT_PATH
          REQUIRED)
function(bulkhead_tiny_program name)
  add_executable(${name} ${ARGN})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_definitions(${name} PRIVATE _GNU_SOURCE)
  # The kernel's headers come last, from where glibc's are too.
  target_compile_options(${name} PRIVATE -nostdinc $<$<COMPILE_LANGUAGE:CXX>:-nostdinc++>
    "SHELL:-isystem ${musl_include}" "SHELL:-isystem ${clang_resources}/include"
    "SHELL:-isystem ${libstdcxx_include}" "SHELL:-isystem ${libstdcxx_config}"
    "SHELL:-idirafter /usr/include/${CMAKE_LIBRARY_ARCHITECTURE}" "SHELL:-idirafter /usr/include"
    -Wall -Wextra -Wpedantic -Werror -Os -fstack-protector-strong
    "-D__GLIBC_PREREQ(major,minor)=0"  # libstdc++ asks
    $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions>
    $<$<COMPILE_LANGUAGE:CXX>:-fno-rtti> -fno-asynchronous-unwind-tables -ffunction-sections -fdata-sections)
  target_link_options(${name} PRIVATE -static -nostdlib -fuse-ld=lld -Wl,--gc-sections -s
    ${musl_library}/crt1.o ${musl_library}/crti.o)
  target_link_libraries(${name} PRIVATE ${musl_library}/libc.a ${musl_library}/crtn.o)
endfunction()

include(GoogleTest)
function(bulkhead_test name)
  cmake_parse_arguments(A "" "" "LABELS;SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE bulkhead_options ${A_DEPS} GTest::gmock GTest::gtest_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60 PROPERTIES LABELS "${A_LABELS}" TIMEOUT 300)
endfunction()
