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

Input Input::Resume(Value answer, weir::Command command) {
  Input input = Command(std::move(command));
  input.answer_ = std::move(answer);
  return input;
}

Input Input::ResumeEach(std::map<std::string, Value> answers,
                        weir::Command command) {
  Input input = Command(std::move(command));
  input.answers_ = std::move(answers);
  input.has_answers_ = true;
  return input;
}

}  // namespace v0
}  // namespace weir
