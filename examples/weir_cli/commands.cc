#include "commands.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "json.h"
#include "runs.h"
#include "shown.h"

#include "weir/checkpoint/database_report.h"
#include "weir/checkpoint/sqlite_checkpointer.h"

namespace weir_cli {
namespace {

using weir::CheckpointId;
using weir::CheckpointTuple;
using weir::SavedChannel;
using weir::SqliteCheckpointer;

using Found = absl::StatusOr<std::vector<CheckpointTuple>>;

Found List(SqliteCheckpointer& store, weir::CheckpointQuery query) {
  return Ask<std::vector<CheckpointTuple>>(
      [&](auto done) { store.List(std::move(query), std::move(done)); });
}
absl::StatusOr<std::vector<weir::ThreadSummary>> ListThreads(
    SqliteCheckpointer& store) {
  return Ask<std::vector<weir::ThreadSummary>>(
      [&](auto done) { store.ListThreads(std::move(done)); });
}

std::string ThreadName(const Arguments& arguments) {
  return absl::StrFormat("thread '%s'", ShownName(arguments.words[2]));
}

// The one checkpoint of the thread whose id begins so.
absl::StatusOr<CheckpointTuple> Find(SqliteCheckpointer& store,
                                     const Arguments& arguments,
                                     const std::string& given) {
  const std::string prefix = absl::AsciiStrToLower(given);
  weir::CheckpointQuery query{.thread = arguments.words[2], .ns = arguments.ns};
  const absl::StatusOr<CheckpointId> whole = CheckpointId::FromString(prefix);
  if (whole.ok()) query.id = *whole;
  Found all = List(store, std::move(query));
  if (!all.ok()) return all.status();
  std::erase_if(*all, [&prefix](const CheckpointTuple& tuple) {
    return !absl::StartsWith(tuple.checkpoint.id.ToString(), prefix);
  });
  if (all->size() == 1) return std::move(all->front());
  if (all->empty()) {
    return NotFound(arguments,
                    absl::StrFormat("checkpoint '%s' of %s", ShownName(given),
                                    ThreadName(arguments)));
  }
  return absl::InvalidArgumentError(absl::StrFormat(
      "%d checkpoints of %s begin with '%s', such as %s and %s; give more of "
      "the id",
      all->size(), ThreadName(arguments), prefix,
      (*all)[0].checkpoint.id.ToString(), (*all)[1].checkpoint.id.ToString()));
}

// The newest checkpoint of a namespace, the outermost if none is named.
absl::StatusOr<CheckpointTuple> FindLatest(SqliteCheckpointer& store,
                                           const Arguments& arguments) {
  const std::string ns = arguments.ns.value_or("");
  absl::StatusOr<std::optional<CheckpointTuple>> latest =
      Ask<std::optional<CheckpointTuple>>([&](auto done) {
        store.Get({.thread = arguments.words[2], .ns = ns}, std::move(done));
      });
  if (!latest.ok()) return latest.status();
  if (*latest) return **std::move(latest);
  return NotFound(arguments,
                  absl::StrFormat("a checkpoint of %s in namespace %s",
                                  ThreadName(arguments), ShownNs(ns)));
}

Json JsonOfThread(const weir::ThreadSummary& thread, const RunCounts& runs) {
  std::vector<Json> namespaces;
  for (const auto& in : thread.namespaces) {
    namespaces.push_back(JsonObject()
                             .Add("ns", Json::Text(in.ns))
                             .Add("checkpoints", Json::Number(in.checkpoints))
                             .Add("latest", JsonOfId(in.latest)));
  }
  return JsonObject()
      .Add("thread", Json::Text(thread.thread))
      .Add("namespaces", Json::List(namespaces))
      .Add("runs", Json::Number(runs.all))
      .Add("unfinished_runs", Json::Number(runs.unfinished));
}

// What a thread has in a file: checkpoints, runs, or both.
struct ListedThread {
  weir::ThreadSummary summary{};
  RunCounts runs{};
};

absl::StatusOr<std::map<std::string, ListedThread>> AllThreads(
    SqliteCheckpointer& store) {
  std::map<std::string, ListedThread> all;
  auto threads = ListThreads(store);
  if (!threads.ok()) return threads.status();
  for (weir::ThreadSummary& thread : *threads) {
    all[thread.thread].summary = std::move(thread);
  }
  const absl::StatusOr<std::map<std::string, RunCounts>> runs =
      CountRuns(store);
  if (!runs.ok()) return runs.status();
  for (const auto& [thread, counts] : *runs) {
    all[thread].summary.thread = thread;
    all[thread].runs = counts;
  }
  return all;
}

absl::StatusOr<Outcome> Ls(const Arguments& arguments) {
  const absl::StatusOr<Store> store = Open(arguments);
  if (!store.ok()) return store.status();
  const auto threads = AllThreads(**store);
  if (!threads.ok()) return threads.status();
  std::vector<Json> json;
  std::string text = absl::StrFormat("threads: %d\n", threads->size());
  for (const auto& [name, thread] : *threads) {
    json.push_back(JsonOfThread(thread.summary, thread.runs));
    text += ShownName(name) + "\n";
    if (thread.runs.all > 0) {
      text += absl::StrFormat("  %d runs, %d unfinished\n", thread.runs.all,
                              thread.runs.unfinished);
    }
    for (const auto& in : thread.summary.namespaces) {
      text += absl::StrFormat(
          "  %-24s %6d checkpoints, latest %s\n", ShownNs(in.ns),
          in.checkpoints,
          in.latest.has_value() ? in.latest.ToString() : "none");
    }
  }
  if (!arguments.json) return Outcome{text};
  return Outcome{JsonObject().Add("threads", Json::List(json)).text() + "\n"};
}

// What a checkpoint is, without what it holds.
JsonObject JsonOfHeader(const CheckpointTuple& tuple) {
  const weir::Checkpoint& c = tuple.checkpoint;
  JsonObject custom;
  for (const auto& [key, value] : c.metadata.custom) {
    custom.Add(key, Json::Text(value));
  }
  return JsonObject()
      .Add("id", JsonOfId(c.id))
      .Add("parent", JsonOfId(c.parent))
      .Add("ns", Json::Text(c.ns))
      .Add("created_at", Json::Text(ShownTime(c.created_at)))
      .Add("source", Json::Text(c.metadata.source))
      .Add("step", Json::Signed(c.metadata.step))
      .Add("run_id", Json::Text(c.metadata.run_id))
      .Add("custom", custom);
}
std::string TextOfHeader(const CheckpointTuple& tuple) {
  const weir::Checkpoint& c = tuple.checkpoint;
  return absl::StrFormat("%s  step %d  %s  %s", c.id.ToString(),
                         c.metadata.step, ShownName(c.metadata.source),
                         ShownTime(c.created_at));
}

Json JsonOfChannel(const SavedChannel& channel) {
  return JsonObject()
      .Add("channel", Json::Text(channel.channel))
      .Add("weirs_own", Json::Bool(IsWeirsOwn(channel.channel)))
      .Add("version", Json::Number(channel.version))
      .Add("appended_to", channel.appended_to == 0
                              ? Json::Null()
                              : Json::Number(channel.appended_to))
      .Add("value", JsonOfValue(channel.value));
}
std::string TextOfChannel(const std::string& name, const std::string& value) {
  return absl::StrFormat("  %-20s %s%s\n", ShownName(name),
                         IsWeirsOwn(name) ? "(weir's own) " : "", value);
}

Json JsonOfWrite(const weir::PendingWrite& write) {
  return JsonObject()
      .Add("task", Json::Text(write.task_id))
      .Add("path", Json::Text(write.task_path))
      .Add("index", Json::Signed(write.index))
      .Add("channel", Json::Text(write.channel))
      .Add("weirs_own", Json::Bool(IsWeirsOwn(write.channel)))
      .Add("run_id", Json::Text(write.run_id ? *write.run_id : ""))
      .Add("value", JsonOfValue(write.value));
}

// Of a thread that has runs, and no checkpoint yet.
Outcome ShowRunsOnly(const Arguments& arguments,
                     const std::vector<weir::RunInfo>& runs) {
  if (!arguments.json) return Outcome{"no checkpoint\n" + TextOfRuns(runs)};
  return Outcome{JsonObject()
                     .Add("thread", Json::Text(arguments.words[2]))
                     .Add("id", Json::Null())
                     .Add("runs", JsonOfRuns(runs))
                     .text() +
                 "\n"};
}

absl::StatusOr<Outcome> Show(const Arguments& arguments) {
  const absl::StatusOr<Store> store = Open(arguments);
  if (!store.ok()) return store.status();
  const absl::StatusOr<std::vector<weir::RunInfo>> runs =
      RunsOf(**store, arguments.words[2]);
  if (!runs.ok()) return runs.status();
  const absl::StatusOr<CheckpointTuple> found =
      arguments.checkpoint ? Find(**store, arguments, *arguments.checkpoint)
                           : FindLatest(**store, arguments);
  if (absl::IsNotFound(found.status()) && !runs->empty() &&
      !arguments.checkpoint && !arguments.ns) {
    return ShowRunsOnly(arguments, *runs);
  }
  if (!found.ok()) return found.status();
  const weir::Checkpoint& c = found->checkpoint;
  std::vector<Json> channels, writes;
  std::string text = TextOfHeader(*found) + "\n";
  if (!c.ns.empty()) text += "  in " + ShownNs(c.ns) + "\n";
  text += "  parent " + (c.parent.has_value() ? c.parent.ToString() : "none");
  if (!c.metadata.run_id.empty()) {
    text += ", run " + ShownName(c.metadata.run_id);
  }
  text += absl::StrFormat("\n%d channels\n", c.channels.size());
  for (const SavedChannel& channel : c.channels) {
    channels.push_back(JsonOfChannel(channel));
    text += TextOfChannel(channel.channel, ShownValue(channel));
  }
  text += absl::StrFormat("%d writes after it\n", found->writes.size());
  for (const weir::PendingWrite& write : found->writes) {
    writes.push_back(JsonOfWrite(write));
    text += absl::StrFormat("  task %s, %d:", ShownName(write.task_id),
                            write.index);
    text += TextOfChannel(write.channel, ShownValue(write.value)).substr(1);
  }
  text += TextOfRuns(*runs);
  if (!arguments.json) return Outcome{text};
  JsonObject json = JsonOfHeader(*found);
  json.Add("thread", Json::Text(found->thread))
      .Add("channels", Json::List(channels))
      .Add("writes", Json::List(writes))
      .Add("runs", JsonOfRuns(*runs));
  return Outcome{json.text() + "\n"};
}

absl::StatusOr<Outcome> History(const Arguments& arguments) {
  const absl::StatusOr<Store> store = Open(arguments);
  if (!store.ok()) return store.status();
  const Found all =
      List(**store, {.thread = arguments.words[2], .ns = arguments.ns});
  if (!all.ok()) return all.status();
  if (all->empty()) {
    return NotFound(arguments, "a checkpoint of " + ThreadName(arguments));
  }
  std::vector<Json> json;
  std::string text;
  for (const CheckpointTuple& tuple : *all) {
    json.push_back(
        JsonOfHeader(tuple)
            .Add("channels", Json::Number(tuple.checkpoint.channels.size()))
            .Add("writes", Json::Number(tuple.writes.size())));
    text += TextOfHeader(tuple);
    if (!tuple.checkpoint.ns.empty()) {
      text += "  in " + ShownNs(tuple.checkpoint.ns);
    }
    text +=
        absl::StrFormat("  %d channels, %d writes\n",
                        tuple.checkpoint.channels.size(), tuple.writes.size());
  }
  if (!arguments.json) return Outcome{text};
  return Outcome{JsonObject()
                     .Add("thread", Json::Text(arguments.words[2]))
                     .Add("checkpoints", Json::List(json))
                     .text() +
                 "\n"};
}

// A channel in two checkpoints; null where one has it not.
struct Pair {
  const SavedChannel* before = nullptr;
  const SavedChannel* after = nullptr;

  const char* change() const {
    if (before == nullptr) return "added";
    if (after == nullptr) return "removed";
    return before->version == after->version ? nullptr : "changed";
  }
};

absl::StatusOr<Outcome> Diff(const Arguments& arguments) {
  const absl::StatusOr<Store> store = Open(arguments);
  if (!store.ok()) return store.status();
  const auto a = Find(**store, arguments, arguments.words[3]);
  if (!a.ok()) return a.status();
  const auto b = Find(**store, arguments, arguments.words[4]);
  if (!b.ok()) return b.status();
  std::map<std::string, Pair> pairs;
  for (const SavedChannel& c : a->checkpoint.channels) {
    pairs[c.channel].before = &c;
  }
  for (const SavedChannel& c : b->checkpoint.channels) {
    pairs[c.channel].after = &c;
  }
  std::vector<Json> json;
  std::string text =
      absl::StrFormat("a %s\nb %s\n", TextOfHeader(*a), TextOfHeader(*b));
  for (const auto& [name, pair] : pairs) {
    const char* change = pair.change();
    if (change == nullptr) continue;
    JsonObject object;
    object.Add("channel", Json::Text(name))
        .Add("weirs_own", Json::Bool(IsWeirsOwn(name)))
        .Add("change", Json::Text(change));
    text += TextOfChannel(name, change);
    for (const auto& [side, channel] :
         {std::pair("a", pair.before), std::pair("b", pair.after)}) {
      object.Add(side,
                 channel == nullptr ? Json::Null() : JsonOfChannel(*channel));
      if (channel == nullptr) continue;
      text += absl::StrFormat("    %s: %s\n", side, ShownValue(*channel));
    }
    json.push_back(object);
  }
  if (json.empty()) text += "  no channel has changed\n";
  if (!arguments.json) return Outcome{text};
  return Outcome{JsonObject()
                     .Add("a", JsonOfHeader(*a))
                     .Add("b", JsonOfHeader(*b))
                     .Add("channels", Json::List(json))
                     .text() +
                 "\n"};
}

const char* NameOf(weir::DatabaseThread::State state) {
  switch (state) {
    case weir::DatabaseThread::kWhole:
      return "whole";
    case weir::DatabaseThread::kDoubtful:
      return "doubtful";
    case weir::DatabaseThread::kDamaged:
      return "damaged";
  }
  return "";
}

JsonObject JsonOfReport(const weir::DatabaseReport& report) {
  std::vector<Json> pages, damage, threads;
  for (const uint32_t page : report.damaged_pages) {
    pages.push_back(Json::Number(page));
  }
  for (const weir::DatabaseDamage& d : report.damage) {
    damage.push_back(
        JsonObject()
            .Add("what", Json::Text(d.what))
            .Add("page", d.page == 0 ? Json::Null() : Json::Number(d.page))
            .Add("thread", Json::Text(d.thread))
            .Add("ns", Json::Text(d.ns))
            .Add("checkpoint", JsonOfId(d.checkpoint))
            .Add("channel", Json::Text(d.channel)));
  }
  for (const weir::DatabaseThread& thread : report.threads) {
    threads.push_back(JsonObject()
                          .Add("thread", Json::Text(thread.name))
                          .Add("state", Json::Text(NameOf(thread.state)))
                          .Add("checkpoints", Json::Number(thread.checkpoints))
                          .Add("writes", Json::Number(thread.writes)));
  }
  return JsonObject()
      .Add("whole", Json::Bool(report.whole()))
      .Add("pages", Json::Number(report.pages))
      .Add("records", Json::Number(report.records))
      .Add("cut_log_frames", Json::Number(report.cut_log_frames))
      .Add("damaged_pages", Json::List(pages))
      .Add("damage", Json::List(damage))
      .Add("threads", Json::List(threads));
}

std::string TextOfDamage(const weir::DatabaseDamage& damage) {
  std::string text;
  const auto add = [&text](const char* name, const std::string& value) {
    // What is told names its place in most messages already.
    if (!value.empty()) text += absl::StrFormat("%s %s, ", name, value);
  };
  if (!absl::StrContains(damage.what, "thread '")) {
    add("thread", ShownName(damage.thread));
    add("namespace", ShownName(damage.ns));
    add("checkpoint", damage.checkpoint.ToString());
    add("channel", ShownName(damage.channel));
  }
  if (!text.empty()) text.replace(text.size() - 2, 2, ": ");
  return "  " + text + ShownName(damage.what) + "\n";
}

std::string TextOfReport(const weir::DatabaseReport& report) {
  std::string text = absl::StrFormat(
      "pages: %d, records: %d, threads: %d; %s\n", report.pages, report.records,
      report.threads.size(), report.whole() ? "all whole" : "damaged");
  if (!report.damaged_pages.empty()) {
    text += absl::StrFormat("damaged pages: %d\n", report.damaged_pages.size());
  }
  for (const weir::DatabaseDamage& damage : report.damage) {
    text += TextOfDamage(damage);
  }
  for (const weir::DatabaseThread& thread : report.threads) {
    if (thread.state == weir::DatabaseThread::kWhole) continue;
    text += absl::StrFormat("thread %s is %s (%d checkpoints found)\n",
                            ShownName(thread.name), NameOf(thread.state),
                            thread.checkpoints);
  }
  if (report.cut_log_frames > 0) {
    text += absl::StrFormat(
        "the last %d frames of the log are not whole: a crash has cut them "
        "off, or they are damaged\n",
        report.cut_log_frames);
  }
  return text;
}

absl::StatusOr<Outcome> Verify(const Arguments& arguments) {
  const auto report = weir::VerifyDatabase(arguments.words[1]);
  if (!report.ok()) return report.status();
  return Outcome{arguments.json ? JsonOfReport(*report).text() + "\n"
                                : TextOfReport(*report),
                 report->whole() ? 0 : 1};
}

absl::StatusOr<Outcome> Salvage(const Arguments& arguments) {
  const std::string& to = arguments.words[2];
  const auto report = weir::SalvageDatabase(arguments.words[1], to);
  if (!report.ok()) return report.status();
  const auto saved = std::count_if(
      report->threads.begin(), report->threads.end(), [](const auto& thread) {
        return thread.state != weir::DatabaseThread::kDamaged;
      });
  const int code = report->whole() ? 0 : 1;
  if (arguments.json) {
    JsonObject json = JsonOfReport(*report);
    json.Add("saved_threads", Json::Signed(saved));
    return Outcome{json.text() + "\n", code};
  }
  return Outcome{TextOfReport(*report) +
                     absl::StrFormat("saved %d of %d threads to %s\n", saved,
                                     report->threads.size(), ShownName(to)),
                 code};
}

constexpr Command kCommands[] = {
    {.name = "ls", .says = "the threads of a file", .run = &Ls},
    {.name = "show",
     .words = " THREAD",
     .count = 2,
     .takes_ns = true,
     .takes_checkpoint = true,
     .says = "a checkpoint, the newest if none is named: channels and writes; "
             "and the thread's runs",
     .run = &Show},
    {.name = "history",
     .words = " THREAD",
     .count = 2,
     .takes_ns = true,
     .says = "the checkpoints of a thread, the newest first",
     .run = &History},
    {.name = "diff",
     .words = " THREAD A B",
     .count = 4,
     .takes_ns = true,
     .says = "the channels that differ between two checkpoints, A and B",
     .run = &Diff},
    {.name = "events",
     .words = " RUN",
     .count = 2,
     .takes_from = true,
     .says = "the events of a run that are kept, from one of them on",
     .run = &Events},
    {.name = "verify",
     .says = "checks every page and record, and says what is damaged",
     .run = &Verify},
    {.name = "salvage",
     .words = " NEWFILE",
     .count = 2,
     .says = "makes a database of all threads that are whole",
     .run = &Salvage},
};

}  // namespace

std::span<const Command> Commands() { return kCommands; }

}  // namespace weir_cli
