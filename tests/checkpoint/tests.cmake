# These look into the file, too.
foreach(test sqlite_checkpointer_test sqlite_checkpointer_oracle_test)
  target_link_libraries(checkpoint_${test} PRIVATE SQLite::SQLite3)
endforeach()
