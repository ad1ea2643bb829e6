#include "weir/checkpoint/internal/contract.h"

#include <string_view>
#include <utility>

#include "absl/strings/str_format.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

constexpr size_t kWriteBytes = 256;  // What is stored beside a write's value.

std::string NameOf(const std::string& thread) {
  return absl::StrFormat("thread '%s'", thread);
}

// Makes `value` its bytes, in its own place. `name` says what it is.
template <class Name>
absl::Status Encode(SavedValue& value, size_t max_bytes, size_t& bytes,
                    const Name& name) {
  if (!value.has_value()) return absl::OkStatus();
  if (value.bytes() == nullptr) {
    std::string encoded;
    if (absl::Status s = value.Encode(&encoded); !s.ok()) {
      return {s.code(), absl::StrFormat("%s: %s", name(), s.message())};
    }
    value = SavedValue::FromBytes(std::move(encoded));
  }
  const size_t size = value.bytes()->size();
  bytes += size;
  if (size <= max_bytes) return absl::OkStatus();
  return TooLarge(name(), size, max_bytes);
}

}  // namespace

absl::Status Refused(const std::string& thread, const CheckpointId& id,
                     const std::string& why) {
  return absl::FailedPreconditionError(absl::StrFormat(
      "thread '%s', checkpoint %s: %s", thread, id.ToString(), why));
}

absl::Status CheckId(const std::string& thread, const CheckpointId& id) {
  if (id.has_value()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("thread '%s': a checkpoint has no id", thread));
}

absl::Status FencedError(const Fence& fence) {
  return absl::AbortedError(absl::StrFormat(
      "thread '%s': another run or update has begun on it since; those of "
      "one thread follow one another (epoch %d is fenced)",
      fence.thread, fence.epoch));
}

absl::Status NothingStored(const std::string& thread) {
  return absl::NotFoundError(
      absl::StrFormat("thread '%s' has nothing stored", thread));
}

absl::Status SomethingStored(const std::string& thread) {
  return absl::AlreadyExistsError(
      absl::StrFormat("thread '%s' has something stored", thread));
}

absl::Status TooLarge(const std::string& name, size_t size, size_t max_bytes) {
  return absl::ResourceExhaustedError(
      absl::StrFormat("%s: a value of %d bytes is more than the %d that "
                      "SqliteOptions::max_value_bytes allows",
                      name, size, max_bytes));
}

absl::Status ToBytes(const Fence& fence, Checkpoint& checkpoint,
                     size_t max_bytes, size_t& bytes) {
  for (SavedChannel& channel : checkpoint.channels) {
    bytes += channel.channel.size();
    const auto name = [&fence, &channel] {
      return absl::StrFormat("%s, channel '%s'", NameOf(fence.thread),
                             channel.channel);
    };
    absl::Status s = Encode(channel.value, max_bytes, bytes, name);
    if (!s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status ToBytes(const Fence& fence, NewWrites& writes, size_t max_bytes,
                     size_t& bytes) {
  for (PendingWrite& write : writes.writes) {
    bytes += kWriteBytes;
    const auto name = [&fence, &write] {
      return absl::StrFormat("%s, task '%s', channel '%s'",
                             NameOf(fence.thread), write.task_id,
                             write.channel);
    };
    absl::Status s = Encode(write.value, max_bytes, bytes, name);
    if (!s.ok()) return s;
  }
  return absl::OkStatus();
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
