include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/weir)
install(TARGETS weir weir_channels weir_checkpoint weir_stream weir_runtime
  EXPORT weirTargets
  FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY ${WEIR_INCLUDE_ROOT}/generated/weir DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT weirTargets NAMESPACE weir:: DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/weirConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES cmake/weirConfig.cmake ${PROJECT_BINARY_DIR}/weirConfigVersion.cmake DESTINATION ${package_dir})

# Tests for those who write a store of their own: find_package(weir COMPONENTS testing), weir::testing.
add_library(weir_testing INTERFACE)
set_target_properties(weir_testing PROPERTIES EXPORT_NAME testing)
target_link_libraries(weir_testing INTERFACE weir_checkpoint absl::synchronization GTest::gtest)
install(TARGETS weir_testing EXPORT weirTestingTargets INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES tests/checkpoint/checkpointer_conformance.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/weir/testing COMPONENT testing)
install(EXPORT weirTestingTargets NAMESPACE weir:: DESTINATION ${package_dir} COMPONENT testing)
