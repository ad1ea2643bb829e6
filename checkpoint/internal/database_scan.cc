#include "weir/checkpoint/internal/database_scan.h"

#include <algorithm>
#include <limits>

#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"

#include "weir/checkpoint/internal/packed.h"
#include "weir/checkpoint/internal/record.h"
#include "weir/checkpoint/internal/stored_runs.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

// Where a database begins its trees, for one whose first page is damaged: in
// the order in which Database makes them.
constexpr std::pair<const char*, uint32_t> kRoots[] = {
    {"number", 3},
    {"thread", 4},
    {"sqlite_autoindex_thread_1", 5},
    {"ns", 6},
    {"sqlite_autoindex_ns_1", 7},
    {"checkpoint", 8},
    {"value", 9},
    {"task_write", 10},
    {"thread_row", 13},
    {"run", 14},
    {"event", 18},
    {"pack", 19}};

bool HasKinds(const TreeRow& row, std::string_view kinds) {
  if (row.fields.size() < kinds.size()) return false;
  for (size_t i = 0; i < kinds.size(); ++i) {
    const TreeField::Kind kind = row.fields[i].kind;
    if (kinds[i] == 'i' && kind != TreeField::kNumber) return false;
    if (kinds[i] == 'b' && kind != TreeField::kBytes) return false;
  }
  return true;
}
uint64_t Unsigned(const TreeField& field) {
  return static_cast<uint64_t>(field.number);
}
std::string Text(const TreeField& field) { return std::string(field.bytes); }

// Rows as they are in their tables, with sealed records.
std::optional<PackRow> PackIn(const TreeRow& row) {
  if (!HasKinds(row, "ibbbib")) return std::nullopt;
  return PackRow{.kind = Text(row.fields[1]),
                 .last = Text(row.fields[2]),
                 .first = Text(row.fields[3]),
                 .count = Unsigned(row.fields[4]),
                 .runs = Text(row.fields[5])};
}
std::optional<ThreadRow> ThreadIn(const TreeRow& row) {
  if (!HasKinds(row, "bb")) return std::nullopt;
  return ThreadRow{Text(row.fields[0]), Text(row.fields[1])};
}
std::optional<RunRow> RunIn(const TreeRow& row) {
  if (!HasKinds(row, " bbib")) return std::nullopt;
  return RunRow{Text(row.fields[1]), Text(row.fields[2]),
                row.fields[3].number == 1, Text(row.fields[4])};
}
std::optional<EventRow> EventsIn(const TreeRow& row) {
  if (!HasKinds(row, "biib")) return std::nullopt;
  return EventRow{Text(row.fields[0]), Unsigned(row.fields[1]),
                  Unsigned(row.fields[2]), Text(row.fields[3])};
}

}  // namespace

absl::Status DatabaseScan::Run() {
  CheckPages();
  FindRoots();
  ReadNumbers();
  ReadThreads();
  ReadNamespaces();
  // Values first: checkpoints refer to them.
  ReadRecords("value", "values",
              [this](Namespace& in, const TreeRow& row, Place place) {
                ReadValue(in, row, std::move(place));
              });
  ReadRecords("pack", "checkpoints",
              [this](Namespace& in, const TreeRow& row, Place place) {
                ReadPack(in, row, std::move(place));
              });
  ReadRecords("checkpoint", "checkpoints",
              [this](Namespace& in, const TreeRow& row, Place place) {
                ReadCheckpoint(in, row, std::move(place));
              });
  ReadRecords("task_write", "writes",
              [this](Namespace& in, const TreeRow& row, Place place) {
                ReadWrite(in, row, std::move(place));
              });
  CheckReferences();
  ReadRuns();
  TellOtherPages();
  for (const auto& [row, thread] : threads_) {
    report_.threads.push_back(thread.told);
  }
  std::sort(report_.threads.begin(), report_.threads.end(),
            [](const DatabaseThread& a, const DatabaseThread& b) {
              return a.name < b.name;
            });
  return newer_;
}

void DatabaseScan::CheckPages() {
  report_.pages = pages_.count();
  report_.cut_log_frames = pages_.cut_frames();
  for (uint32_t page = 1; page <= pages_.present(); ++page) {
    if (pages_.Read(page) || walk_.IsUnused(page)) continue;
    report_.damaged_pages.push_back(page);
  }
  if (pages_.present() < pages_.count()) {
    Note({{.page = pages_.present() + 1}},
         absl::StrFormat("the file is cut off: of its %d pages, %d are there",
                         pages_.count(), pages_.present()));
  }
  if (pages_.log_damaged()) {
    Note({},
         "the write-ahead log is damaged: what was done after its first "
         "damaged frame is lost");
  }
}

void DatabaseScan::FindRoots() {
  for (const auto& [name, root] : kRoots) roots_[name] = root;
  bool whole = true;
  std::set<std::string> found;
  walk_.Walk(
      1,
      [&](const TreeRow& row) {
        if (HasKinds(row, "bbbi")) {
          found.insert(Text(row.fields[1]));
          roots_[Text(row.fields[1])] =
              static_cast<uint32_t>(row.fields[3].number);
        }
        return true;
      },
      [&whole](uint32_t, bool) { whole = false; });
  // An older file does not have them.
  for (const char* name : {"thread_row", "run", "event", "pack"}) {
    if (whole && !found.contains(name)) roots_.erase(name);
  }
}

void DatabaseScan::ReadNumbers() {
  Walk(
      "number",
      [this](const TreeRow& row) {
        if (!HasKinds(row, "b")) return;
        const std::string_view record = RecordOf(row, 1, {});
        if (record.empty()) return;
        const absl::StatusOr<uint64_t> number =
            DecodeNumber(row.fields[0].bytes, record);
        if (Decoded(number.status(), {})) {
          sessions_ = std::max(sessions_, *number);
        }
      },
      [](uint32_t, bool) {});
}

void DatabaseScan::ReadThreads() {
  bool holes = false;
  Walk(
      "thread",
      [this](const TreeRow& row) {
        if (!HasKinds(row, " b")) return;
        Thread& thread = threads_[row.rowid];
        thread.told.name = Text(row.fields[1]);
        const Place place{{.thread = thread.told.name}, &thread};
        thread.recorded = true;
        const std::string_view record = RecordOf(row, 2, place);
        absl::StatusOr<StoredThread> stored =
            record.empty() ? absl::StatusOr<StoredThread>(StoredThread())
                           : DecodeThread(row.rowid, thread.told.name, record);
        thread.recorded = !record.empty() && Decoded(stored.status(), place);
        if (thread.recorded) {
          sessions_ = std::max(sessions_, stored->epoch >> kCountBits);
        }
      },
      [](uint32_t, bool) {});
  std::set<int64_t> named;
  Walk(
      "sqlite_autoindex_thread_1",
      [&](const TreeRow& row) {
        if (!HasKinds(row, "bi")) return;
        named.insert(row.fields[1].number);
        threads_[row.fields[1].number].told.name = Text(row.fields[0]);
      },
      [&](uint32_t, bool) { holes = true; });
  for (auto& [row, thread] : threads_) {
    const DatabaseDamage place{.thread = thread.told.name};
    if (!thread.recorded && thread.told.state == DatabaseThread::kWhole) {
      Note({place, &thread}, "the thread's own row is lost");
    }
    // Nothing of it is lost, and it is found once it has been saved.
    if (!holes && !named.contains(row)) {
      Note({place}, "the thread cannot be found by its name");
    }
  }
}

void DatabaseScan::ReadNamespaces() {
  const auto add = [this](int64_t row, const TreeField& thread,
                          const TreeField& path) {
    Namespace& in = namespaces_[row];
    in.thread = thread.number;
    in.in.row = row;
    in.in.ns = Text(path);
  };
  Walk(
      "ns",
      [&add](const TreeRow& row) {
        if (HasKinds(row, " ib")) add(row.rowid, row.fields[1], row.fields[2]);
      },
      [](uint32_t, bool) {});
  Walk(
      "sqlite_autoindex_ns_1",
      [&add](const TreeRow& row) {
        if (!HasKinds(row, "ibi")) return;
        add(row.fields[2].number, row.fields[0], row.fields[1]);
      },
      [](uint32_t, bool) {});
  for (auto& [row, in] : namespaces_) {
    const auto thread = threads_.find(in.thread);
    in.lost = thread == threads_.end();
    if (in.lost) {
      Note({{.ns = in.in.ns}}, "the name of the thread that has it is lost");
    } else {
      in.in.thread = thread->second.told.name;
    }
  }
}

// Those that are known, and others by what is left of them.
DatabaseScan::Namespace& DatabaseScan::NamespaceAt(int64_t row) {
  const auto [at, is_new] = namespaces_.try_emplace(row);
  if (is_new) {
    at->second.lost = true;
    Note({}, absl::StrFormat("thread and path of namespace %d are lost", row));
  }
  return at->second;
}

DatabaseScan::Place DatabaseScan::PlaceOf(const Namespace& in) {
  return {{.thread = in.in.thread, .ns = in.in.ns}, &threads_[in.thread]};
}

void DatabaseScan::ReadRecords(const char* table, const char* what,
                               Record record) {
  std::optional<int64_t> last;
  std::vector<Hole> lost;
  const auto note = [&](std::optional<int64_t> next) {
    for (Hole& hole : lost) {
      hole.before = next;
      NoteHole(what, hole);
    }
    lost.clear();
  };
  Walk(
      table,
      [&](const TreeRow& row) {
        if (!HasKinds(row, "i")) return;
        const int64_t at = row.fields[0].number;
        note(at);
        last = at;
        Namespace& in = NamespaceAt(at);
        if (in.lost) return;
        record(in, row, PlaceOf(in));
      },
      [&](uint32_t page, bool certain) {
        lost.push_back({.page = page, .certain = certain, .after = last});
      });
  note(std::nullopt);
}

void DatabaseScan::NoteHole(const char* what, const Hole& hole) {
  const auto begin =
      hole.after ? namespaces_.lower_bound(*hole.after) : namespaces_.begin();
  const auto end =
      hole.before ? namespaces_.upper_bound(*hole.before) : namespaces_.end();
  const bool one = hole.certain && begin != end && std::next(begin) == end;
  for (auto at = begin; at != end; ++at) {
    Namespace& in = at->second;
    if (in.lost) continue;
    if (what == std::string_view("checkpoints")) in.lacks_checkpoints = true;
    DatabaseThread& told = threads_[in.thread].told;
    const auto state =
        one ? DatabaseThread::kDamaged : DatabaseThread::kDoubtful;
    if (told.state != DatabaseThread::kDamaged) told.state = state;
    told_pages_.insert(hole.page);
    // Not by Note(), which says that it is damaged.
    report_.damage.push_back(
        {.what =
             absl::StrFormat("%s %s lost with page %d", what,
                             one ? "have been" : "may have been", hole.page),
         .page = hole.page,
         .thread = in.in.thread,
         .ns = in.in.ns});
  }
}

void DatabaseScan::ReadValue(Namespace& in, const TreeRow& row, Place place) {
  if (!HasKinds(row, "ibi")) return Note(place, "a row of a value is damaged");
  place.told.channel = Text(row.fields[1]);
  const uint64_t version = Unsigned(row.fields[2]);
  Value& value = in.values[{place.told.channel, version}];
  value.chain = kBroken;  // Which has been told, then.
  const std::string_view record = RecordOf(row, 4, place);
  if (record.empty()) return;
  const absl::StatusOr<StoredValue> stored =
      DecodeValue(in.in, place.told.channel, version, record);
  if (!Decoded(stored.status(), place)) return;
  value = {.appended_to = stored->appended_to};
}

void DatabaseScan::ReadPack(Namespace& in, const TreeRow& row, Place place) {
  const std::optional<PackRow> pack = PackIn(row);
  if (!pack) {
    // No row of the table, if the place of this was not known for sure.
    if (row.lost_with != 0) RecordOf(row, 6, place, "a pack");
    return;
  }
  const bool of_checkpoints = pack->kind == kCheckpointPack;
  if (of_checkpoints) place.told.checkpoint = IdFromBytes(pack->last);
  if (!of_checkpoints) place.told.channel = std::string(ChannelOf(*pack));
  const std::string_view record = RecordOf(row, 6, place, TextOf(*pack));
  if (record.empty()) return;
  if (!of_checkpoints) {
    const absl::StatusOr<std::vector<PackedValue>> values =
        DecodeValuePack(in.in, *pack, record);
    if (!Decoded(values.status(), place)) return;
    for (const auto& [version, value] : *values) {
      in.values[{place.told.channel, version}] = {.appended_to =
                                                      value.appended_to};
    }
    return;
  }
  const absl::StatusOr<std::vector<PackedCheckpoint>> checkpoints =
      DecodePack(in.in, *pack, record);
  if (!Decoded(checkpoints.status(), place)) return;
  for (const auto& [checkpoint, writes] : *checkpoints) {
    place.told.checkpoint = checkpoint.header.id;
    AddCheckpoint(in, checkpoint, place);
    for (const StoredWrite& write : writes) AddWrite(in, write);
  }
}

void DatabaseScan::ReadCheckpoint(Namespace& in, const TreeRow& row,
                                  Place place) {
  if (!HasKinds(row, "ib")) {
    return Note(place, "a row of a checkpoint is damaged");
  }
  place.told.checkpoint = IdFromBytes(row.fields[1].bytes);
  in.checkpoints.insert(place.told.checkpoint);
  const std::string_view record = RecordOf(row, 3, place);
  if (record.empty()) return;
  const absl::StatusOr<StoredCheckpoint> stored =
      DecodeCheckpoint(in.in, place.told.checkpoint, record);
  if (Decoded(stored.status(), place)) AddCheckpoint(in, *stored, place);
}

void DatabaseScan::AddCheckpoint(Namespace& in, const StoredCheckpoint& stored,
                                 Place place) {
  in.checkpoints.insert(stored.header.id);
  ++threads_[in.thread].told.checkpoints;
  for (const StoredChannel& channel : stored.channels) {
    if (channel.kind == StoredChannel::kApart) CheckChain(in, channel, place);
  }
}

void DatabaseScan::AddWrite(Namespace& in, const StoredWrite& stored) {
  ++threads_[in.thread].told.writes;
  sessions_ = std::max(sessions_, stored.arrival >> kCountBits);
}

void DatabaseScan::CheckChain(Namespace& in, const StoredChannel& channel,
                              Place place) {
  std::vector<Value*> passed;
  uint64_t version = channel.version;
  Chain chain = kUnknown;
  while (chain == kUnknown) {
    const auto at = in.values.find(std::pair(channel.name, version));
    if (at == in.values.end() || at->second.chain == kOnTheWay) {
      place.told.channel = channel.name;
      const bool missing = at == in.values.end();
      Note(place, absl::StrFormat("version %d is %s", version,
                                  missing ? "missing" : "appended to itself"));
      chain = kBroken;
      break;
    }
    Value& value = at->second;
    chain = value.chain;
    if (chain != kUnknown) break;
    value.chain = kOnTheWay;
    passed.push_back(&value);
    version = value.appended_to;
    if (version == 0) chain = kThere;
  }
  for (Value* value : passed) value->chain = chain;
  // Told once.
  if (chain == kBroken) in.values[{channel.name, version}].chain = kBroken;
}

void DatabaseScan::ReadWrite(Namespace& in, const TreeRow& row, Place place) {
  if (!HasKinds(row, "ibbib")) {
    return Note(place, "a row of a write is damaged");
  }
  place.told.checkpoint = IdFromBytes(row.fields[1].bytes);
  in.written.insert(place.told.checkpoint);
  const std::string_view record = RecordOf(row, 5, place);
  if (record.empty()) return;
  const absl::StatusOr<StoredWrite> stored =
      DecodeWrite(in.in, place.told.checkpoint, row.fields[2].bytes,
                  row.fields[3].number, row.fields[4].bytes, record);
  if (Decoded(stored.status(), place)) AddWrite(in, *stored);
}

void DatabaseScan::CheckReferences() {
  for (const auto& [row, in] : namespaces_) {
    if (in.lost) continue;
    Place place = PlaceOf(in);
    if (in.checkpoints.empty() && in.written.empty()) {
      Note(place, "all checkpoints and writes are lost");
    }
    if (!in.lacks_checkpoints) continue;
    for (const CheckpointId& id : in.written) {
      if (in.checkpoints.contains(id)) continue;
      place.told.checkpoint = id;
      Note(place, "the checkpoint is lost; writes after it are there");
    }
  }
}

void DatabaseScan::ReadRuns() {
  const auto lost = [this](uint32_t page, bool certain) {
    told_pages_.insert(page);
    report_.damage.push_back(
        {.what = absl::StrFormat(
             "rows of runs %s lost with page %d; the state of their threads "
             "is not in them",
             certain ? "have been" : "may have been", page),
         .page = page});
  };
  Walk(
      "thread_row",
      [this](const TreeRow& row) {
        if (const auto of = ThreadIn(row)) ReadRow(*of, of->thread);
      },
      lost);
  Walk(
      "run",
      [this](const TreeRow& row) {
        const auto of = RunIn(row);
        if (!of) return;
        runs_[of->run] = of->thread;
        ReadRow(*of, of->thread);
      },
      lost);
  Walk(
      "event",
      [this](const TreeRow& row) {
        const auto of = EventsIn(row);
        if (!of) return;
        const auto run = runs_.find(of->run);
        ReadRow(*of, run == runs_.end() ? "" : run->second);
      },
      lost);
}

template <class Row>
void DatabaseScan::ReadRow(const Row& row, std::string thread) {
  ++report_.records;
  Decoded(CheckSealed(row), {{.thread = std::move(thread)}});
}

bool DatabaseScan::IsDamaged(std::string_view thread) const {
  return std::any_of(threads_.begin(), threads_.end(), [&](const auto& of) {
    return of.second.told.name == thread && !IsSaved(of.first);
  });
}

void DatabaseScan::TellOtherPages() {
  for (const uint32_t page : report_.damaged_pages) {
    if (told_pages_.contains(page)) continue;
    report_.damage.push_back(
        {.what = absl::StrFormat(
             "page %d is damaged, and nothing of a thread was lost with it",
             page),
         .page = page});
  }
}

std::string_view DatabaseScan::RecordOf(const TreeRow& row, size_t at,
                                        const Place& place,
                                        const std::string& what) {
  if (row.fields.size() > at && row.fields[at].kind == TreeField::kBytes &&
      !row.fields[at].bytes.empty()) {
    ++report_.records;
    return row.fields[at].bytes;
  }
  Place lost = place;
  lost.told.page = row.lost_with;
  told_pages_.insert(row.lost_with);
  Note(std::move(lost), row.lost_with == 0
                            ? what + " is missing"
                            : absl::StrFormat("%s has been lost with page %d",
                                              what, row.lost_with));
  return {};
}

// Notes why, if it is not.
bool DatabaseScan::Decoded(const absl::Status& status, Place place) {
  if (status.ok()) return true;
  if (absl::IsFailedPrecondition(status)) newer_ = status;
  Note(std::move(place), std::string(status.message()));
  return false;
}

// Whose it is, that thread is damaged.
void DatabaseScan::Note(Place place, std::string what) {
  if (place.thread != nullptr) {
    place.thread->told.state = DatabaseThread::kDamaged;
  }
  place.told.what = std::move(what);
  report_.damage.push_back(std::move(place.told));
}

void DatabaseScan::Walk(const char* tree,
                        absl::FunctionRef<void(const TreeRow&)> row,
                        TreeWalk::OnHole hole) {
  const auto root = roots_.find(tree);
  if (root == roots_.end()) return;
  walk_.Walk(
      root->second,
      [&row](const TreeRow& next) {
        row(next);
        return true;
      },
      hole);
}

bool DatabaseScan::IsSaved(int64_t thread) const {
  const auto at = threads_.find(thread);
  return at != threads_.end() && at->second.recorded &&
         at->second.told.state != DatabaseThread::kDamaged;
}

void DatabaseScan::SavedNamespaces(OnNamespace each) const {
  for (const auto& [row, in] : namespaces_) {
    if (!in.lost && IsSaved(in.thread)) each(row, in.thread, in.in.ns);
  }
}

void DatabaseScan::SavedRows(OnRow row) {
  const auto hole = [](uint32_t, bool) {};
  Walk(
      "thread",
      [&](const TreeRow& next) {
        if (IsSaved(next.rowid)) row("thread", next);
      },
      hole);
  for (const char* table : {"checkpoint", "value", "task_write", "pack"}) {
    Walk(
        table,
        [&](const TreeRow& next) {
          if (!HasKinds(next, "i")) return;
          const auto in = namespaces_.find(next.fields[0].number);
          if (in == namespaces_.end() || in->second.lost) return;
          if (IsSaved(in->second.thread)) row(table, next);
        },
        hole);
  }
  Walk(
      "thread_row",
      [&](const TreeRow& next) {
        const auto of = ThreadIn(next);
        if (of && CheckSealed(*of).ok() && !IsDamaged(of->thread)) {
          row("thread_row", next);
        }
      },
      hole);
  std::set<std::string> saved;
  Walk(
      "run",
      [&](const TreeRow& next) {
        const auto of = RunIn(next);
        if (!of || !CheckSealed(*of).ok() || IsDamaged(of->thread)) return;
        saved.insert(of->run);
        row("run", next);
      },
      hole);
  Walk(
      "event",
      [&](const TreeRow& next) {
        const auto of = EventsIn(next);
        if (of && CheckSealed(*of).ok() && saved.contains(of->run)) {
          row("event", next);
        }
      },
      hole);
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
