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

# The same for pkg-config. A program needs Abseil itself, for weir's headers; and what an archive needs, too.
set(public)
set(private)
foreach(folder channels checkpoint stream runtime)
  get_target_property(libraries weir_${folder} INTERFACE_LINK_LIBRARIES)
  list(APPEND public ${libraries})
  get_target_property(libraries weir_${folder} LINK_LIBRARIES)
  list(APPEND private ${libraries})
endforeach()
list(FILTER public INCLUDE REGEX "^absl::")
list(FILTER private INCLUDE REGEX "^absl::")
list(REMOVE_ITEM private ${public})
list(APPEND private sqlite3 tbb libzstd)
if(NOT BUILD_SHARED_LIBS)
  list(APPEND public ${private})
  set(private)
endif()
foreach(list public private)
  list(TRANSFORM ${list} REPLACE "::" "_")
  list(SORT ${list})
  list(REMOVE_DUPLICATES ${list})
  list(JOIN ${list} ", " pc_${list})
endforeach()
file(RELATIVE_PATH pc_libdir ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_LIBDIR})
file(RELATIVE_PATH pc_includedir ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_INCLUDEDIR})
file(RELATIVE_PATH pc_prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" pc_prefix "${pc_prefix}")
configure_file(cmake/weir.pc.in ${PROJECT_BINARY_DIR}/weir.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/weir.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# The gateway, for those who ask for it: find_package(weir COMPONENTS gateway), weir::gateway.
if(WEIR_GATEWAY)
  install(TARGETS weir_gateway
    EXPORT weirGatewayTargets
    FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(EXPORT weirGatewayTargets NAMESPACE weir:: DESTINATION ${package_dir})
endif()

# Tests for those who write a store of their own: find_package(weir COMPONENTS testing), weir::testing.
add_library(weir_testing INTERFACE)
set_target_properties(weir_testing PROPERTIES EXPORT_NAME testing)
target_link_libraries(weir_testing INTERFACE weir_checkpoint absl::synchronization GTest::gtest)
install(TARGETS weir_testing EXPORT weirTestingTargets INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES tests/checkpoint/checkpointer_conformance.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/weir/testing COMPONENT testing)
install(EXPORT weirTestingTargets NAMESPACE weir:: DESTINATION ${package_dir} COMPONENT testing)
