#include "weir/checkpoint/internal/packed.h"

#include <set>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"

#include "weir/checkpoint/internal/record.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

constexpr char kValuePack = 'c';

std::string KeyOf(const StoredNamespace& in, const PackRow& row) {
  Packer key;
  key.Number('p').Text(in.thread).Text(in.ns).Text(row.kind).Text(row.last);
  return key.Text(row.first).Number(row.count).Text(row.runs).bytes();
}

std::string NameOf(const StoredNamespace& in, const PackRow& row) {
  return absl::StrFormat("thread '%s', namespace '%s', %s", in.thread, in.ns,
                         TextOf(row));
}

absl::Status Undecodable(const StoredNamespace& in, const PackRow& row) {
  return absl::DataLossError(NameOf(in, row) + ": the record does not decode");
}

Packer Packed(const std::vector<StoredWrite>& writes) {
  Packer out;
  out.Number(writes.size());
  for (const StoredWrite& stored : writes) {
    const PendingWrite& write = stored.write;
    out.Text(write.task_id).Signed(write.index).Text(RunColumn(write));
    out.Text(PayloadOf(stored));
  }
  return out;
}
Packer Packed(const PackedCheckpoint& packed) {
  Packer out;
  out.Id(packed.checkpoint.header.id).Text(PayloadOf(packed.checkpoint));
  out.Text(Packed(packed.writes).bytes());
  return out;
}
Packer Packed(const PackedValue& packed) {
  Packer out;
  out.Number(packed.first).Text(PayloadOf(packed.second));
  return out;
}

bool TakeWrites(std::string_view bytes, std::vector<StoredWrite>& writes) {
  // A few bytes are not to be many writes.
  if (bytes.size() > kMaxPackedWritesBytes) return false;
  Unpacker from(bytes);
  for (uint64_t n = from.Count(); n > 0 && from.ok(); --n) {
    StoredWrite& next = writes.emplace_back();
    next.write.task_id = from.Text();
    next.write.index = static_cast<int32_t>(from.Signed());
    next.write.run_id = RunOfColumn(from.Text());
    if (!FromPayload(from.Text(), next)) return false;
  }
  return from.done();
}

// Of checkpoints or of values.
template <class Packed>
std::string PayloadOfAll(const std::vector<Packed>& all) {
  Packer out;
  out.Number(all.size());
  for (const auto& one : all) out.Rest(internal::Packed(one).bytes());
  return out.bytes();
}

absl::StatusOr<std::string_view> Unsealed(const StoredNamespace& in,
                                          const PackRow& row,
                                          std::string_view record,
                                          std::string& buffer) {
  absl::StatusOr<std::string_view> payload =
      UnsealRecord(record, KeyOf(in, row), buffer);
  if (!payload.ok()) return In(NameOf(in, row), payload.status());
  // Nor are they to be many checkpoints, or values.
  if (row.count > 1 && payload->size() > 2 * kMaxPackBytes) {
    return Undecodable(in, row);
  }
  return payload;
}

}  // namespace

std::string ValuePackOf(std::string_view channel) {
  std::string kind(1, kValuePack);
  return kind.append(channel);
}

std::string_view ChannelOf(const PackRow& row) {
  return std::string_view(row.kind).substr(row.kind.empty() ? 0 : 1);
}

std::string VersionToBytes(uint64_t version) {
  return IdToBytes({.sequence = version}).substr(0, 8);
}

std::string TextOf(const PackRow& row) {
  if (row.kind == kCheckpointPack) {
    return absl::StrFormat("the %d packed checkpoints from %s to %s", row.count,
                           IdFromBytes(row.first).ToString(),
                           IdFromBytes(row.last).ToString());
  }
  return absl::StrFormat("%d packed values of channel '%s'", row.count,
                         std::string(ChannelOf(row)));
}

std::vector<std::string> RunsOf(const PackRow& row) {
  std::vector<std::string> runs;
  Unpacker from(row.runs);
  while (from.ok() && !from.done()) runs.emplace_back(from.Text());
  return runs;
}

std::string EncodePack(const StoredNamespace& in,
                       const std::vector<PackedCheckpoint>& checkpoints,
                       PackRow& row) {
  std::set<std::string> runs;
  for (const PackedCheckpoint& packed : checkpoints) {
    runs.insert(packed.checkpoint.header.metadata.run_id);
    for (const StoredWrite& stored : packed.writes) {
      if (stored.write.run_id != nullptr) runs.insert(*stored.write.run_id);
    }
  }
  runs.erase("");
  Packer packed_runs;
  for (const std::string& run : runs) packed_runs.Text(run);
  row = {.kind = std::string(kCheckpointPack),
         .last = IdToBytes(checkpoints.back().checkpoint.header.id),
         .first = IdToBytes(checkpoints.front().checkpoint.header.id),
         .count = checkpoints.size(),
         .runs = packed_runs.bytes()};
  return SealRecord(PayloadOfAll(checkpoints), KeyOf(in, row));
}

std::string EncodePack(const StoredNamespace& in, std::string_view channel,
                       const std::vector<PackedValue>& values, PackRow& row) {
  row = {.kind = ValuePackOf(channel),
         .last = VersionToBytes(values.back().first),
         .first = VersionToBytes(values.front().first),
         .count = values.size()};
  return SealRecord(PayloadOfAll(values), KeyOf(in, row));
}

absl::StatusOr<std::vector<PackedCheckpoint>> DecodePack(
    const StoredNamespace& in, const PackRow& row, std::string_view record,
    const CheckpointId& from, const CheckpointId& to) {
  std::string buffer;
  const absl::StatusOr<std::string_view> payload =
      Unsealed(in, row, record, buffer);
  if (!payload.ok()) return payload.status();
  std::vector<PackedCheckpoint> checkpoints;
  Unpacker bytes(*payload);
  const uint64_t count = bytes.Count();
  if (!bytes.ok() || count != row.count) return Undecodable(in, row);
  CheckpointId least = IdFromBytes(row.first);
  for (uint64_t i = 0; i < count; ++i) {
    PackedCheckpoint next;
    Checkpoint& header = next.checkpoint.header;
    header.ns = in.ns;
    header.id = bytes.Id();
    const std::string_view packed = bytes.Text();
    const std::string_view writes = bytes.Text();
    if (!bytes.ok() || header.id < least || (i > 0 && header.id == least)) {
      return Undecodable(in, row);
    }
    least = header.id;
    if (header.id < from || to < header.id) continue;
    if (!FromPayload(packed, next.checkpoint) ||
        !TakeWrites(writes, next.writes)) {
      return Undecodable(in, row);
    }
    checkpoints.push_back(std::move(next));
  }
  if (!bytes.done() || IdFromBytes(row.last) < least) {
    return Undecodable(in, row);
  }
  return checkpoints;
}

absl::StatusOr<std::vector<PackedCheckpoint>> DecodePack(
    const StoredNamespace& in, const PackRow& row, std::string_view record) {
  return DecodePack(in, row, record, IdFromBytes(row.first),
                    IdFromBytes(row.last));
}

absl::StatusOr<std::vector<PackedValue>> DecodeValuePack(
    const StoredNamespace& in, const PackRow& row, std::string_view record) {
  std::string buffer;
  const absl::StatusOr<std::string_view> payload =
      Unsealed(in, row, record, buffer);
  if (!payload.ok()) return payload.status();
  std::vector<PackedValue> values;
  Unpacker bytes(*payload);
  const uint64_t count = bytes.Count();
  if (!bytes.ok() || count != row.count) return Undecodable(in, row);
  for (uint64_t i = 0; i < count && bytes.ok(); ++i) {
    PackedValue next;
    next.first = bytes.Number();
    const bool follows = values.empty() || values.back().first < next.first;
    if (!follows || !FromPayload(bytes.Text(), next.second)) {
      return Undecodable(in, row);
    }
    values.push_back(std::move(next));
  }
  if (!bytes.done()) return Undecodable(in, row);
  return values;
}

absl::StatusOr<std::string> CopyPack(const StoredNamespace& from,
                                     const StoredNamespace& to,
                                     const PackRow& row,
                                     std::string_view record) {
  std::string buffer;
  const absl::StatusOr<std::string_view> payload =
      Unsealed(from, row, record, buffer);
  if (!payload.ok()) return payload.status();
  return SealRecord(*payload, KeyOf(to, row));
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
