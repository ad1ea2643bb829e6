#include "weir/checkpoint/internal/stored.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"

#include "weir/checkpoint/internal/record.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

// The first field of a key, so that no record is good in another table.
enum Table : uint64_t {
  kThread = 't',
  kCheckpoint = 'c',
  kValue = 'v',
  kWrite = 'w',
  kNumberRow = 'n',
};

std::string ThreadKey(int64_t row, std::string_view name) {
  return Packer().Number(kThread).Signed(row).Text(name).bytes();
}
Packer KeyIn(Table table, const StoredNamespace& in) {
  Packer key;
  key.Number(table).Text(in.thread).Text(in.ns);
  return key;
}
std::string CheckpointRecordKey(const StoredNamespace& in,
                                const CheckpointId& id) {
  return KeyIn(kCheckpoint, in).Id(id).bytes();
}
std::string ValueKey(const StoredNamespace& in, std::string_view channel,
                     uint64_t version) {
  return KeyIn(kValue, in).Text(channel).Number(version).bytes();
}
std::string WriteKey(const StoredNamespace& in, const CheckpointId& id,
                     std::string_view task, int64_t index,
                     std::string_view run) {
  return KeyIn(kWrite, in).Id(id).Text(task).Signed(index).Text(run).bytes();
}
std::string NumberKey(std::string_view name) {
  return Packer().Number(kNumberRow).Text(name).bytes();
}

absl::Status Undecodable() {
  return absl::DataLossError("the record does not decode");
}
std::string Name(std::string_view text) { return std::string(text); }
std::string NameOf(const StoredNamespace& in) {
  return absl::StrFormat("thread '%s', namespace '%s'", in.thread, in.ns);
}

void PackTime(absl::Time time, Packer& out) {
  absl::Duration rest;
  const int64_t seconds =
      absl::IDivDuration(time - absl::UnixEpoch(), absl::Seconds(1), &rest);
  out.Signed(seconds);
  const bool finite =
      rest != absl::InfiniteDuration() && rest != -absl::InfiniteDuration();
  out.Signed(finite ? absl::ToInt64Nanoseconds(rest) : 0);
}
absl::Time UnpackTime(Unpacker& in) {
  const int64_t seconds = in.Signed();
  const int64_t nanoseconds = in.Signed();
  if (seconds == std::numeric_limits<int64_t>::max()) {
    return absl::InfiniteFuture();
  }
  if (seconds == std::numeric_limits<int64_t>::min()) {
    return absl::InfinitePast();
  }
  return absl::FromUnixSeconds(seconds) + absl::Nanoseconds(nanoseconds);
}

void PackMetadata(const CheckpointMetadata& metadata, Packer& out) {
  out.Text(metadata.source).Signed(metadata.step).Text(metadata.run_id);
  out.Number(metadata.parents.size());
  for (const auto& [ns, id] : metadata.parents) out.Text(ns).Id(id);
  out.Number(metadata.custom.size());
  for (const auto& [key, json] : metadata.custom) out.Text(key).Text(json);
}
CheckpointMetadata UnpackMetadata(Unpacker& in) {
  CheckpointMetadata metadata;
  metadata.source = in.Text();
  metadata.step = in.Signed();
  metadata.run_id = in.Text();
  for (uint64_t n = in.Count(); n > 0 && in.ok(); --n) {
    std::string ns(in.Text());
    metadata.parents[std::move(ns)] = in.Id();
  }
  for (uint64_t n = in.Count(); n > 0 && in.ok(); --n) {
    std::string key(in.Text());
    metadata.custom[std::move(key)] = in.Text();
  }
  return metadata;
}

StoredChannel UnpackChannel(Unpacker& in, bool& ok) {
  StoredChannel channel;
  channel.name = in.Text();
  channel.version = in.Number();
  const uint64_t kind = in.Number();
  ok = ok && kind <= StoredChannel::kApart;
  channel.kind = static_cast<StoredChannel::Kind>(kind & 3);
  if (channel.kind == StoredChannel::kInline) channel.value = in.Text();
  return channel;
}

// A value as the last field.
void PackValue(const SavedValue& value, Packer& out) {
  const std::string* bytes = value.bytes();
  out.Number(bytes == nullptr ? 0 : 1);
  if (bytes != nullptr) out.Rest(*bytes);
}
SavedValue UnpackValue(Unpacker& in) {
  if (in.Number() == 0) return {};
  return SavedValue::FromBytes(std::string(in.Rest()));
}

}  // namespace

absl::Status In(const std::string& what, const absl::Status& s) {
  return {s.code(), absl::StrFormat("%s: %s", what, s.message())};
}

const StoredChannel* StoredCheckpoint::Find(std::string_view name) const {
  const auto at = std::lower_bound(
      channels.begin(), channels.end(), name,
      [](const StoredChannel& c, std::string_view n) { return c.name < n; });
  return at == channels.end() || at->name != name ? nullptr : &*at;
}

std::string EncodeThread(const StoredThread& thread) {
  Packer out;
  out.Number(thread.epoch).Number(thread.last_sequence);
  out.Number(thread.last_version);
  return SealRecord(out.bytes(), ThreadKey(thread.row, thread.name));
}

absl::StatusOr<StoredThread> DecodeThread(int64_t row, std::string name,
                                          std::string_view record) {
  std::string buffer;
  const absl::StatusOr<std::string_view> payload =
      UnsealRecord(record, ThreadKey(row, name), buffer);
  const std::string what = absl::StrFormat("thread '%s'", name);
  if (!payload.ok()) return In(what, payload.status());
  Unpacker in(*payload);
  StoredThread thread{.row = row, .name = std::move(name)};
  thread.epoch = in.Number();
  thread.last_sequence = in.Number();
  thread.last_version = in.Number();
  if (!in.done()) return In(what, Undecodable());
  return thread;
}

std::string PayloadOf(const StoredCheckpoint& checkpoint) {
  const Checkpoint& header = checkpoint.header;
  Packer out;
  out.Id(header.parent);
  PackTime(header.created_at, out);
  PackMetadata(header.metadata, out);
  out.Number(checkpoint.channels.size());
  for (const StoredChannel& channel : checkpoint.channels) {
    out.Text(channel.name).Number(channel.version).Number(channel.kind);
    if (channel.kind == StoredChannel::kInline) out.Text(channel.value);
  }
  return out.bytes();
}

bool FromPayload(std::string_view payload, StoredCheckpoint& checkpoint) {
  Unpacker from(payload);
  checkpoint.header.parent = from.Id();
  checkpoint.header.created_at = UnpackTime(from);
  checkpoint.header.metadata = UnpackMetadata(from);
  bool ok = true;
  for (uint64_t n = from.Count(); n > 0 && from.ok() && ok; --n) {
    StoredChannel next = UnpackChannel(from, ok);
    // Find() relies on it; and a few bytes cannot be many channels.
    ok = ok && (checkpoint.channels.empty() ||
                checkpoint.channels.back().name < next.name);
    checkpoint.channels.push_back(std::move(next));
  }
  return ok && from.done();
}

std::string PayloadOf(const StoredValue& value) {
  Packer out;
  out.Number(value.appended_to);
  PackValue(value.value, out);
  return out.bytes();
}

bool FromPayload(std::string_view payload, StoredValue& value) {
  Unpacker from(payload);
  value.appended_to = from.Number();
  value.value = UnpackValue(from);
  return from.done();
}

std::string PayloadOf(const StoredWrite& stored) {
  const PendingWrite& write = stored.write;
  Packer out;
  out.Number(stored.place).Number(stored.arrival);
  out.Text(write.task_path).Text(write.channel);
  PackValue(write.value, out);
  return out.bytes();
}

bool FromPayload(std::string_view payload, StoredWrite& stored) {
  Unpacker from(payload);
  stored.place = from.Number();
  stored.arrival = from.Number();
  stored.write.task_path = from.Text();
  stored.write.channel = from.Text();
  stored.write.value = UnpackValue(from);
  return from.done();
}

std::string EncodeCheckpoint(const StoredNamespace& in,
                             const StoredCheckpoint& checkpoint) {
  return SealRecord(PayloadOf(checkpoint),
                    CheckpointRecordKey(in, checkpoint.header.id));
}

absl::StatusOr<StoredCheckpoint> DecodeCheckpoint(const StoredNamespace& in,
                                                  const CheckpointId& id,
                                                  std::string_view record) {
  const std::string what =
      absl::StrFormat("%s, checkpoint %s", NameOf(in), id.ToString());
  std::string buffer;
  const absl::StatusOr<std::string_view> payload =
      UnsealRecord(record, CheckpointRecordKey(in, id), buffer);
  if (!payload.ok()) return In(what, payload.status());
  StoredCheckpoint checkpoint;
  checkpoint.header.ns = in.ns;
  checkpoint.header.id = id;
  if (!FromPayload(*payload, checkpoint)) return In(what, Undecodable());
  return checkpoint;
}

std::string EncodeValue(const StoredNamespace& in, std::string_view channel,
                        uint64_t version, const StoredValue& value) {
  return SealRecord(PayloadOf(value), ValueKey(in, channel, version));
}

absl::StatusOr<StoredValue> DecodeValue(const StoredNamespace& in,
                                        std::string_view channel,
                                        uint64_t version,
                                        std::string_view record) {
  const std::string what = absl::StrFormat("%s, channel '%s', version %d",
                                           NameOf(in), Name(channel), version);
  std::string buffer;
  const absl::StatusOr<std::string_view> payload =
      UnsealRecord(record, ValueKey(in, channel, version), buffer);
  if (!payload.ok()) return In(what, payload.status());
  StoredValue value;
  if (!FromPayload(*payload, value)) return In(what, Undecodable());
  return value;
}

std::string EncodeWrite(const StoredNamespace& in, const CheckpointId& id,
                        const StoredWrite& stored) {
  const PendingWrite& write = stored.write;
  return SealRecord(PayloadOf(stored), WriteKey(in, id, write.task_id,
                                                write.index, RunColumn(write)));
}

absl::StatusOr<StoredWrite> DecodeWrite(const StoredNamespace& in,
                                        const CheckpointId& id,
                                        std::string_view task, int64_t index,
                                        std::string_view run,
                                        std::string_view record) {
  const std::string what =
      absl::StrFormat("%s, checkpoint %s, task '%s', write %d", NameOf(in),
                      id.ToString(), Name(task), index);
  std::string buffer;
  const absl::StatusOr<std::string_view> payload =
      UnsealRecord(record, WriteKey(in, id, task, index, run), buffer);
  if (!payload.ok()) return In(what, payload.status());
  StoredWrite stored;
  stored.write.task_id = task;
  stored.write.index = static_cast<int32_t>(index);
  stored.write.run_id = RunOfColumn(run);
  if (!FromPayload(*payload, stored)) return In(what, Undecodable());
  return stored;
}

std::string RunColumn(const PendingWrite& write) {
  return write.run_id == nullptr ? "" : ":" + *write.run_id;
}

std::shared_ptr<const std::string> RunOfColumn(std::string_view run) {
  if (run.empty()) return nullptr;
  return std::make_shared<const std::string>(run.substr(1));
}

std::string EncodeNumber(std::string_view name, uint64_t number) {
  return SealRecord(Packer().Number(number).bytes(), NumberKey(name));
}

absl::StatusOr<uint64_t> DecodeNumber(std::string_view name,
                                      std::string_view record) {
  std::string buffer;
  const absl::StatusOr<std::string_view> payload =
      UnsealRecord(record, NumberKey(name), buffer);
  if (!payload.ok()) return In("number '" + Name(name) + "'", payload.status());
  Unpacker in(*payload);
  const uint64_t number = in.Number();
  if (!in.done()) return Undecodable();
  return number;
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
