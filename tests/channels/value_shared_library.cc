#include "tests/channels/value_shared_library.h"

#include <utility>

#include "weir/channels/reducer.h"

namespace weir::testing {

Value MakeText(const std::string& text) { return Value(text); }

Value MakeList(std::vector<int> list) { return Value(std::move(list)); }

Value MakeTicket(const std::string& title, int number) {
  return Value(Ticket{title, number});
}

std::string TitleOf(const Value& ticket) {
  const auto* held = ticket.As<Ticket>();
  return held == nullptr ? "another type" : held->title;
}

std::shared_ptr<const ChannelKind> MakeSum() {
  return Reducer<int>([](int a, int b) { return a + b; }).kind;
}

}  // namespace weir::testing
