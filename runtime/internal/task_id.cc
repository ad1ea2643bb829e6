#include "weir/runtime/internal/task_id.h"

#include <xxhash.h>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "absl/base/attributes.h"

#include "weir/runtime/internal/called_function.h"
#include "weir/runtime/internal/run_loop.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

// The two digits of each byte.
constexpr auto kHexPairs = [] {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::array<std::array<char, 2>, 256> pairs{};
  for (size_t i = 0; i < pairs.size(); ++i) {
    pairs[i] = {kDigits[i / 16], kDigits[i % 16]};
  }
  return pairs;
}();

// What ids are made of, one part after the other. A text is followed by a NUL,
// which no name holds, and a number has eight bytes, the lowest first, so that
// other parts never give the same bytes.
class IdText {
 public:
  IdText& Add(std::string_view text) {
    char* to = Extend(text.size() + 1);
    text.copy(to, text.size());
    to[text.size()] = '\0';
    return *this;
  }
  IdText& Add(uint64_t number) {
    if constexpr (std::endian::native == std::endian::big) {
      number = __builtin_bswap64(number);
    }
    std::memcpy(Extend(sizeof(number)), &number, sizeof(number));
    return *this;
  }

  // 32 hex digits.
  std::string Hash() const {
    XXH128_canonical_t hash;
    XXH128_canonicalFromHash(&hash, XXH3_128bits(data(), size_));
    std::string hex(2 * sizeof(hash.digest), '\0');
    for (size_t i = 0; i < sizeof(hash.digest); ++i) {
      std::memcpy(&hex[2 * i], kHexPairs[hash.digest[i]].data(), 2);
    }
    return hex;
  }

 private:
  // Room for more, at the end.
  char* Extend(size_t size) {
    const size_t old = size_;
    size_ += size;
    return size_ <= sizeof(few_) ? few_ + old : ExtendMany(old);
  }
  ABSL_ATTRIBUTE_NOINLINE char* ExtendMany(size_t old) {
    if (many_.empty()) many_.assign(few_, old);
    many_.resize(size_);
    return many_.data() + old;
  }
  const char* data() const { return many_.empty() ? few_ : many_.data(); }

  size_t size_ = 0;
  char few_[256];     // Most ids are made of less.
  std::string many_;  // Or all of it.
};

void AddRunAndNamespace(const Run& run, IdText& text) {
  if (run.saved()) {
    const CheckpointId& at = run.checkpoint();
    text.Add(at.sequence).Add(at.random).Add(run.ns());
    return;
  }
  // The ids of the tasks around a graph inside say which run it is of.
  if (run.parent() == nullptr) text.Add(run.env().run_id);
  for (const NamespaceLevel& level : run.Namespace()) {
    text.Add(level.node).Add(level.task_id);
    text.Add(static_cast<uint64_t>(level.call));
  }
}

}  // namespace

std::string TaskId(const Run& run, const StepTask& task) {
  if (task.call != nullptr) {
    return IdText()
        .Add(task.call->parent->Id())
        .Add("call")
        .Add(static_cast<uint64_t>(task.call->index))
        .Add(task.node->name)
        .Hash();
  }
  return PlannedTaskId(run, run.NameInIds(*task.node), task.send_index);
}

std::string PlannedTaskId(const Run& run, std::string_view node, int32_t send) {
  IdText text;
  AddRunAndNamespace(run, text);
  return text.Add(static_cast<uint64_t>(run.step()))
      .Add(node)
      .Add(send >= 0 ? "push" : "pull")
      .Add(static_cast<uint64_t>(send))
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
