#include "weir/checkpoint/internal/stored_runs.h"

#include <utility>

#include "absl/strings/str_format.h"

#include "weir/checkpoint/internal/record.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

constexpr char kPutThread[] = "REPLACE INTO thread_row VALUES(?1,?2)";
constexpr char kGetThread[] =
    "SELECT thread, record FROM thread_row WHERE thread=?1";
constexpr char kListThreads[] =
    "SELECT thread, record FROM thread_row ORDER BY thread";
constexpr char kDropThreadRow[] = "DELETE FROM thread_row WHERE thread=?1";

// The number of a run that is stored anew stays.
constexpr char kPutRun[] =
    "INSERT INTO run(run, thread, unfinished, record) VALUES(?1,?2,?3,?4)"
    " ON CONFLICT(run) DO UPDATE SET unfinished=?3, record=?4 WHERE thread=?2";
constexpr char kGetRun[] =
    "SELECT run, thread, unfinished, record FROM run WHERE run=?1";
constexpr char kRunsOf[] =
    "SELECT run, thread, unfinished, record FROM run WHERE thread=?1"
    " ORDER BY number";
constexpr char kUnfinished[] =
    "SELECT run, thread, unfinished, record FROM run WHERE unfinished=1"
    " ORDER BY number";
constexpr char kDropRun[] = "DELETE FROM run WHERE run=?1";

constexpr char kPutEvents[] = "REPLACE INTO event VALUES(?1,?2,?3,?4)";
constexpr char kEvents[] =
    "SELECT run, first, count, record FROM event"
    " WHERE run=?1 AND first+count>?2 ORDER BY first";
constexpr char kDropEvents[] = "DELETE FROM event WHERE run=?1";
constexpr char kDropEventsBefore[] =
    "DELETE FROM event WHERE run=?1 AND first+count<=?2";

std::string ThreadRowKey(std::string_view thread) {
  return Packer().Number('s').Text(thread).bytes();
}
std::string RunRowKey(const RunRow& row) {
  Packer key;
  key.Number('r').Text(row.run).Text(row.thread);
  return key.Number(row.unfinished ? 1 : 0).bytes();
}
std::string EventRowKey(const EventRow& row) {
  Packer key;
  return key.Number('e').Text(row.run).Number(row.first).bytes() +
         Packer().Number(row.count).bytes();
}

std::string KeyOf(const ThreadRow& row) { return ThreadRowKey(row.thread); }
std::string KeyOf(const RunRow& row) { return RunRowKey(row); }
std::string KeyOf(const EventRow& row) { return EventRowKey(row); }

std::string NameOf(const ThreadRow& row) {
  return absl::StrFormat("the row of thread '%s'", row.thread);
}
std::string NameOf(const RunRow& row) {
  return absl::StrFormat("thread '%s', run '%s'", row.thread, row.run);
}
std::string NameOf(const EventRow& row) {
  return absl::StrFormat("run '%s', the %d events from %d on", row.run,
                         row.count, row.first);
}

// `row`, whose record is `sealed`, with what is in that.
template <class Row>
absl::StatusOr<Row> Unsealed(Row row, std::string_view sealed) {
  std::string buffer;
  const absl::StatusOr<std::string_view> payload =
      UnsealRecord(sealed, KeyOf(row), buffer);
  if (!payload.ok()) {
    return absl::Status(
        payload.status().code(),
        absl::StrFormat("%s: %s", NameOf(row), payload.status().message()));
  }
  row.record = std::string(*payload);
  return row;
}

absl::StatusOr<ThreadRow> ThreadAt(const Rows& rows) {
  return Unsealed(ThreadRow{.thread = std::string(rows.Bytes(0))},
                  rows.Bytes(1));
}

absl::StatusOr<RunRow> RunAt(const Rows& rows) {
  return Unsealed(RunRow{.run = std::string(rows.Bytes(0)),
                         .thread = std::string(rows.Bytes(1)),
                         .unfinished = rows.Int(2) == 1},
                  rows.Bytes(3));
}

absl::StatusOr<EventRow> EventsAt(const Rows& rows) {
  return Unsealed(EventRow{.run = std::string(rows.Bytes(0)),
                           .first = static_cast<uint64_t>(rows.Int(1)),
                           .count = static_cast<uint64_t>(rows.Int(2))},
                  rows.Bytes(3));
}

template <class Row>
absl::StatusOr<std::vector<Row>> All(Rows& rows,
                                     absl::StatusOr<Row> at(const Rows&)) {
  std::vector<Row> all;
  while (rows.Next()) {
    absl::StatusOr<Row> row = at(rows);
    if (!row.ok()) return row.status();
    all.push_back(*std::move(row));
  }
  if (!rows.status().ok()) return rows.status();
  return all;
}

// Of a query that has one row or none.
template <class Row>
absl::StatusOr<std::optional<Row>> One(Rows& rows,
                                       absl::StatusOr<Row> at(const Rows&)) {
  absl::StatusOr<std::vector<Row>> all = All(rows, at);
  if (!all.ok()) return all.status();
  std::optional<Row> one;
  if (!all->empty()) one = std::move(all->front());
  return one;
}

}  // namespace

absl::Status CheckSealed(const ThreadRow& row) {
  return Unsealed(row, row.record).status();
}
absl::Status CheckSealed(const RunRow& row) {
  return Unsealed(row, row.record).status();
}
absl::Status CheckSealed(const EventRow& row) {
  return Unsealed(row, row.record).status();
}

absl::Status StoredRuns::Put(const RunCommit& commit) {
  absl::Status s;
  for (const ThreadRow& row : commit.threads) {
    s.Update(db_.Run(kPutThread, row.thread,
                     SealRecord(row.record, ThreadRowKey(row.thread))));
  }
  for (const RunRow& row : commit.runs) s.Update(PutRun(row));
  for (const EventRow& row : commit.events) {
    s.Update(db_.Run(kPutEvents, row.run, static_cast<int64_t>(row.first),
                     static_cast<int64_t>(row.count),
                     SealRecord(row.record, EventRowKey(row))));
  }
  for (const auto& [run, before] : commit.dropped_events) {
    s.Update(db_.Run(kDropEventsBefore, run, static_cast<int64_t>(before)));
  }
  for (const std::string& run : commit.dropped_runs) s.Update(DropRun(run));
  return s;
}

absl::Status StoredRuns::PutRun(const RunRow& row) {
  absl::Status s =
      db_.Run(kPutRun, row.run, row.thread, int64_t{row.unfinished ? 1 : 0},
              SealRecord(row.record, RunRowKey(row)));
  if (!s.ok() || db_.changes() != 0) return s;
  return absl::AbortedError(absl::StrFormat(
      "run '%s' is stored, and not of thread '%s'", row.run, row.thread));
}

absl::StatusOr<std::optional<ThreadRows>> StoredRuns::GetThread(
    const std::string& thread) {
  absl::StatusOr<std::optional<ThreadRow>> row = std::nullopt;
  {
    Rows rows(db_, kGetThread, thread);
    row = One(rows, ThreadAt);
  }
  if (!row.ok()) return row.status();
  if (!row->has_value()) return std::nullopt;
  Rows rows(db_, kRunsOf, thread);
  absl::StatusOr<std::vector<RunRow>> runs = All(rows, RunAt);
  if (!runs.ok()) return runs.status();
  return ThreadRows{**std::move(row), *std::move(runs)};
}

absl::StatusOr<std::vector<ThreadRow>> StoredRuns::ListThreads() {
  Rows rows(db_, kListThreads);
  return All(rows, ThreadAt);
}

absl::StatusOr<std::optional<RunRow>> StoredRuns::GetRun(
    const std::string& run) {
  Rows rows(db_, kGetRun, run);
  return One(rows, RunAt);
}

absl::StatusOr<std::vector<RunRow>> StoredRuns::ListUnfinished() {
  Rows rows(db_, kUnfinished);
  return All(rows, RunAt);
}

absl::StatusOr<std::vector<EventRow>> StoredRuns::ListEvents(
    const std::string& run, uint64_t first) {
  Rows rows(db_, kEvents, run, static_cast<int64_t>(first));
  return All(rows, EventsAt);
}

absl::Status StoredRuns::DropRun(std::string_view run) {
  absl::Status s = db_.Run(kDropEvents, run);
  s.Update(db_.Run(kDropRun, run));
  return s;
}

absl::Status StoredRuns::DropThread(std::string_view thread) {
  std::vector<std::string> runs;
  {
    // By its columns alone: what is damaged can be deleted.
    Rows rows(db_, kRunsOf, thread);
    while (rows.Next()) runs.emplace_back(rows.Bytes(0));
    if (!rows.status().ok()) return rows.status();
  }
  absl::Status s;
  for (const std::string& run : runs) s.Update(DropRun(run));
  s.Update(db_.Run(kDropThreadRow, thread));
  return s;
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
