# SPDX-License-Identifier: GPL-3.0-or-later
# A room is a folder with one library target. Its LINKS list is the whole of what it may include
# (tests/rules checks the includes against ARCHITECTURE.md).
#
#   skep_room(vmm/base LINKS fmt::fmt)      -> target skep-vmm-base
function(skep_room room)
  cmake_parse_arguments(ROOM "" "" "LINKS;PRIVATE" ${ARGN})
  string(REPLACE "/" "-" name "skep-${room}")
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${room}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
  if(sources)
    add_library(${name} STATIC ${sources})
    target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR})
    target_link_libraries(${name} PUBLIC ${ROOM_LINKS} PRIVATE ${ROOM_PRIVATE})
  else()
    add_library(${name} INTERFACE)
    target_include_directories(${name} INTERFACE ${CMAKE_SOURCE_DIR})
    target_link_libraries(${name} INTERFACE ${ROOM_LINKS})
  endif()
endfunction()

# skep_test(vmm/base LINKS ...): every tests/vmm/base/*_test.cpp in one program, one ctest entry.
# It links the room it mirrors and tests/support.
function(skep_test room)
  cmake_parse_arguments(TEST "" "TIMEOUT" "LINKS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${room}/*.cpp)
  if(NOT sources)
    return()
  endif()
  string(REPLACE "/" "-" suffix ${room})
  set(name test-${suffix})
  add_executable(${name} ${sources})
  target_link_libraries(${name} PRIVATE ${TEST_LINKS} skep-tests-support GTest::gmock GTest::gtest_main)
  if(TARGET skep-${suffix})
    target_link_libraries(${name} PRIVATE skep-${suffix})
  endif()
  target_compile_definitions(${name} PRIVATE SKEP_SOURCE_DIR="${CMAKE_SOURCE_DIR}" SKEP_BINARY_DIR="${CMAKE_BINARY_DIR}")
  add_test(NAME ${suffix} COMMAND ${name})
  if(NOT TEST_TIMEOUT)
    set(TEST_TIMEOUT 300)
  endif()
  set_tests_properties(${suffix} PROPERTIES TIMEOUT ${TEST_TIMEOUT})
  if(SKEP_SANITIZE STREQUAL "thread")
    set_tests_properties(${suffix} PROPERTIES
      ENVIRONMENT TSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/support/guest_memory.tsan)
  endif()
endfunction()
