# One target a folder. Every *.cpp of the folder belongs to it, except *_main.cpp, which are programs.
#
#   bulkhead_library(NAME DEPS ...)                    a static library from this folder
#   bulkhead_program(NAME MAIN file.cpp DEPS ...)      a binary in build/bin
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
  cmake_parse_arguments(A "" "MAIN" "DEPS" ${ARGN})
  if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${A_MAIN})
    message(FATAL_ERROR "${name}: ${CMAKE_CURRENT_SOURCE_DIR}/${A_MAIN} is missing")
  endif()
  add_executable(${name} ${A_MAIN})
  target_link_libraries(${name} PRIVATE bulkhead_options ${A_DEPS})
endfunction()

include(GoogleTest)
function(bulkhead_test name)
  cmake_parse_arguments(A "" "" "LABELS;SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE bulkhead_options ${A_DEPS} GTest::gmock GTest::gtest_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60 PROPERTIES LABELS "${A_LABELS}" TIMEOUT 300)
endfunction()
