find_package(nlohmann_json REQUIRED)
find_package(Protobuf REQUIRED)
weir_test_link(channels_tests nlohmann_json::nlohmann_json protobuf::libprotobuf)

# Takes weir's functions from the program, as a plug-in does; so the program must use what this uses.
add_library(weir_value_shared_library SHARED channels/value_shared_library.cc)
set_target_properties(weir_value_shared_library PROPERTIES
  CXX_EXTENSIONS OFF CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
target_compile_features(weir_value_shared_library PRIVATE cxx_std_20)
target_compile_options(weir_value_shared_library PRIVATE -fno-rtti)
target_include_directories(weir_value_shared_library PRIVATE
  ${PROJECT_SOURCE_DIR} $<TARGET_PROPERTY:weir::channels,INTERFACE_INCLUDE_DIRECTORIES>)
target_link_libraries(weir_value_shared_library PRIVATE weir_warnings)
weir_test_link(channels_value_shared_library_test weir_value_shared_library)
if(TARGET channels_value_shared_library_test)
  set_target_properties(channels_value_shared_library_test PROPERTIES ENABLE_EXPORTS ON)
endif()
# UBSan's check of virtual tables reads the RTTI that the plug-in is built without.
weir_test_compile(channels_value_shared_library_test -fno-sanitize=vptr)
