# The target `docs`: the reference, in HTML, by Doxygen. It fails on what Doxygen warns of.
find_program(WEIR_DOXYGEN doxygen)
if(WEIR_DOXYGEN)
  set(WEIR_DOCS_DIR ${PROJECT_BINARY_DIR}/docs)
  set(WEIR_DOCS_HEADERS)
  set(WEIR_DOCS_STRIP)
  foreach(folder channels checkpoint stream runtime)
    string(APPEND WEIR_DOCS_HEADERS " ${WEIR_INCLUDE_ROOT}/${folder}/weir/${folder}")
    string(APPEND WEIR_DOCS_STRIP " ${WEIR_INCLUDE_ROOT}/${folder}")
  endforeach()
  configure_file(cmake/Doxyfile.in ${WEIR_DOCS_DIR}/Doxyfile @ONLY)
  add_custom_target(docs
    COMMAND ${WEIR_DOXYGEN} ${WEIR_DOCS_DIR}/Doxyfile
    COMMAND ${CMAKE_COMMAND} -DWARNINGS=${WEIR_DOCS_DIR}/warnings.txt -P ${PROJECT_SOURCE_DIR}/cmake/check_doxygen.cmake
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} COMMENT "${WEIR_DOCS_DIR}/html/index.html" VERBATIM)
endif()
