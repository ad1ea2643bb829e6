#include "weir/runtime/internal/task_id.h"

#include <xxhash.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "weir/runtime/internal/called_function.h"
#include "weir/runtime/internal/run_loop.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

// What ids are made of, one part after the other. A text is followed by a NUL,
// which no name holds, and a number has eight bytes, so that other parts never
// give the same bytes.
class IdText {
 public:
  IdText() { bytes_.reserve(256); }

  IdText& Add(std::string_view text) {
    bytes_.append(text).push_back('\0');
    return *this;
  }
  IdText& Add(uint64_t number) {
    char bytes[sizeof(number)];
    for (char& byte : bytes) {
      byte = static_cast<char>(number);
      number >>= 8;
    }
    bytes_.append(bytes, sizeof(bytes));
    return *this;
  }

  // 32 hex digits.
  std::string Hash() const {
    const XXH128_hash_t hash = XXH3_128bits(bytes_.data(), bytes_.size());
    std::string hex(32, '0');
    constexpr char kDigits[] = "0123456789abcdef";
    uint64_t halves[] = {hash.high64, hash.low64};
    for (size_t i = 0; i < 2; ++i) {
      for (size_t digit = 16; digit-- > 0; halves[i] >>= 4) {
        hex[16 * i + digit] = kDigits[halves[i] & 15];
      }
    }
    return hex;
  }

 private:
  std::string bytes_;
};

void AddRunAndNamespace(const Run& run, IdText& text) {
  if (run.saved()) {
    const CheckpointId& at = run.checkpoint();
    text.Add(at.sequence).Add(at.random).Add(run.ns());
    return;
  }
  // The ids of the tasks around a graph inside say which run it is of.
  if (run.parent() == nullptr) text.Add(run.env().options.run_id);
  for (const NamespaceLevel& level : run.Namespace()) {
    text.Add(level.node).Add(level.task_id);
    text.Add(static_cast<uint64_t>(level.call));
  }
}

}  // namespace

std::string TaskId(const Run& run, const StepTask& task) {
  IdText text;
  if (task.call != nullptr) {
    return text.Add(task.call->parent->Id())
        .Add("call")
        .Add(static_cast<uint64_t>(task.call->index))
        .Add(task.node->name)
        .Hash();
  }
  AddRunAndNamespace(run, text);
  return text.Add(static_cast<uint64_t>(run.step()))
      .Add(task.node->name)
      .Add(task.is_send() ? "push" : "pull")
      .Add(static_cast<uint64_t>(task.send_index))
      .Hash();
}

std::string OnceId(const StepTask& task, std::string_view name) {
  return IdText().Add(task.Id()).Add("once").Add(name).Hash();
}

std::string TaskInterruptId(const Run& run, const StepTask& task) {
  return IdText().Add("interrupt").Add(TaskId(run, task)).Hash();
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
