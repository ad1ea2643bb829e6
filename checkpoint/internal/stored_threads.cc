#include "weir/checkpoint/internal/stored_threads.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <limits>
#include <tuple>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_format.h"

#include "weir/checkpoint/internal/contract.h"
#include "weir/checkpoint/internal/metadata_filter.h"
#include "weir/checkpoint/internal/record.h"
#include "weir/checkpoint/internal/thread_rows.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

constexpr std::string_view kSessions = "sessions";

constexpr char kGetNumber[] = "SELECT record FROM number WHERE name=?1";
constexpr char kPutNumber[] = "REPLACE INTO number VALUES(?1,?2)";

constexpr char kFindThread[] =
    "SELECT thread_id, record FROM thread WHERE name=?1";
constexpr char kAddThread[] =
    "INSERT INTO thread(name, record) VALUES(?1, x'')";
constexpr char kUpdateThread[] =
    "UPDATE thread SET record=?2 WHERE thread_id=?1";
constexpr char kDropThread[] = "DELETE FROM thread WHERE thread_id=?1";

constexpr char kFindNamespace[] =
    "SELECT ns_id FROM thread JOIN ns USING(thread_id) "
    "WHERE name=?1 AND path=?2";
constexpr char kAddNamespace[] =
    "INSERT INTO ns(thread_id, path) VALUES(?1,?2)";
constexpr char kNamespacesOf[] =
    "SELECT ns_id, name, path FROM thread JOIN ns USING(thread_id) "
    "WHERE name=?1";
constexpr char kNamespaces[] =
    "SELECT ns_id, name, path FROM thread JOIN ns USING(thread_id)";
constexpr char kDropNamespace[] = "DELETE FROM ns WHERE ns_id=?1";
constexpr char kDropEmptyNamespace[] =
    "DELETE FROM ns WHERE ns_id=?1"
    " AND NOT EXISTS(SELECT 1 FROM checkpoint WHERE ns_id=?1)"
    " AND NOT EXISTS(SELECT 1 FROM pack WHERE ns_id=?1)"
    " AND NOT EXISTS(SELECT 1 FROM task_write WHERE ns_id=?1)";

constexpr char kLoad[] =
    "SELECT record FROM checkpoint WHERE ns_id=?1 AND id=?2";
constexpr char kIsRow[] = "SELECT 1 FROM checkpoint WHERE ns_id=?1 AND id=?2";
constexpr char kPutCheckpoint[] = "REPLACE INTO checkpoint VALUES(?1,?2,?3,?4)";
constexpr char kCheckpoints[] =
    "SELECT id, record, run FROM checkpoint WHERE ns_id=?1";
constexpr char kNewestFirst[] =
    "SELECT id, record FROM checkpoint WHERE ns_id=?1 ORDER BY id DESC";
constexpr char kNewestBefore[] =
    "SELECT id, record FROM checkpoint WHERE ns_id=?1 AND id<?2 "
    "ORDER BY id DESC";
constexpr char kOfRun[] =
    "SELECT ns_id, id FROM checkpoint WHERE run=?1 AND run <> x''";
constexpr char kDropCheckpoint[] =
    "DELETE FROM checkpoint WHERE ns_id=?1 AND id=?2";
constexpr char kDropOlder[] = "DELETE FROM checkpoint WHERE ns_id=?1 AND id<?2";
constexpr char kDropCheckpoints[] = "DELETE FROM checkpoint WHERE ns_id=?1";

constexpr char kPutValue[] =
    "INSERT OR IGNORE INTO value VALUES(?1,?2,?3,?4,?5)";
constexpr char kLoadValue[] =
    "SELECT record FROM value WHERE ns_id=?1 AND channel=?2 AND version=?3";
// Pieces follow one another in this order, but for those of other branches.
constexpr char kPiecesFrom[] =
    "SELECT version, record FROM value "
    "WHERE ns_id=?1 AND channel=?2 AND version<=?3 ORDER BY version DESC";
constexpr char kValueKeys[] =
    "SELECT channel, version, appended_to FROM value WHERE ns_id=?1";
constexpr char kValues[] =
    "SELECT channel, version, appended_to, record FROM value WHERE ns_id=?1";
constexpr char kDropValues[] = "DELETE FROM value WHERE ns_id=?1";

constexpr char kPutWrite[] =
    "REPLACE INTO task_write VALUES(?1,?2,?3,?4,?5,?6)";
constexpr char kWritesAt[] =
    "SELECT run, record FROM task_write "
    "WHERE ns_id=?1 AND id=?2 AND task=?3 AND idx=?4";
constexpr char kWritesBetween[] =
    "SELECT id, task, idx, run, record FROM task_write "
    "WHERE ns_id=?1 AND id>=?2 AND id<=?3 ORDER BY id, task, idx, run";
constexpr char kWrites[] =
    "SELECT id, task, idx, run, record FROM task_write WHERE ns_id=?1";
constexpr char kWrittenByRun[] =
    "SELECT DISTINCT ns_id FROM task_write WHERE run=?1 AND run <> x''";
constexpr char kDropWritesOfRun[] =
    "DELETE FROM task_write WHERE run=?1 AND run <> x''";
constexpr char kDropWritesAt[] =
    "DELETE FROM task_write WHERE ns_id=?1 AND id=?2";
constexpr char kDropOlderWrites[] =
    "DELETE FROM task_write WHERE ns_id=?1 AND id<?2";
constexpr char kDropWrites[] = "DELETE FROM task_write WHERE ns_id=?1";

StoredNamespace NamespaceAt(const Rows& rows) {
  return {.row = rows.Int(0),
          .thread = std::string(rows.Bytes(1)),
          .ns = std::string(rows.Bytes(2))};
}
absl::StatusOr<std::vector<StoredNamespace>> NamespacesIn(Rows& rows) {
  std::vector<StoredNamespace> found;
  while (rows.Next()) found.push_back(NamespaceAt(rows));
  if (!rows.status().ok()) return rows.status();
  return found;
}

absl::Status Missing(const StoredNamespace& in, const std::string& channel,
                     uint64_t version) {
  return absl::DataLossError(absl::StrFormat(
      "thread '%s', namespace '%s', channel '%s': version %d is missing",
      in.thread, in.ns, channel, version));
}

bool Matches(const Checkpoint& checkpoint, const CheckpointQuery& query) {
  const CheckpointMetadata& m = checkpoint.metadata;
  return internal::Matches(m.source, m.step, m.run_id, m.custom, query.filter);
}

// Of the writes of one checkpoint, those that show, in the order of
// CheckpointTuple. `stored` is by task, index and run.
std::vector<PendingWrite> Shown(std::vector<StoredWrite> stored) {
  std::vector<StoredWrite*> shown;
  for (StoredWrite& next : stored) {
    StoredWrite* last = shown.empty() ? nullptr : shown.back();
    if (last == nullptr || last->write.task_id != next.write.task_id ||
        last->write.index != next.write.index) {
      shown.push_back(&next);
    } else if ((next.arrival > last->arrival) == (next.write.index < 0)) {
      shown.back() = &next;
    }
  }
  absl::flat_hash_map<std::string, uint64_t> first;  // Place of each task.
  for (const StoredWrite* s : shown) {
    uint64_t& place = first.emplace(s->write.task_id, s->place).first->second;
    place = std::min(place, s->place);
  }
  std::stable_sort(shown.begin(), shown.end(),
                   [&first](const StoredWrite* a, const StoredWrite* b) {
                     return std::tuple(first[a->write.task_id],
                                       a->write.index) <
                            std::tuple(first[b->write.task_id], b->write.index);
                   });
  std::vector<PendingWrite> writes;
  absl::flat_hash_map<std::string, std::shared_ptr<const std::string>> runs;
  for (StoredWrite* s : shown) {
    std::shared_ptr<const std::string>& run = s->write.run_id;
    if (run != nullptr) run = runs.emplace(*run, run).first->second;
    writes.push_back(std::move(s->write));
  }
  return writes;
}

}  // namespace

// A checkpoint before its values, and writes that are rows, are loaded.
struct StoredThreads::Found {
  StoredNamespace in;
  PackedCheckpoint of;

  const CheckpointId& id() const { return of.checkpoint.header.id; }
};

// A checkpoint on the way to whoever asks.
struct StoredThreads::Wanted {
  CheckpointTuple* tuple = nullptr;
  std::vector<StoredWrite> writes{};
};

absl::Status StoredThreads::Begin() {
  uint64_t sessions = 0;
  {
    Rows rows(db_, kGetNumber, kSessions);
    if (rows.Next()) {
      const absl::StatusOr<uint64_t> number =
          DecodeNumber(kSessions, rows.Bytes(0));
      if (!number.ok()) return number.status();
      sessions = *number;
    }
    if (!rows.status().ok()) return rows.status();
  }
  ++sessions;
  count_ = sessions << kCountBits;
  return db_.Run(kPutNumber, kSessions, EncodeNumber(kSessions, sessions));
}

auto StoredThreads::FindThread(std::string_view name) -> Maybe<StoredThread> {
  Rows rows(db_, kFindThread, name);
  if (!rows.Next()) {
    if (!rows.status().ok()) return rows.status();
    return std::nullopt;
  }
  absl::StatusOr<StoredThread> thread =
      DecodeThread(rows.Int(0), std::string(name), rows.Bytes(1));
  if (!thread.ok()) return thread.status();
  return *std::move(thread);
}

absl::StatusOr<StoredThread> StoredThreads::FindOrAddThread(
    const std::string& name) {
  Maybe<StoredThread> found = FindThread(name);
  if (!found.ok()) return found.status();
  if (*found) return **std::move(found);
  if (absl::Status s = db_.Run(kAddThread, name); !s.ok()) return s;
  return StoredThread{.row = db_.last_row(), .name = name};
}

absl::StatusOr<StoredThread> StoredThreads::Fenced(const Fence& fence) {
  Maybe<StoredThread> thread = FindThread(fence.thread);
  if (!thread.ok()) return thread.status();
  if (*thread && fence.epoch != 0 && (*thread)->epoch == fence.epoch) {
    return **std::move(thread);
  }
  return FencedError(fence);
}

absl::Status StoredThreads::Update(const StoredThread& thread) {
  return db_.Run(kUpdateThread, thread.row, EncodeThread(thread));
}

auto StoredThreads::FindNamespace(const std::string& thread,
                                  const std::string& ns)
    -> Maybe<StoredNamespace> {
  Rows rows(db_, kFindNamespace, thread, ns);
  if (rows.Next()) {
    return StoredNamespace{.row = rows.Int(0), .thread = thread, .ns = ns};
  }
  if (!rows.status().ok()) return rows.status();
  return std::nullopt;
}

absl::StatusOr<StoredNamespace> StoredThreads::FindOrAddNamespace(
    const StoredThread& thread, const std::string& ns) {
  Maybe<StoredNamespace> found = FindNamespace(thread.name, ns);
  if (!found.ok()) return found.status();
  if (*found) return **std::move(found);
  absl::Status s = db_.Run(kAddNamespace, thread.row, ns);
  if (!s.ok()) return s;
  return StoredNamespace{
      .row = db_.last_row(), .thread = thread.name, .ns = ns};
}

absl::StatusOr<std::vector<StoredNamespace>> StoredThreads::NamespacesOf(
    const std::string& thread) {
  Rows rows(db_, kNamespacesOf, thread);
  return NamespacesIn(rows);
}

absl::StatusOr<std::vector<StoredNamespace>> StoredThreads::Namespaces(
    const CheckpointQuery& query) {
  if (query.thread && query.ns) {
    Maybe<StoredNamespace> one = FindNamespace(*query.thread, *query.ns);
    if (!one.ok()) return one.status();
    std::vector<StoredNamespace> found;
    if (*one) found.push_back(**std::move(one));
    return found;
  }
  if (query.thread) return NamespacesOf(*query.thread);
  Rows rows(db_, kNamespaces);
  absl::StatusOr<std::vector<StoredNamespace>> all = NamespacesIn(rows);
  if (all.ok() && query.ns) {
    std::erase_if(*all, [&query](const StoredNamespace& in) {
      return in.ns != *query.ns;
    });
  }
  return all;
}

auto StoredThreads::Latest(const StoredNamespace& in) -> Maybe<CheckpointId> {
  Rows rows(db_, kLatest, in.row);
  if (rows.Next()) return rows.Id(0);
  if (!rows.status().ok()) return rows.status();
  return std::nullopt;
}

auto StoredThreads::Load(const StoredNamespace& in, const CheckpointId& id)
    -> Maybe<PackedCheckpoint> {
  {
    Rows rows(db_, kLoad, in.row, id);
    if (rows.Next()) {
      absl::StatusOr<StoredCheckpoint> checkpoint =
          DecodeCheckpoint(in, id, rows.Bytes(0));
      if (!checkpoint.ok()) return checkpoint.status();
      return PackedCheckpoint{.checkpoint = *std::move(checkpoint)};
    }
    if (!rows.status().ok()) return rows.status();
  }
  return packs_.Find(in, id);
}

absl::StatusOr<bool> StoredThreads::IsRow(const StoredNamespace& in,
                                          const CheckpointId& id) {
  Rows rows(db_, kIsRow, in.row, id);
  const bool found = rows.Next();
  if (!rows.status().ok()) return rows.status();
  return found;
}

// Whether a checkpoint of that id is stored, and then it is a row from now on;
// fails if it is not and never can be.
absl::StatusOr<bool> StoredThreads::Takes(const StoredNamespace& in,
                                          const CheckpointId& id) {
  const Maybe<CheckpointId> latest = Latest(in);
  if (!latest.ok()) return latest.status();
  if (!*latest || id > **latest) return false;
  absl::StatusOr<bool> stored = IsRow(in, id);
  if (stored.ok() && !*stored) stored = packs_.Unpack(in, id);
  if (!stored.ok() || *stored) return stored;
  return Refused(in.thread, id,
                 "it is not stored, and its id is not the greatest");
}

absl::Status StoredThreads::Commit(const RunCommit& commit,
                                   size_t max_header_bytes) {
  if (commit.fence.epoch != 0) {
    const absl::StatusOr<StoredThread> fenced = Fenced(commit.fence);
    if (!fenced.ok()) return fenced.status();
  }
  absl::Status s;
  if (commit.writes) s.Update(PutWrites(commit.fence, *commit.writes));
  if (commit.checkpoint) {
    s.Update(Put(commit.fence, *commit.checkpoint, max_header_bytes));
  }
  if (s.ok()) s = runs_.Put(commit);
  return s;
}

absl::StatusOr<ThreadLease> StoredThreads::Open(const std::string& name) {
  absl::StatusOr<StoredThread> thread = FindOrAddThread(name);
  if (!thread.ok()) return thread.status();
  thread->epoch = NextCount();
  if (absl::Status s = Update(*thread); !s.ok()) return s;
  return ThreadLease{.fence = {.thread = name, .epoch = thread->epoch},
                     .last_sequence = thread->last_sequence,
                     .last_version = thread->last_version};
}

absl::Status StoredThreads::Put(const Fence& fence, const NewCheckpoint& made,
                                size_t max_header_bytes) {
  const Checkpoint& checkpoint = made.checkpoint;
  const CheckpointId id = checkpoint.id;
  if (absl::Status s = CheckId(fence.thread, id); !s.ok()) return s;
  absl::StatusOr<StoredThread> thread = Fenced(fence);
  if (!thread.ok()) return thread.status();
  const absl::StatusOr<StoredNamespace> in =
      FindOrAddNamespace(*thread, checkpoint.ns);
  if (!in.ok()) return in.status();
  const absl::StatusOr<bool> replaces = Takes(*in, id);
  if (!replaces.ok()) return replaces.status();
  const absl::StatusOr<StoredCheckpoint> stored = Apply(*in, *thread, made);
  if (!stored.ok()) return stored.status();
  const std::string record = EncodeCheckpoint(*in, *stored);
  if (WholeBytes(record) > max_header_bytes) {
    return absl::ResourceExhaustedError(absl::StrFormat(
        "thread '%s', checkpoint %s: its header of %d bytes is more than the "
        "%d that SqliteOptions::max_header_bytes allows",
        fence.thread, id.ToString(), WholeBytes(record), max_header_bytes));
  }
  absl::Status s =
      db_.Run(kPutCheckpoint, in->row, id, checkpoint.metadata.run_id, record);
  if (s.ok()) s = *replaces ? CollectValues(*in) : packs_.Added(*in);
  if (!s.ok()) return s;
  thread->last_sequence = std::max(thread->last_sequence, id.sequence);
  for (const SavedChannel& channel : checkpoint.channels) {
    thread->last_version = std::max(thread->last_version, channel.version);
  }
  return Update(*thread);
}

// The whole of a checkpoint, of which the new values have been stored.
absl::StatusOr<StoredCheckpoint> StoredThreads::Apply(
    const StoredNamespace& in, const StoredThread& thread,
    const NewCheckpoint& made) {
  const Checkpoint& changed = made.checkpoint;
  StoredCheckpoint base;
  if (made.base.has_value()) {
    Maybe<PackedCheckpoint> loaded = Load(in, made.base);
    if (!loaded.ok()) return loaded.status();
    if (!*loaded) {
      return Refused(in.thread, changed.id,
                     "its base " + made.base.ToString() + " is not stored");
    }
    base = std::move((*loaded)->checkpoint);
  }
  absl::flat_hash_set<std::string> gone(made.removed.begin(),
                                        made.removed.end());
  std::vector<StoredChannel> channels;
  absl::flat_hash_set<std::string_view> put_names;
  for (const SavedChannel& channel : changed.channels) {
    // The first of a name stays, as in memory.
    if (!put_names.insert(channel.channel).second) continue;
    absl::StatusOr<StoredChannel> put = PutChannel(in, thread, base, channel);
    if (absl::IsFailedPrecondition(put.status())) {
      return Refused(in.thread, changed.id,
                     std::string(put.status().message()));
    }
    if (!put.ok()) return put.status();
    gone.insert(channel.channel);
    channels.push_back(*std::move(put));
  }
  for (StoredChannel& channel : base.channels) {
    if (!gone.contains(channel.name)) channels.push_back(std::move(channel));
  }
  std::sort(channels.begin(), channels.end(),
            [](const StoredChannel& a, const StoredChannel& b) {
              return a.name < b.name;
            });
  StoredCheckpoint whole{.channels = std::move(channels)};
  whole.header.ns = in.ns;
  whole.header.id = changed.id;
  whole.header.parent = changed.parent;
  whole.header.created_at = changed.created_at;
  whole.header.metadata = changed.metadata;
  return whole;
}

absl::StatusOr<StoredChannel> StoredThreads::PutChannel(
    const StoredNamespace& in, const StoredThread& thread,
    const StoredCheckpoint& base, const SavedChannel& channel) {
  StoredChannel stored{.name = channel.channel, .version = channel.version};
  const std::string* bytes = channel.value.bytes();
  if (channel.appended_to == 0) {
    if (bytes == nullptr) return stored;
    if (bytes->size() <= kInlineBytes) {
      stored.kind = StoredChannel::kInline;
      stored.value = *bytes;
      return stored;
    }
  } else {
    const StoredChannel* before = base.Find(channel.channel);
    if (before == nullptr || before->version != channel.appended_to) {
      return absl::FailedPreconditionError(absl::StrFormat(
          "channel '%s' is appended to version %d, which its base has not",
          channel.channel, channel.appended_to));
    }
    // What a chain of pieces begins with has to be found by its version.
    if (before->kind != StoredChannel::kApart) {
      StoredValue whole;
      if (before->kind == StoredChannel::kInline) {
        whole.value = SavedValue::FromBytes(before->value);
      }
      absl::Status s =
          PutValue(in, thread, before->name, before->version, whole);
      if (!s.ok()) return s;
    }
  }
  stored.kind = StoredChannel::kApart;
  absl::Status s =
      PutValue(in, thread, channel.channel, channel.version,
               {.appended_to = channel.appended_to, .value = channel.value});
  if (!s.ok()) return s;
  return stored;
}

// `thread` is as it was before.
absl::Status StoredThreads::PutValue(const StoredNamespace& in,
                                     const StoredThread& thread,
                                     const std::string& channel,
                                     uint64_t version,
                                     const StoredValue& value) {
  const auto put = [&] {
    return db_.Run(kPutValue, in.row, channel, Column(version),
                   Column(value.appended_to),
                   EncodeValue(in, channel, version, value));
  };
  if (version > thread.last_version) {
    absl::Status s = put();
    if (!s.ok() || db_.changes() != 0) return s;
  }
  const Maybe<StoredValue> there = FindValue(in, channel, version);
  if (!there.ok()) return there.status();
  if (!*there) return put();
  if (PayloadOf(**there) == PayloadOf(value)) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrFormat("channel '%s' has already had another value at version "
                      "%d; each needs a version of its own",
                      channel, version));
}

auto StoredThreads::FindValue(const StoredNamespace& in,
                              const std::string& channel, uint64_t version)
    -> Maybe<StoredValue> {
  Values loaded;
  if (absl::Status s = LoadValues(in, channel, version, loaded); !s.ok())
    return s;
  const auto at = loaded.find({channel, version});
  if (at == loaded.end()) return std::nullopt;
  return std::move(at->second);
}

// Adds the value, and others that are packed with it.
absl::Status StoredThreads::LoadValues(const StoredNamespace& in,
                                       const std::string& channel,
                                       uint64_t version, Values& loaded) {
  {
    Rows rows(db_, kLoadValue, in.row, channel, Column(version));
    if (rows.Next()) {
      absl::StatusOr<StoredValue> value =
          DecodeValue(in, channel, version, rows.Bytes(0));
      if (value.ok()) loaded.emplace(std::pair(channel, version), *value);
      return value.status();
    }
    if (!rows.status().ok()) return rows.status();
  }
  absl::StatusOr<std::vector<PackedValue>> packed =
      packs_.FindValues(in, channel, version);
  if (!packed.ok()) return packed.status();
  for (auto& [packed_version, value] : *packed) {
    loaded.emplace(std::pair(channel, packed_version), std::move(value));
  }
  return absl::OkStatus();
}

absl::StatusOr<SavedChannel> StoredThreads::LoadChannel(
    const StoredNamespace& in, const StoredChannel& channel, Values& loaded) {
  SavedChannel saved{.channel = channel.name, .version = channel.version};
  if (channel.kind == StoredChannel::kInline) {
    saved.value = SavedValue::FromBytes(channel.value);
  }
  if (channel.kind != StoredChannel::kApart) return saved;
  const auto key = std::pair(channel.name, channel.version);
  auto at = loaded.find(key);
  if (at == loaded.end()) {
    absl::Status s = LoadValues(in, channel.name, channel.version, loaded);
    if (!s.ok()) return s;
    at = loaded.find(key);
    if (at == loaded.end()) return Missing(in, channel.name, channel.version);
  }
  saved.appended_to = at->second.appended_to;
  saved.value = at->second.value;
  return saved;
}

absl::StatusOr<std::vector<SavedChannel>> StoredThreads::LoadPieces(
    const StoredNamespace& in, const StoredChannel& channel) {
  std::vector<SavedChannel> pieces;
  if (channel.kind != StoredChannel::kApart) {
    Values none;
    absl::StatusOr<SavedChannel> whole = LoadChannel(in, channel, none);
    if (!whole.ok()) return whole.status();
    pieces.push_back(*std::move(whole));
    return pieces;
  }
  absl::flat_hash_set<uint64_t> seen;  // A line of them has no end in a circle.
  uint64_t next = channel.version;
  while (next != 0) {
    if (!seen.insert(next).second) {
      return absl::DataLossError(absl::StrFormat(
          "thread '%s', namespace '%s', channel '%s': version %d is appended "
          "to itself",
          in.thread, in.ns, channel.name, channel.version));
    }
    const size_t before = pieces.size();
    absl::Status s = LoadPiecesFrom(in, channel.name, &next, &pieces);
    s.Update(UnpackPiecesFrom(in, channel.name, &next, &pieces));
    if (!s.ok()) return s;
    if (pieces.size() == before) return Missing(in, channel.name, next);
  }
  std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

// Adds pieces, the last first, from the version `next` on as far as they lie
// beside one another; `next` is then what follows.
absl::Status StoredThreads::LoadPiecesFrom(const StoredNamespace& in,
                                           const std::string& channel,
                                           uint64_t* next,
                                           std::vector<SavedChannel>* pieces) {
  Rows rows(db_, kPiecesFrom, in.row, channel, Column(*next));
  while (*next != 0 && rows.Next() && rows.Int(0) == Column(*next)) {
    absl::StatusOr<StoredValue> value =
        DecodeValue(in, channel, *next, rows.Bytes(1));
    if (!value.ok()) return value.status();
    pieces->push_back({.channel = channel,
                       .version = *next,
                       .appended_to = value->appended_to,
                       .value = std::move(value->value)});
    *next = value->appended_to;
  }
  return rows.status();
}

// The same, as far as they are in one pack.
absl::Status StoredThreads::UnpackPiecesFrom(
    const StoredNamespace& in, const std::string& channel, uint64_t* next,
    std::vector<SavedChannel>* pieces) {
  if (*next == 0) return absl::OkStatus();
  absl::StatusOr<std::vector<PackedValue>> packed =
      packs_.FindValues(in, channel, *next);
  if (!packed.ok()) return packed.status();
  for (auto at = packed->rbegin(); at != packed->rend(); ++at) {
    auto& [version, value] = *at;
    if (version != *next) continue;
    pieces->push_back({.channel = channel,
                       .version = version,
                       .appended_to = value.appended_to,
                       .value = std::move(value.value)});
    *next = value.appended_to;
  }
  return absl::OkStatus();
}

absl::Status StoredThreads::PutWrites(const Fence& fence,
                                      const NewWrites& writes) {
  const CheckpointId id = writes.checkpoint;
  if (absl::Status s = CheckId(fence.thread, id); !s.ok()) return s;
  const absl::StatusOr<StoredThread> thread = Fenced(fence);
  if (!thread.ok()) return thread.status();
  const absl::StatusOr<StoredNamespace> in =
      FindOrAddNamespace(*thread, writes.ns);
  if (!in.ok()) return in.status();
  if (absl::Status s = Takes(*in, id).status(); !s.ok()) return s;
  for (const PendingWrite& write : writes.writes) {
    if (absl::Status s = PutWrite(*in, id, write); !s.ok()) return s;
  }
  return writes.writes.empty() ? DropIfEmpty(*in) : absl::OkStatus();
}

absl::Status StoredThreads::PutWrite(const StoredNamespace& in,
                                     const CheckpointId& id,
                                     const PendingWrite& write) {
  const std::string run = RunColumn(write);
  StoredWrite made{.write = write, .arrival = NextCount()};
  made.place = made.arrival;
  {
    Rows rows(db_, kWritesAt, in.row, id, write.task_id, int64_t{write.index});
    while (rows.Next()) {
      // One write of each run: from 0 on its first, below its last.
      if (rows.Bytes(0) == run && write.index >= 0) return absl::OkStatus();
      const absl::StatusOr<StoredWrite> there = DecodeWrite(
          in, id, write.task_id, write.index, rows.Bytes(0), rows.Bytes(1));
      if (!there.ok()) return there.status();
      made.place = there->place;
    }
    if (!rows.status().ok()) return rows.status();
  }
  return db_.Run(kPutWrite, in.row, id, write.task_id, int64_t{write.index},
                 run, EncodeWrite(in, id, made));
}

auto StoredThreads::Find(const CheckpointKey& key) -> Maybe<Found> {
  Maybe<StoredNamespace> in = FindNamespace(key.thread, key.ns);
  if (!in.ok()) return in.status();
  if (!*in) return std::nullopt;
  Maybe<CheckpointId> id = key.id;
  if (!key.id) id = Latest(**in);
  if (!id.ok()) return id.status();
  if (!*id) return std::nullopt;
  Maybe<PackedCheckpoint> found = Load(**in, **id);
  if (!found.ok()) return found.status();
  if (!*found) return std::nullopt;
  return Found{**std::move(in), **std::move(found)};
}

absl::StatusOr<std::optional<CheckpointTuple>> StoredThreads::Get(
    const CheckpointKey& key) {
  Maybe<Found> found = Find(key);
  if (!found.ok()) return found.status();
  if (!*found) return std::nullopt;
  std::vector<Found> one;
  one.push_back(**std::move(found));
  absl::StatusOr<std::vector<CheckpointTuple>> tuples =
      Complete(std::move(one));
  if (!tuples.ok()) return tuples.status();
  return std::move(tuples->front());
}

absl::StatusOr<std::vector<std::vector<SavedChannel>>> StoredThreads::History(
    const CheckpointKey& key, const std::vector<std::string>& channels) {
  std::vector<std::vector<SavedChannel>> histories(channels.size());
  const Maybe<Found> found = Find(key);
  if (!found.ok()) return found.status();
  if (!*found) return histories;
  for (size_t i = 0; i < channels.size(); ++i) {
    const StoredChannel* channel = (*found)->of.checkpoint.Find(channels[i]);
    if (channel == nullptr) continue;
    absl::StatusOr<std::vector<SavedChannel>> pieces =
        LoadPieces((*found)->in, *channel);
    if (!pieces.ok()) return pieces.status();
    histories[i] = *std::move(pieces);
  }
  return histories;
}

absl::StatusOr<std::vector<CheckpointTuple>> StoredThreads::List(
    const CheckpointQuery& query) {
  const absl::StatusOr<std::vector<StoredNamespace>> all = Namespaces(query);
  if (!all.ok()) return all.status();
  std::vector<Found> found;
  for (const StoredNamespace& in : *all) {
    if (absl::Status s = FindIn(in, query, found); !s.ok()) return s;
  }
  std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) {
    return std::tie(b.id(), a.in.thread, a.in.ns) <
           std::tie(a.id(), b.in.thread, b.in.ns);
  });
  const size_t limit = query.limit.value_or(found.size());
  if (found.size() > limit) {
    found.erase(found.begin() + static_cast<ptrdiff_t>(limit), found.end());
  }
  return Complete(std::move(found));
}

// Adds what `query` means of one namespace: of the greatest ids, as many as are
// asked for, and perhaps more.
absl::Status StoredThreads::FindIn(const StoredNamespace& in,
                                   const CheckpointQuery& query,
                                   std::vector<Found>& found) {
  const std::optional<CheckpointId>& before = query.before;
  if (query.id) {
    Maybe<PackedCheckpoint> one = Load(in, *query.id);
    if (!one.ok()) return one.status();
    if (*one && (!before || *query.id < *before) &&
        Matches((*one)->checkpoint.header, query)) {
      found.push_back({in, **std::move(one)});
    }
    return absl::OkStatus();
  }
  const size_t limit = query.limit.value_or(std::numeric_limits<size_t>::max());
  if (limit == 0) return absl::OkStatus();
  size_t left = limit;
  // Adds one; false if there are enough.
  const auto add = [&](PackedCheckpoint&& next) {
    if (!Matches(next.checkpoint.header, query)) return true;
    found.push_back({in, std::move(next)});
    return --left > 0;
  };
  {
    const std::unique_ptr<Rows> rows =
        before ? std::make_unique<Rows>(db_, kNewestBefore, in.row, *before)
               : std::make_unique<Rows>(db_, kNewestFirst, in.row);
    for (bool more = true; more && rows->Next();) {
      absl::StatusOr<StoredCheckpoint> next =
          DecodeCheckpoint(in, rows->Id(0), rows->Bytes(1));
      if (!next.ok()) return next.status();
      more = add({.checkpoint = *std::move(next)});
    }
    if (!rows->status().ok()) return rows->status();
  }
  // Mostly all in packs are older, but not where one has been unpacked.
  const CheckpointId after = left == 0 ? found.back().id() : CheckpointId();
  left = limit;
  return packs_.Each(in, after, before, add);
}

// Loads values, each once, and writes, of each namespace at once.
absl::StatusOr<std::vector<CheckpointTuple>> StoredThreads::Complete(
    std::vector<Found> found) {
  struct InNamespace {
    StoredNamespace in;
    Values values;
    std::map<CheckpointId, Wanted> wanted;
  };
  std::vector<CheckpointTuple> tuples;
  tuples.reserve(found.size());  // They stay where they are.
  std::map<int64_t, InNamespace> namespaces;
  for (Found& one : found) {
    InNamespace& in = namespaces[one.in.row];
    in.in = one.in;
    CheckpointTuple& tuple = tuples.emplace_back();
    tuple.thread = one.in.thread;
    tuple.checkpoint = std::move(one.of.checkpoint.header);
    for (const StoredChannel& channel : one.of.checkpoint.channels) {
      absl::StatusOr<SavedChannel> saved =
          LoadChannel(one.in, channel, in.values);
      if (!saved.ok()) return saved.status();
      tuple.checkpoint.channels.push_back(*std::move(saved));
    }
    in.wanted[tuple.checkpoint.id] = {&tuple, std::move(one.of.writes)};
  }
  for (auto& [row, in] : namespaces) {
    if (absl::Status s = LoadWrites(in.in, in.wanted); !s.ok()) return s;
  }
  return tuples;
}

absl::Status StoredThreads::LoadWrites(const StoredNamespace& in,
                                       std::map<CheckpointId, Wanted>& wanted) {
  Rows rows(db_, kWritesBetween, in.row, wanted.begin()->first,
            wanted.rbegin()->first);
  while (rows.Next()) {
    const CheckpointId id = rows.Id(0);
    const auto of = wanted.find(id);
    if (of == wanted.end()) continue;
    absl::StatusOr<StoredWrite> write = DecodeWrite(
        in, id, rows.Bytes(1), rows.Int(2), rows.Bytes(3), rows.Bytes(4));
    if (!write.ok()) return write.status();
    of->second.writes.push_back(*std::move(write));
  }
  for (auto& [id, of] : wanted) of.tuple->writes = Shown(std::move(of.writes));
  return rows.status();
}

absl::Status StoredThreads::DeleteThread(std::string_view name) {
  if (absl::Status s = runs_.DropThread(name); !s.ok()) return s;
  const Maybe<StoredThread> thread = FindThread(name);
  if (!thread.ok()) return thread.status();
  if (!*thread) return absl::OkStatus();
  const absl::StatusOr<std::vector<StoredNamespace>> all =
      NamespacesOf(std::string(name));
  if (!all.ok()) return all.status();
  for (const StoredNamespace& in : *all) {
    if (absl::Status s = packs_.DropAll(in.row); !s.ok()) return s;
    for (const char* drop :
         {kDropCheckpoints, kDropValues, kDropWrites, kDropNamespace}) {
      if (absl::Status s = db_.Run(drop, in.row); !s.ok()) return s;
    }
  }
  return db_.Run(kDropThread, (*thread)->row);
}

absl::Status StoredThreads::DeleteRuns(
    const std::vector<std::string>& run_ids) {
  std::map<int64_t, StoredNamespace> touched;
  for (const std::string& run_id : run_ids) {
    if (run_id.empty()) continue;
    if (absl::Status s = DropRun(run_id, touched); !s.ok()) return s;
    if (absl::Status s = runs_.DropRun(run_id); !s.ok()) return s;
  }
  for (auto& [row, in] : touched) {
    {
      Rows rows(db_, kNamespace, row);
      if (rows.Next()) in = NamespaceAt(rows);
      if (!rows.status().ok()) return rows.status();
    }
    if (absl::Status s = packs_.UnpackNewest(in); !s.ok()) return s;
    if (absl::Status s = CollectValues(in); !s.ok()) return s;
    if (absl::Status s = DropIfEmpty(in); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status StoredThreads::DropRun(
    const std::string& run_id, std::map<int64_t, StoredNamespace>& touched) {
  absl::Status s =
      packs_.UnpackRun(run_id, [&touched](int64_t row) { touched[row]; });
  if (!s.ok()) return s;
  std::vector<std::pair<int64_t, CheckpointId>> checkpoints;
  {
    Rows rows(db_, kOfRun, run_id);
    while (rows.Next()) checkpoints.emplace_back(rows.Int(0), rows.Id(1));
    if (!rows.status().ok()) return rows.status();
    Rows written(db_, kWrittenByRun, ":" + run_id);
    while (written.Next()) touched[written.Int(0)];
    if (!written.status().ok()) return written.status();
  }
  for (const auto& [row, id] : checkpoints) {
    touched[row];
    for (const char* drop : {kDropCheckpoint, kDropWritesAt}) {
      s.Update(db_.Run(drop, row, id));
    }
    if (!s.ok()) return s;
  }
  return db_.Run(kDropWritesOfRun, ":" + run_id);
}

// Removes the values that no checkpoint has, nor is built on.
absl::Status StoredThreads::CollectValues(const StoredNamespace& in) {
  using Key = std::pair<std::string, uint64_t>;
  absl::flat_hash_map<Key, uint64_t> values;  // To what each is appended.
  {
    Rows rows(db_, kValueKeys, in.row);
    while (rows.Next()) {
      values[Key(rows.Bytes(0), static_cast<uint64_t>(rows.Int(1)))] =
          static_cast<uint64_t>(rows.Int(2));
    }
    if (!rows.status().ok()) return rows.status();
  }
  absl::Status s = packs_.EachValue(
      in, [&values](std::string_view channel, PackedValue&& value) {
        values[Key(channel, value.first)] = value.second.appended_to;
      });
  if (!s.ok()) return s;
  const auto keep = [&values](const StoredCheckpoint& kept) {
    for (const StoredChannel& channel : kept.channels) {
      if (channel.kind != StoredChannel::kApart) continue;
      auto at = values.find(Key(channel.name, channel.version));
      while (at != values.end()) {
        const uint64_t before = at->second;
        values.erase(at);
        at = values.find(Key(channel.name, before));
      }
    }
    return !values.empty();
  };
  if (values.empty()) return absl::OkStatus();
  {
    Rows rows(db_, kCheckpoints, in.row);
    while (!values.empty() && rows.Next()) {
      const absl::StatusOr<StoredCheckpoint> kept =
          DecodeCheckpoint(in, rows.Id(0), rows.Bytes(1));
      if (!kept.ok()) return kept.status();
      keep(*kept);
    }
    if (!rows.status().ok()) return rows.status();
  }
  s = packs_.Each(in, {}, {}, [&keep](PackedCheckpoint&& kept) {
    return keep(kept.checkpoint);
  });
  Packs::ValueKeys packed;
  for (const auto& [key, appended_to] : values) {
    s.Update(db_.Run(kDropValue, in.row, key.first, Column(key.second)));
    if (!s.ok()) return s;
    if (db_.changes() == 0) packed.insert(key);
  }
  return packed.empty() ? s : packs_.DropValues(in, packed);
}

absl::Status StoredThreads::DropIfEmpty(const StoredNamespace& in) {
  return db_.Run(kDropEmptyNamespace, in.row);
}

absl::Status StoredThreads::CopyThread(const std::string& from,
                                       const std::string& to) {
  const absl::StatusOr<std::vector<StoredNamespace>> all = NamespacesOf(from);
  if (!all.ok()) return all.status();
  if (all->empty()) {
    return NothingStored(from);
  }
  const absl::StatusOr<std::vector<StoredNamespace>> there = NamespacesOf(to);
  if (!there.ok()) return there.status();
  if (!there->empty()) {
    return SomethingStored(to);
  }
  const Maybe<StoredThread> source = FindThread(from);
  if (!source.ok()) return source.status();
  absl::StatusOr<StoredThread> copy = FindOrAddThread(to);
  if (!copy.ok()) return copy.status();
  copy->epoch = 0;
  if (*source) {
    copy->last_sequence =
        std::max(copy->last_sequence, (*source)->last_sequence);
    copy->last_version = std::max(copy->last_version, (*source)->last_version);
  }
  if (absl::Status s = Update(*copy); !s.ok()) return s;
  for (const StoredNamespace& in : *all) {
    const absl::StatusOr<StoredNamespace> made =
        FindOrAddNamespace(*copy, in.ns);
    if (!made.ok()) return made.status();
    if (absl::Status s = CopyNamespace(in, *made); !s.ok()) return s;
  }
  return absl::OkStatus();
}

// Each record is sealed again: it is good only where it is.
absl::Status StoredThreads::CopyNamespace(const StoredNamespace& from,
                                          const StoredNamespace& to) {
  Rows checkpoints(db_, kCheckpoints, from.row);
  while (checkpoints.Next()) {
    const CheckpointId id = checkpoints.Id(0);
    const absl::StatusOr<StoredCheckpoint> one =
        DecodeCheckpoint(from, id, checkpoints.Bytes(1));
    if (!one.ok()) return one.status();
    absl::Status s = db_.Run(kPutCheckpoint, to.row, id, checkpoints.Bytes(2),
                             EncodeCheckpoint(to, *one));
    if (!s.ok()) return s;
  }
  if (!checkpoints.status().ok()) return checkpoints.status();
  Rows values(db_, kValues, from.row);
  while (values.Next()) {
    const std::string channel(values.Bytes(0));
    const auto version = static_cast<uint64_t>(values.Int(1));
    const absl::StatusOr<StoredValue> one =
        DecodeValue(from, channel, version, values.Bytes(3));
    if (!one.ok()) return one.status();
    absl::Status s =
        db_.Run(kPutValue, to.row, channel, values.Int(1), values.Int(2),
                EncodeValue(to, channel, version, *one));
    if (!s.ok()) return s;
  }
  if (!values.status().ok()) return values.status();
  Rows writes(db_, kWrites, from.row);
  while (writes.Next()) {
    const CheckpointId id = writes.Id(0);
    const absl::StatusOr<StoredWrite> one =
        DecodeWrite(from, id, writes.Bytes(1), writes.Int(2), writes.Bytes(3),
                    writes.Bytes(4));
    if (!one.ok()) return one.status();
    absl::Status s =
        db_.Run(kPutWrite, to.row, id, writes.Bytes(1), writes.Int(2),
                writes.Bytes(3), EncodeWrite(to, id, *one));
    if (!s.ok()) return s;
  }
  if (!writes.status().ok()) return writes.status();
  return packs_.Copy(from, to);
}

absl::Status StoredThreads::KeepLatest(const std::string& thread) {
  const absl::StatusOr<std::vector<StoredNamespace>> all = NamespacesOf(thread);
  if (!all.ok()) return all.status();
  for (const StoredNamespace& in : *all) {
    const Maybe<CheckpointId> latest = Latest(in);
    if (!latest.ok()) return latest.status();
    if (!*latest) continue;
    if (absl::Status s = packs_.DropCheckpoints(in.row); !s.ok()) return s;
    for (const char* drop : {kDropOlder, kDropOlderWrites}) {
      if (absl::Status s = db_.Run(drop, in.row, **latest); !s.ok()) return s;
    }
    if (absl::Status s = CollectValues(in); !s.ok()) return s;
  }
  return absl::OkStatus();
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
