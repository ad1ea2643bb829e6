# Fails on what Doxygen has written to the file WARNINGS.
#
# A member whose name says it all has no comment, nor has the codec of a type or what makes a class a coroutine or a
# range; everything else of the namespace has one.
file(STRINGS ${WARNINGS} warnings)
list(FILTER warnings EXCLUDE REGEX "Member .* of (class|struct) [^ ]*.* is not documented")
list(FILTER warnings EXCLUDE REGEX "Compound weir::(Codec<|.*::promise_type|.*::const_iterator).* is not documented")
if(warnings)
  list(JOIN warnings "\n" warnings)
  message(NOTICE "${warnings}")
  message(FATAL_ERROR "Doxygen has warned")
endif()
