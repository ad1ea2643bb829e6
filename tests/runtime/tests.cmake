weir_test_link(runtime_tests nlohmann_json::nlohmann_json)
# Ten thousand graphs each, all run many times.
weir_test_compile(runtime_random_graphs_test -O2)
weir_test_compile(runtime_random_resumes_test -O2)

# Processes that end, by tests that need to know where they are.
foreach(child crash_child drain_child)
  add_executable(weir_${child} ${CMAKE_CURRENT_LIST_DIR}/${child}.cc)
  target_include_directories(weir_${child} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(weir_${child} PRIVATE weir::runtime weir_warnings)
  target_compile_options(weir_${child} PRIVATE
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized> $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
endforeach()
foreach(test kill_test crash_points_whitebox_test drain_test)
  if(TARGET runtime_${test})
    target_compile_definitions(runtime_${test} PRIVATE
      WEIR_CRASH_CHILD="$<TARGET_FILE:weir_crash_child>" WEIR_DRAIN_CHILD="$<TARGET_FILE:weir_drain_child>")
    add_dependencies(runtime_${test} weir_crash_child weir_drain_child)
  endif()
endforeach()

# Clocks that are set. A sanitizer's own library must be the first that is loaded.
find_file(WEIR_FAKETIME_LIBRARY libfaketimeMT.so.1
  PATHS /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE} /usr/lib /usr/local/lib PATH_SUFFIXES faketime NO_DEFAULT_PATH)
if(TARGET runtime_clock_test)
  set(faketime)
  if(WEIR_FAKETIME_LIBRARY AND NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
    set(faketime ${WEIR_FAKETIME_LIBRARY})
  endif()
  target_compile_definitions(runtime_clock_test PRIVATE
    WEIR_CRASH_CHILD="$<TARGET_FILE:weir_crash_child>" WEIR_FAKETIME="${faketime}")
  add_dependencies(runtime_clock_test weir_crash_child)
endif()
