#include "weir/runtime/run.h"

#include <utility>

namespace weir {
inline namespace v0 {

Input Input::Values(Update update) {
  Input input;
  input.kind_ = Kind::kValues;
  input.command_.update = std::move(update);
  return input;
}

Input Input::Command(weir::Command command) {
  Input input;
  input.kind_ = Kind::kCommand;
  input.command_ = std::move(command);
  return input;
}

}  // namespace v0
}  // namespace weir
