target_link_libraries(runtime_results_test PRIVATE nlohmann_json::nlohmann_json)
target_link_libraries(runtime_store_test PRIVATE nlohmann_json::nlohmann_json)
target_link_libraries(runtime_memory_store_oracle_test PRIVATE nlohmann_json::nlohmann_json)
# Ten thousand graphs each, all run many times.
target_compile_options(runtime_random_graphs_test PRIVATE -O2)
target_compile_options(runtime_random_resumes_test PRIVATE -O2)
