# Stock builds of Abseil and oneTBB give false reports, so the tsan preset uses its own.
set(WEIR_TSAN_PREFIX "" CACHE PATH "Abseil and oneTBB built with -fsanitize=thread; built when empty")
if(NOT WEIR_TSAN_PREFIX)
  message(STATUS "Abseil and oneTBB for ThreadSanitizer: the first build takes some minutes")
  execute_process(
    COMMAND ${CMAKE_COMMAND} -E env CXX=${CMAKE_CXX_COMPILER} ${PROJECT_SOURCE_DIR}/cmake/build_tsan_deps.sh
    OUTPUT_VARIABLE output OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCH "[^\n]+$" prefix "${output}")
  set_property(CACHE WEIR_TSAN_PREFIX PROPERTY VALUE ${prefix})
endif()
list(PREPEND CMAKE_PREFIX_PATH ${WEIR_TSAN_PREFIX})
