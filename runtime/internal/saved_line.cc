#include "weir/runtime/internal/saved_line.h"

namespace weir {
inline namespace v0 {
namespace internal {

SavedValue Save(Value value) {
  return SavedValue(std::make_shared<const Value>(std::move(value)),
                    [](const void* saved, std::string* out) {
                      return static_cast<const Value*>(saved)->Encode(out);
                    });
}

absl::StatusOr<Value> Load(const SavedValue& saved) {
  if (!saved.has_value()) return Value();
  if (saved.shared() == nullptr) {
    return absl::DataLossError("a saved value has bytes that nothing decodes");
  }
  return *static_cast<const Value*>(saved.shared());
}

SavedValue SaveEngine(std::shared_ptr<const SavedEngine> engine) {
  return SavedValue(std::move(engine), [](const void*, std::string*) {
    return absl::FailedPreconditionError("a run's place has no codec yet");
  });
}

absl::StatusOr<const SavedEngine*> LoadEngine(const SavedValue& saved) {
  if (saved.shared() == nullptr) {
    return absl::DataLossError("a run's place has bytes that nothing decodes");
  }
  return static_cast<const SavedEngine*>(saved.shared());
}

SavedValue SaveTask(std::shared_ptr<const SavedTask> task) {
  return SavedValue(std::move(task), [](const void*, std::string*) {
    return absl::FailedPreconditionError("a task's writes have no codec yet");
  });
}

absl::StatusOr<const SavedTask*> LoadTask(const SavedValue& saved) {
  if (saved.shared() == nullptr) {
    return absl::DataLossError(
        "a task's writes are bytes that nothing decodes");
  }
  return static_cast<const SavedTask*>(saved.shared());
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
