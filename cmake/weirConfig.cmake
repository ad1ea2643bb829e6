include(CMakeFindDependencyMacro)
find_dependency(absl)
find_dependency(TBB)
include(${CMAKE_CURRENT_LIST_DIR}/weirTargets.cmake)
