#ifndef WEIR_TESTS_CHANNELS_VALUE_SHARED_LIBRARY_H_
#define WEIR_TESTS_CHANNELS_VALUE_SHARED_LIBRARY_H_

#include <memory>
#include <string>
#include <vector>

#include "weir/channels/channel.h"
#include "weir/channels/value.h"
#include "weir/export.h"

// A library of a host's, with values and a channel of its making. It is built
// with hidden visibility and without RTTI.
namespace weir::testing {

struct WEIR_EXPORT Ticket {
  std::string title;
  int number = 0;
};

WEIR_EXPORT Value MakeText(const std::string& text);
WEIR_EXPORT Value MakeList(std::vector<int> list);
WEIR_EXPORT Value MakeTicket(const std::string& title, int number);
WEIR_EXPORT std::string TitleOf(const Value& ticket);
WEIR_EXPORT std::shared_ptr<const ChannelKind> MakeSum();

}  // namespace weir::testing

#endif  // WEIR_TESTS_CHANNELS_VALUE_SHARED_LIBRARY_H_
