#include "runs.h"

#include <optional>
#include <sstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "shown.h"

#include "weir/checkpoint/run_store.h"
#include "weir/runtime/event.h"
#include "weir/runtime/stored_run.h"

namespace weir_cli {
namespace {

absl::StatusOr<std::optional<weir::ThreadRows>> RowsOf(
    weir::SqliteCheckpointer& store, const std::string& thread) {
  return Ask<std::optional<weir::ThreadRows>>(
      [&](auto done) { store.runs()->GetThread(thread, std::move(done)); });
}

Json JsonOfTime(const std::optional<absl::Time>& time) {
  return time ? Json::Text(ShownTime(*time)) : Json::Null();
}
std::string TextOfTime(const std::optional<absl::Time>& time) {
  return time ? ShownTime(*time) : "-";
}

Json JsonOfEvent(const weir::Event& event) {
  std::vector<Json> ns;
  for (const weir::NamespaceLevel& level : event.ns()) {
    ns.push_back(JsonObject()
                     .Add("node", Json::Text(level.node))
                     .Add("task", Json::Text(level.task_id))
                     .Add("call", Json::Signed(level.call)));
  }
  return JsonObject()
      .Add("id", Json::Number(event.id()))
      .Add("name", Json::Text(event.name()))
      .Add("ns", Json::List(ns))
      .Add("data", Json::Raw(event.ToJson()));
}
std::string TextOfEvent(const weir::Event& event) {
  std::ostringstream shown;
  shown << event;
  return absl::StrFormat("%6d  %s\n", event.id(), shown.str());
}

absl::StatusOr<uint64_t> FirstOf(const Arguments& arguments) {
  uint64_t first = 0;
  if (!arguments.from || absl::SimpleAtoi(*arguments.from, &first)) {
    return first;
  }
  return absl::InvalidArgumentError(
      absl::StrFormat("--from takes the id of an event, a number; '%s' is none",
                      ShownName(*arguments.from)));
}

// Those that are kept, of `first` or after it.
absl::StatusOr<std::vector<weir::Event>> EventsOf(
    weir::SqliteCheckpointer& store, const std::string& run, uint64_t first) {
  const auto rows = Ask<std::vector<weir::EventRow>>([&](auto done) {
    store.runs()->ListEvents(run, first, std::move(done));
  });
  if (!rows.ok()) return rows.status();
  std::vector<weir::Event> all;
  for (const weir::EventRow& row : *rows) {
    absl::StatusOr<std::vector<weir::Event>> some = weir::DescribeEvents(row);
    if (!some.ok()) return some.status();
    for (weir::Event& event : *some) {
      if (event.id() >= first) all.push_back(std::move(event));
    }
  }
  return all;
}

}  // namespace

absl::StatusOr<Store> Open(const Arguments& arguments) {
  return weir::SqliteCheckpointer::Open(arguments.words[1],
                                        {.read_only = true});
}

absl::Status NotFound(const Arguments& arguments, const std::string& what) {
  return absl::NotFoundError(absl::StrFormat(
      "%s is not in '%s'; `weir ls`, `weir show` and `weir history` tell what "
      "is",
      what, arguments.words[1]));
}

absl::StatusOr<std::map<std::string, RunCounts>> CountRuns(
    weir::SqliteCheckpointer& store) {
  const auto threads = Ask<std::vector<weir::ThreadRow>>(
      [&](auto done) { store.runs()->ListThreads(std::move(done)); });
  if (!threads.ok()) return threads.status();
  std::map<std::string, RunCounts> counts;
  for (const weir::ThreadRow& thread : *threads) {
    const auto rows = RowsOf(store, thread.thread);
    if (!rows.ok()) return rows.status();
    RunCounts& of = counts[thread.thread];
    if (!rows->has_value()) continue;  // Deleted in between.
    for (const weir::RunRow& run : (*rows)->runs) {
      ++of.all;
      if (run.unfinished) ++of.unfinished;
    }
  }
  return counts;
}

absl::StatusOr<std::vector<weir::RunInfo>> RunsOf(
    weir::SqliteCheckpointer& store, const std::string& thread) {
  const auto rows = RowsOf(store, thread);
  if (!rows.ok()) return rows.status();
  std::vector<weir::RunInfo> runs;
  if (!rows->has_value()) return runs;
  for (const weir::RunRow& row : (*rows)->runs) {
    absl::StatusOr<weir::RunInfo> run = weir::DescribeRun(row);
    if (!run.ok()) return run.status();
    runs.push_back(*std::move(run));
  }
  return runs;
}

std::string TextOfRuns(const std::vector<weir::RunInfo>& runs) {
  if (runs.empty()) return "";
  std::string text = absl::StrFormat("%d runs\n", runs.size());
  for (const weir::RunInfo& run : runs) {
    text += absl::StrFormat(
        "  %s  %s  %s, attempt %d\n    created %s, started %s, ended %s\n",
        ShownName(run.id), ShownName(run.graph), RunStatusName(run.status),
        run.attempt, ShownTime(run.created_at), TextOfTime(run.started_at),
        TextOfTime(run.ended_at));
  }
  return text;
}

Json JsonOfRuns(const std::vector<weir::RunInfo>& runs) {
  std::vector<Json> json;
  json.reserve(runs.size());
  for (const weir::RunInfo& run : runs) {
    json.push_back(JsonObject()
                       .Add("run", Json::Text(run.id))
                       .Add("graph", Json::Text(run.graph))
                       .Add("status", Json::Text(RunStatusName(run.status)))
                       .Add("attempt", Json::Signed(run.attempt))
                       .Add("created_at", JsonOfTime(run.created_at))
                       .Add("started_at", JsonOfTime(run.started_at))
                       .Add("ended_at", JsonOfTime(run.ended_at)));
  }
  return Json::List(json);
}

absl::StatusOr<Outcome> Events(const Arguments& arguments) {
  const std::string& run = arguments.words[2];
  const absl::StatusOr<uint64_t> first = FirstOf(arguments);
  if (!first.ok()) return first.status();
  const absl::StatusOr<Store> store = Open(arguments);
  if (!store.ok()) return store.status();
  const auto row = Ask<std::optional<weir::RunRow>>(
      [&](auto done) { (*store)->runs()->GetRun(run, std::move(done)); });
  if (!row.ok()) return row.status();
  if (!row->has_value()) {
    return NotFound(arguments, absl::StrFormat("run '%s'", ShownName(run)));
  }
  const auto events = EventsOf(**store, run, *first);
  if (!events.ok()) return events.status();
  std::vector<Json> json;
  std::string text;
  for (const weir::Event& event : *events) {
    json.push_back(JsonOfEvent(event));
    text += TextOfEvent(event);
  }
  if (text.empty()) text = "no events are kept\n";
  if (!arguments.json) return Outcome{text};
  return Outcome{JsonObject()
                     .Add("run", Json::Text(run))
                     .Add("thread", Json::Text((*row)->thread))
                     .Add("events", Json::List(json))
                     .text() +
                 "\n"};
}

}  // namespace weir_cli
