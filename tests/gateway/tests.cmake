# Beast's templates, with a sanitizer's checks in them, take minutes to optimise.
if(CMAKE_CXX_FLAGS MATCHES "-fsanitize")
  set_source_files_properties(${PROJECT_SOURCE_DIR}/gateway/internal/http_server.cc TARGET_DIRECTORY weir_gateway
    PROPERTIES COMPILE_OPTIONS -O0 SKIP_UNITY_BUILD_INCLUSION ON)
endif()

# Recorded exchanges, read and compared.
add_library(weir_transcript STATIC gateway/transcript.cc)
target_include_directories(weir_transcript PUBLIC ${PROJECT_SOURCE_DIR})
target_link_libraries(weir_transcript PUBLIC absl::statusor absl::strings nlohmann_json::nlohmann_json
  PRIVATE weir_warnings)
target_compile_features(weir_transcript PUBLIC cxx_std_20)

# Their clients are Boost's, too.
get_property(tests DIRECTORY PROPERTY BUILDSYSTEM_TARGETS)
list(FILTER tests INCLUDE REGEX "^gateway_")
foreach(test ${tests})
  target_link_libraries(${test} PRIVATE Boost::headers weir_gateway_graphs weir_transcript)
endforeach()

# By the SDK of the Agent Server's users, which the first run fetches, and by curl.
weir_add_test(gateway/sdk gateway 120
  python3 ${CMAKE_CURRENT_SOURCE_DIR}/gateway/run_sdk.py $<TARGET_FILE:weir-gateway>
  ${CMAKE_CURRENT_BINARY_DIR}/gateway/sdk)
weir_add_test(examples/curl examples 60
  python3 ${CMAKE_CURRENT_SOURCE_DIR}/examples/check_curl.py ${PROJECT_SOURCE_DIR}/examples/curl.sh
  $<TARGET_FILE:weir-gateway>)
set_tests_properties(gateway/sdk examples/curl PROPERTIES SKIP_RETURN_CODE 77)
