find_package(nlohmann_json REQUIRED)
target_link_libraries(channels_nlohmann_json_test PRIVATE nlohmann_json::nlohmann_json)
target_link_libraries(channels_channel_conformance_test PRIVATE nlohmann_json::nlohmann_json)

find_package(Protobuf REQUIRED)
target_link_libraries(channels_protobuf_json_test PRIVATE protobuf::libprotobuf)

# Takes weir's functions from the program, as a plug-in does; so the program must use what this uses.
add_library(weir_value_shared_library SHARED channels/value_shared_library.cc)
set_target_properties(weir_value_shared_library PROPERTIES
  CXX_EXTENSIONS OFF CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
target_compile_features(weir_value_shared_library PRIVATE cxx_std_20)
target_compile_options(weir_value_shared_library PRIVATE -fno-rtti)
target_include_directories(weir_value_shared_library PRIVATE
  ${PROJECT_SOURCE_DIR} $<TARGET_PROPERTY:weir::channels,INTERFACE_INCLUDE_DIRECTORIES>)
target_link_libraries(weir_value_shared_library PRIVATE weir_warnings)
target_link_libraries(channels_value_shared_library_test PRIVATE weir_value_shared_library)
set_target_properties(channels_value_shared_library_test PROPERTIES ENABLE_EXPORTS ON)
# UBSan's check of virtual tables reads the RTTI that the plug-in is built without.
target_compile_options(channels_value_shared_library_test PRIVATE -fno-sanitize=vptr)
