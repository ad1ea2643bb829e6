# These look into the file, too.
foreach(test sqlite_checkpointer_test sqlite_checkpointer_oracle_test sqlite_memory_fault_test sqlite_removal_test)
  weir_test_link(checkpoint_${test} SQLite::SQLite3)
endforeach()

# Files that fail; and what is done to them many thousand times, optimised.
add_library(weir_fault_vfs STATIC ${CMAKE_CURRENT_LIST_DIR}/fault_vfs.cc)
target_include_directories(weir_fault_vfs PUBLIC ${PROJECT_SOURCE_DIR})
target_compile_features(weir_fault_vfs PUBLIC cxx_std_20)
target_link_libraries(weir_fault_vfs
  PUBLIC SQLite::SQLite3 absl::core_headers absl::synchronization PRIVATE GTest::gtest weir_warnings)
foreach(test sqlite_checkpointer_test sqlite_power_cut_test tests)
  weir_test_link(checkpoint_${test} weir_fault_vfs)
endforeach()
foreach(test sqlite_power_cut_test sqlite_removal_test)
  weir_test_compile(checkpoint_${test} -O1)
endforeach()
weir_test_link(checkpoint_sqlite_checkpointer_oracle_test ${WEIR_ZSTD})
weir_test_link(checkpoint_sqlite_bombs_whitebox_test ${WEIR_ZSTD})
