set(WEIR_INCLUDE_ROOT ${PROJECT_BINARY_DIR}/include)
configure_file(cmake/version.h.in ${WEIR_INCLUDE_ROOT}/generated/weir/version.h @ONLY)
configure_file(cmake/export.h.in ${WEIR_INCLUDE_ROOT}/generated/weir/export.h COPYONLY)

# Warnings for weir's own targets; linked PRIVATE, so that a host's code keeps its own.
add_library(weir_warnings INTERFACE)
target_compile_options(weir_warnings INTERFACE
  -Wall -Wextra -Wconversion -Wshadow
  $<$<CXX_COMPILER_ID:Clang,AppleClang>:-Wthread-safety>
  $<$<BOOL:${WEIR_WERROR}>:-Werror>
  $<$<CXX_COMPILER_ID:Clang,AppleClang>:-Werror=thread-safety>)

# weir_library(<folder> [PUBLIC <target>...] [PRIVATE <target>...])
#
# Makes weir::<folder> from every .cc of the current folder and its internal/, or an INTERFACE target while there is
# none. Headers are reached through a link, so that "weir/<folder>/x.h" reads the same here and installed, and a
# folder that is not linked cannot be included.
function(weir_library folder)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "PUBLIC;PRIVATE")
  set(target weir_${folder})
  set(root ${WEIR_INCLUDE_ROOT}/${folder})
  file(MAKE_DIRECTORY ${root}/weir)
  file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR} ${root}/weir/${folder} SYMBOLIC)
  file(GLOB headers CONFIGURE_DEPENDS ${root}/weir/${folder}/*.h ${root}/weir/${folder}/internal/*.h)
  file(GLOB sources CONFIGURE_DEPENDS *.cc internal/*.cc)

  if(sources)
    add_library(${target} ${sources})
    set(scope PUBLIC)
    # The same way for an archive and a shared library. With CMAKE_UNITY_BUILD many files are compiled as one: the names
    # in a library differ.
    set_target_properties(${target} PROPERTIES
      CXX_EXTENSIONS OFF
      CXX_VISIBILITY_PRESET hidden
      VISIBILITY_INLINES_HIDDEN ON
      DEFINE_SYMBOL ""
      VERSION ${PROJECT_VERSION}
      SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
    # BUILD_INTERFACE keeps these out of the installed targets.
    target_link_libraries(${target} PRIVATE ${arg_PRIVATE} $<BUILD_INTERFACE:weir_warnings>)
  else()
    add_library(${target} INTERFACE)
    set(scope INTERFACE)
  endif()
  add_library(weir::${folder} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${folder})
  target_compile_features(${target} ${scope} cxx_std_20)
  target_include_directories(${target} ${scope} $<BUILD_INTERFACE:${WEIR_INCLUDE_ROOT}/generated>)
  target_sources(${target} ${scope} FILE_SET HEADERS BASE_DIRS ${root} FILES ${headers})
  target_link_libraries(${target} ${scope} ${arg_PUBLIC})
endfunction()
