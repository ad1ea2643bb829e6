#include "weir/checkpoint/internal/packs.h"

#include <algorithm>
#include <limits>
#include <map>

#include "weir/checkpoint/internal/record.h"
#include "weir/checkpoint/internal/thread_rows.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

// Greater records of values stay rows, and values that give more.
constexpr int64_t kMaxValueRecordBytes = 4096;
constexpr size_t kMaxValueBytes = size_t{16} << 10;
// So few values stay rows.
constexpr size_t kFewValues = 1;
// So that a transaction does not take long.
constexpr int kPacksAtOnce = 8;
// Of namespaces whose rows are counted: so that a process may go on for ever.
constexpr size_t kMaxCounts = 100000;

constexpr char kCount[] =
    "SELECT count(*) FROM (SELECT 1 FROM checkpoint WHERE ns_id=?1 LIMIT ?2)";
constexpr char kOldest[] =
    "SELECT id, record FROM checkpoint WHERE ns_id=?1 ORDER BY id LIMIT ?2";
// Large records are left out.
constexpr char kWritesWithin[] =
    "SELECT id, task, idx, run, CASE WHEN length(record)<=?4 THEN record END"
    " FROM task_write WHERE ns_id=?1 AND id>=?2 AND id<=?3"
    " ORDER BY id, task, idx, run";
constexpr char kSmallValues[] =
    "SELECT version, record FROM value WHERE ns_id=?1 AND channel=?2"
    " AND version>=?3 AND version<=?4 AND length(record)<=?5 ORDER BY version";

constexpr char kMakeCheckpoint[] =
    "INSERT OR IGNORE INTO checkpoint VALUES(?1,?2,?3,?4)";
constexpr char kMakeValue[] =
    "INSERT OR IGNORE INTO value VALUES(?1,?2,?3,?4,?5)";
constexpr char kMakeWrite[] =
    "INSERT OR IGNORE INTO task_write VALUES(?1,?2,?3,?4,?5,?6)";
constexpr char kDropCheckpointsWithin[] =
    "DELETE FROM checkpoint WHERE ns_id=?1 AND id>=?2 AND id<=?3";
constexpr char kDropWritesWithin[] =
    "DELETE FROM task_write WHERE ns_id=?1 AND id>=?2 AND id<=?3";
constexpr char kDropValuesWithin[] =
    "DELETE FROM value WHERE ns_id=?1 AND channel=?2 AND version>=?3"
    " AND version<=?4 AND length(record)<=?5";

constexpr char kPutPack[] = "INSERT INTO pack VALUES(?1,?2,?3,?4,?5,?6,?7)";
constexpr char kPutPackRun[] =
    "INSERT OR IGNORE INTO pack_run VALUES(?1,?2,?3)";
constexpr char kDropPack[] =
    "DELETE FROM pack WHERE ns_id=?1 AND kind=?2 AND last=?3";
constexpr char kDropPackRun[] =
    "DELETE FROM pack_run WHERE run=?1 AND ns_id=?2 AND last=?3";
constexpr char kDropPacks[] = "DELETE FROM pack WHERE ns_id=?1";
// The one that has ?3, if any has.
constexpr char kPackWith[] =
    "SELECT kind, last, first, count, runs, record FROM pack"
    " WHERE ns_id=?1 AND kind=?2 AND last>=?3 ORDER BY last LIMIT 1";
constexpr char kFirstFrom[] =
    "SELECT first FROM pack WHERE ns_id=?1 AND kind=?2 AND last>=?3"
    " ORDER BY last LIMIT 1";
constexpr char kNewestPack[] =
    "SELECT last FROM pack WHERE ns_id=?1 AND kind=?2 ORDER BY last DESC"
    " LIMIT 1";
constexpr char kPacksBetween[] =
    "SELECT kind, last, first, count, runs, record FROM pack"
    " WHERE ns_id=?1 AND kind=?2 AND last>?3 AND first<?4 ORDER BY last DESC";
constexpr char kPacksOfKind[] =
    "SELECT kind, last, first, count, runs FROM pack"
    " WHERE ns_id=?1 AND kind=?2";
constexpr char kValuePacks[] =
    "SELECT kind, last, first, count, runs, record FROM pack"
    " WHERE ns_id=?1 AND kind>=x'63' AND kind<x'64'";
constexpr char kAllPacks[] =
    "SELECT kind, last, first, count, runs, record FROM pack WHERE ns_id=?1";
constexpr char kPacksOfRun[] = "SELECT ns_id, last FROM pack_run WHERE run=?1";

PackRow PackAt(const Rows& rows) {
  return {.kind = std::string(rows.Bytes(0)),
          .last = std::string(rows.Bytes(1)),
          .first = std::string(rows.Bytes(2)),
          .count = static_cast<uint64_t>(rows.Int(3)),
          .runs = std::string(rows.Bytes(4))};
}

}  // namespace

// What is to be packed.
struct Packs::Oldest {
  std::vector<PackedCheckpoint> checkpoints{};
  std::vector<size_t> bytes{};  // Of each.
  bool all_writes = true;       // That are in between.
  struct Values {
    std::string channel{};
    std::vector<PackedValue> values{};
    bool all = true;  // Small ones that are in between.
  };
  std::vector<Values> values{};
};

absl::Status Packs::Added(const StoredNamespace& in) {
  if (size_ == 0) return absl::OkStatus();
  if (counts_.size() > kMaxCounts) counts_.clear();
  const auto [at, is_new] = counts_.try_emplace(in.row, 0);
  if (is_new) {
    const absl::StatusOr<uint64_t> rows = CountRows(in.row);
    if (!rows.ok()) return rows.status();
    at->second = *rows;
  } else {
    ++at->second;
  }
  if (at->second >= 2 * size_) due_[in.row] = in;
  return absl::OkStatus();
}

absl::Status Packs::PackDue() {
  for (int packs = 0; !due_.empty() && packs < kPacksAtOnce; ++packs) {
    const StoredNamespace in = due_.begin()->second;
    const absl::StatusOr<uint64_t> rows = CountRows(in.row);
    if (!rows.ok()) return rows.status();
    uint64_t& count = counts_[in.row];
    count = *rows;
    Oldest oldest;
    absl::Status s;
    if (count >= 2 * size_) s = ReadOldest(in, oldest);
    const bool damaged = absl::IsDataLoss(s) || absl::IsFailedPrecondition(s);
    if (!s.ok() && !(damaged && db_.in_transaction())) return s;
    if (!s.ok() || oldest.checkpoints.empty()) {
      if (count >= 2 * size_) count = 0;  // Tried again after so many.
    } else {
      count -= oldest.checkpoints.size();
      s = PackOldest(in, oldest);
      if (!s.ok()) return s;
    }
    if (count < 2 * size_) due_.erase(in.row);
  }
  return absl::OkStatus();
}

// Up to the number at which there is as much again to pack.
absl::StatusOr<uint64_t> Packs::CountRows(int64_t row) {
  Rows rows(db_, kCount, row, Column(3 * size_));
  const uint64_t count = rows.Next() ? static_cast<uint64_t>(rows.Int(0)) : 0;
  if (!rows.status().ok()) return rows.status();
  return count;
}

// Changes nothing.
absl::Status Packs::ReadOldest(const StoredNamespace& in, Oldest& oldest) {
  std::optional<CheckpointId> end;  // Where the next pack begins.
  size_t bytes = 0;
  {
    Rows rows(db_, kOldest, in.row, Column(size_));
    while (rows.Next()) {
      const CheckpointId id = rows.Id(0);
      if (oldest.checkpoints.empty()) {
        Rows first(db_, kFirstFrom, in.row, kCheckpointPack, id);
        if (first.Next()) end = first.Id(0);
        if (!first.status().ok()) return first.status();
      }
      if (end && *end <= id) break;
      absl::StatusOr<StoredCheckpoint> checkpoint =
          DecodeCheckpoint(in, id, rows.Bytes(1));
      if (!checkpoint.ok()) return checkpoint.status();
      oldest.bytes.push_back(WholeBytes(rows.Bytes(1)) + kPackedPartBytes);
      oldest.checkpoints.push_back({.checkpoint = *std::move(checkpoint)});
      bytes += oldest.bytes.back();
      if (bytes > kMaxPackBytes) break;
    }
    if (!rows.status().ok()) return rows.status();
  }
  if (oldest.checkpoints.empty()) return absl::OkStatus();
  if (absl::Status s = ReadWrites(in, oldest); !s.ok()) return s;
  bytes = 0;
  for (size_t i = 0; i < oldest.bytes.size(); ++i) {
    bytes += oldest.bytes[i];
    if (bytes <= kMaxPackBytes) continue;
    // One that is too large alone has a pack of its own.
    oldest.checkpoints.resize(std::max<size_t>(i, 1));
    break;
  }
  std::map<std::string, std::set<uint64_t>> versions;
  for (const PackedCheckpoint& packed : oldest.checkpoints) {
    for (const StoredChannel& channel : packed.checkpoint.channels) {
      if (channel.kind != StoredChannel::kApart) continue;
      versions[channel.name].insert(channel.version);
    }
  }
  for (auto& [channel, of] : versions) {
    of.erase(std::prev(of.end()));  // Later checkpoints may have it.
    if (of.size() <= kFewValues) continue;
    if (absl::Status s = ReadValues(in, channel, of, oldest); !s.ok()) return s;
  }
  return absl::OkStatus();
}

// The writes of each checkpoint, all or none.
absl::Status Packs::ReadWrites(const StoredNamespace& in, Oldest& oldest) {
  const CheckpointId first = oldest.checkpoints.front().checkpoint.header.id;
  const CheckpointId last = oldest.checkpoints.back().checkpoint.header.id;
  const std::vector<size_t> without = oldest.bytes;
  size_t at = 0;
  size_t bytes = 0;  // Of the writes of that one, as far as they are read.
  Rows rows(db_, kWritesWithin, in.row, first, last,
            int64_t{kMaxPackedWritesBytes});
  while (rows.Next()) {
    const CheckpointId id = rows.Id(0);
    for (; oldest.checkpoints[at].checkpoint.header.id < id; ++at) bytes = 0;
    PackedCheckpoint& of = oldest.checkpoints[at];
    const std::string_view record = rows.Bytes(4);
    const bool there = of.checkpoint.header.id == id;
    if (there && record.empty()) bytes = kMaxPackedWritesBytes + 1;
    if (!there || bytes > kMaxPackedWritesBytes) {
      oldest.all_writes = false;
      of.writes.clear();
      oldest.bytes[at] = without[at];
      continue;
    }
    absl::StatusOr<StoredWrite> write =
        DecodeWrite(in, id, rows.Bytes(1), rows.Int(2), rows.Bytes(3), record);
    if (!write.ok()) return write.status();
    const size_t size = rows.Bytes(1).size() + rows.Bytes(3).size() +
                        WholeBytes(record) + kPackedPartBytes;
    bytes += size;
    oldest.bytes[at] += size;
    of.writes.push_back(*std::move(write));
    // The last that is too many.
    if (bytes <= kMaxPackedWritesBytes) continue;
    oldest.all_writes = false;
    of.writes.clear();
    oldest.bytes[at] = without[at];
  }
  return rows.status();
}

// Of these versions of a channel those that are to be packed; none, if some
// pack is among them.
absl::Status Packs::ReadValues(const StoredNamespace& in,
                               const std::string& channel,
                               const std::set<uint64_t>& versions,
                               Oldest& oldest) {
  if (*versions.rbegin() > std::numeric_limits<int64_t>::max()) {
    return absl::OkStatus();  // SQLite has them in another order.
  }
  Oldest::Values found{.channel = channel};
  size_t bytes = 0;
  Rows rows(db_, kSmallValues, in.row, channel, Column(*versions.begin()),
            Column(*versions.rbegin()), kMaxValueRecordBytes);
  while (rows.Next()) {
    const auto version = static_cast<uint64_t>(rows.Int(0));
    const std::string_view record = rows.Bytes(1);
    absl::StatusOr<StoredValue> value =
        DecodeValue(in, channel, version, record);
    if (!value.ok()) return value.status();
    const size_t size = WholeBytes(record) + kPackedPartBytes;
    if (!versions.contains(version) || size > kMaxValueBytes ||
        bytes + size > kMaxPackBytes) {
      found.all = false;
      continue;
    }
    bytes += size;
    found.values.emplace_back(version, *std::move(value));
  }
  if (!rows.status().ok()) return rows.status();
  if (found.values.size() <= kFewValues) return absl::OkStatus();
  Rows other(db_, kFirstFrom, in.row, ValuePackOf(channel),
             VersionToBytes(found.values.front().first));
  const bool among =
      other.Next() &&
      other.Bytes(0) <= VersionToBytes(found.values.back().first);
  if (!among) oldest.values.push_back(std::move(found));
  return other.status();
}

absl::Status Packs::PackOldest(const StoredNamespace& in,
                               const Oldest& oldest) {
  absl::Status s;
  PackRow row;
  const std::string record = EncodePack(in, oldest.checkpoints, row);
  s.Update(Put(in.row, row, record));
  if (s.ok()) s = db_.Run(kDropCheckpointsWithin, in.row, row.first, row.last);
  if (s.ok() && oldest.all_writes) {
    s = db_.Run(kDropWritesWithin, in.row, row.first, row.last);
  }
  for (const auto& [checkpoint, writes] : oldest.checkpoints) {
    if (!s.ok() || oldest.all_writes) break;
    const CheckpointId& id = checkpoint.header.id;
    if (!writes.empty()) s = db_.Run(kDropWritesWithin, in.row, id, id);
  }
  for (const auto& [channel, values, all] : oldest.values) {
    if (s.ok()) s = Put(in.row, row, EncodePack(in, channel, values, row));
    if (s.ok() && all) {
      s = db_.Run(kDropValuesWithin, in.row, channel,
                  Column(values.front().first), Column(values.back().first),
                  kMaxValueRecordBytes);
    }
    for (const auto& [version, value] : values) {
      if (!s.ok() || all) break;
      s = db_.Run(kDropValue, in.row, channel, Column(version));
    }
  }
  return s;
}

absl::Status Packs::Put(int64_t ns, const PackRow& row,
                        std::string_view record) {
  absl::Status s = db_.Run(kPutPack, ns, row.kind, row.last, row.first,
                           Column(row.count), row.runs, record);
  for (const std::string& run : RunsOf(row)) {
    if (s.ok()) s = db_.Run(kPutPackRun, run, ns, row.last);
  }
  return s;
}

absl::Status Packs::Drop(int64_t ns, const PackRow& row) {
  absl::Status s = db_.Run(kDropPack, ns, row.kind, row.last);
  for (const std::string& run : RunsOf(row)) {
    if (s.ok()) s = db_.Run(kDropPackRun, run, ns, row.last);
  }
  return s;
}

absl::StatusOr<std::optional<PackedCheckpoint>> Packs::Find(
    const StoredNamespace& in, const CheckpointId& id) {
  Rows rows(db_, kPackWith, in.row, kCheckpointPack, id);
  if (!rows.Next() || id < rows.Id(2)) {
    if (!rows.status().ok()) return rows.status();
    return std::nullopt;
  }
  absl::StatusOr<std::vector<PackedCheckpoint>> one =
      DecodePack(in, PackAt(rows), rows.Bytes(5), id, id);
  if (!one.ok()) return one.status();
  if (one->empty()) return std::nullopt;
  return std::move(one->front());
}

absl::Status Packs::Each(const StoredNamespace& in, const CheckpointId& after,
                         const std::optional<CheckpointId>& before,
                         OnCheckpoint each) {
  // Greater than all ids.
  const std::string end = before ? IdToBytes(*before) : std::string(17, '\xff');
  Rows rows(db_, kPacksBetween, in.row, kCheckpointPack, after, end);
  while (rows.Next()) {
    absl::StatusOr<std::vector<PackedCheckpoint>> some =
        DecodePack(in, PackAt(rows), rows.Bytes(5));
    if (!some.ok()) return some.status();
    for (auto at = some->rbegin(); at != some->rend(); ++at) {
      const CheckpointId& id = at->checkpoint.header.id;
      if (before && *before <= id) continue;
      if (id <= after || !each(std::move(*at))) return absl::OkStatus();
    }
  }
  return rows.status();
}

absl::StatusOr<std::vector<PackedValue>> Packs::FindValues(
    const StoredNamespace& in, std::string_view channel, uint64_t version) {
  const std::string bytes = VersionToBytes(version);
  Rows rows(db_, kPackWith, in.row, ValuePackOf(channel), bytes);
  const bool found = rows.Next() && rows.Bytes(2) <= bytes;
  if (found) return DecodeValuePack(in, PackAt(rows), rows.Bytes(5));
  if (!rows.status().ok()) return rows.status();
  return std::vector<PackedValue>();
}

absl::Status Packs::EachValue(const StoredNamespace& in, OnValue each) {
  Rows rows(db_, kValuePacks, in.row);
  while (rows.Next()) {
    const PackRow row = PackAt(rows);
    absl::StatusOr<std::vector<PackedValue>> values =
        DecodeValuePack(in, row, rows.Bytes(5));
    if (!values.ok()) return values.status();
    for (PackedValue& value : *values) each(ChannelOf(row), std::move(value));
  }
  return rows.status();
}

absl::StatusOr<bool> Packs::Unpack(const StoredNamespace& in,
                                   const CheckpointId& id) {
  PackRow row;
  std::string record;
  {
    Rows rows(db_, kPackWith, in.row, kCheckpointPack, id);
    if (rows.Next()) {
      row = PackAt(rows);
      record = rows.Bytes(5);
    }
    if (!rows.status().ok()) return rows.status();
  }
  if (record.empty() || id < IdFromBytes(row.first)) return false;
  absl::StatusOr<std::vector<PackedCheckpoint>> all =
      DecodePack(in, row, record);
  if (!all.ok()) return all.status();
  bool found = false;
  absl::Status s = Drop(in.row, row);
  for (const auto& [checkpoint, writes] : *all) {
    found = found || checkpoint.header.id == id;
    s.Update(db_.Run(kMakeCheckpoint, in.row, checkpoint.header.id,
                     checkpoint.header.metadata.run_id,
                     EncodeCheckpoint(in, checkpoint)));
    for (const StoredWrite& stored : writes) {
      const PendingWrite& write = stored.write;
      s.Update(db_.Run(kMakeWrite, in.row, checkpoint.header.id, write.task_id,
                       int64_t{write.index}, RunColumn(write),
                       EncodeWrite(in, checkpoint.header.id, stored)));
    }
    if (!s.ok()) return s;
  }
  counts_.erase(in.row);
  return found;
}

absl::Status Packs::UnpackRun(const std::string& run, OnNamespace each) {
  std::vector<std::pair<int64_t, CheckpointId>> packs;
  {
    Rows rows(db_, kPacksOfRun, run);
    while (rows.Next()) packs.emplace_back(rows.Int(0), rows.Id(1));
    if (!rows.status().ok()) return rows.status();
  }
  for (const auto& [ns, last] : packs) {
    StoredNamespace in;
    {
      Rows rows(db_, kNamespace, ns);
      if (rows.Next()) {
        in = {.row = ns,
              .thread = std::string(rows.Bytes(1)),
              .ns = std::string(rows.Bytes(2))};
      }
      if (!rows.status().ok()) return rows.status();
    }
    const absl::StatusOr<bool> unpacked = Unpack(in, last);
    if (!unpacked.ok()) return unpacked.status();
    each(ns);
  }
  return absl::OkStatus();
}

absl::Status Packs::UnpackNewest(const StoredNamespace& in) {
  CheckpointId packed, latest;
  {
    Rows rows(db_, kNewestPack, in.row, kCheckpointPack);
    if (rows.Next()) packed = rows.Id(0);
    Rows newest(db_, kLatest, in.row);
    if (newest.Next()) latest = newest.Id(0);
    if (!rows.status().ok()) return rows.status();
    if (!newest.status().ok()) return newest.status();
  }
  if (packed <= latest) return absl::OkStatus();
  return Unpack(in, packed).status();
}

absl::Status Packs::DropValues(const StoredNamespace& in,
                               const ValueKeys& gone) {
  struct Changed {
    PackRow row;
    std::vector<PackedValue> left;
  };
  std::vector<Changed> changed;
  {
    Rows rows(db_, kValuePacks, in.row);
    while (rows.Next()) {
      Changed pack{PackAt(rows), {}};
      absl::StatusOr<std::vector<PackedValue>> values =
          DecodeValuePack(in, pack.row, rows.Bytes(5));
      if (!values.ok()) return values.status();
      const std::string channel(ChannelOf(pack.row));
      for (PackedValue& value : *values) {
        if (gone.contains({channel, value.first})) continue;
        pack.left.push_back(std::move(value));
      }
      if (pack.left.size() < values->size()) changed.push_back(std::move(pack));
    }
    if (!rows.status().ok()) return rows.status();
  }
  for (const Changed& pack : changed) {
    absl::Status s = Drop(in.row, pack.row);
    const std::string_view channel = ChannelOf(pack.row);
    for (const auto& [version, value] : pack.left) {
      s.Update(db_.Run(kMakeValue, in.row, channel, Column(version),
                       Column(value.appended_to),
                       EncodeValue(in, channel, version, value)));
    }
    if (!s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status Packs::DropCheckpoints(int64_t row) {
  std::vector<PackRow> packs;
  {
    Rows rows(db_, kPacksOfKind, row, kCheckpointPack);
    while (rows.Next()) packs.push_back(PackAt(rows));
    if (!rows.status().ok()) return rows.status();
  }
  absl::Status s;
  for (const PackRow& pack : packs) s.Update(Drop(row, pack));
  return s;
}

absl::Status Packs::DropAll(int64_t row) {
  counts_.erase(row);
  due_.erase(row);
  absl::Status s = DropCheckpoints(row);
  s.Update(db_.Run(kDropPacks, row));
  return s;
}

absl::Status Packs::Copy(const StoredNamespace& from,
                         const StoredNamespace& to) {
  Rows rows(db_, kAllPacks, from.row);
  while (rows.Next()) {
    const PackRow row = PackAt(rows);
    const absl::StatusOr<std::string> record =
        CopyPack(from, to, row, rows.Bytes(5));
    if (!record.ok()) return record.status();
    if (absl::Status s = Put(to.row, row, *record); !s.ok()) return s;
  }
  return rows.status();
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
