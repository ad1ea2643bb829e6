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
