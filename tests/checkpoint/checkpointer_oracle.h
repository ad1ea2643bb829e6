#ifndef WEIR_TESTS_CHECKPOINT_CHECKPOINTER_ORACLE_H_
#define WEIR_TESTS_CHECKPOINT_CHECKPOINTER_ORACLE_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

#include "weir/checkpoint/checkpointer.h"

// A store is compared with one that keeps every checkpoint whole and every
// write in a map: random calls, forks, replacements, chains of pieces, prunes,
// copies and deletes; what is answered, what is stored and which values are
// alive must be the same.
namespace weir {

// In the oracle a value is its text, and a channel all of its pieces.
struct OraclePiece {
  uint64_t version = 0;
  uint64_t appended_to = 0;
  std::optional<std::string> text;
};
using OraclePieces = std::vector<OraclePiece>;

struct OracleCheckpoint {
  CheckpointId parent;
  absl::Time created_at;
  CheckpointMetadata metadata;
  std::map<std::string, OraclePieces> channels;
};

// The runs' texts in one place, one of each run.
struct OraclePlace {
  std::string task;
  int32_t index = 0;
  std::vector<std::pair<std::string, std::string>> texts;

  const std::pair<std::string, std::string>& Shown() const {
    return index < 0 ? texts.back() : texts.front();
  }
};

struct OracleWrites {
  std::vector<OraclePlace> places;  // In the order of their first writes.

  void Put(const std::string& task, int32_t index, const std::string& run,
           const std::string& text) {
    auto place =
        std::find_if(places.begin(), places.end(), [&](const OraclePlace& p) {
          return p.task == task && p.index == index;
        });
    if (place == places.end()) {
      place = places.insert(place, {task, index, {}});
    }
    const auto same =
        std::find_if(place->texts.begin(), place->texts.end(),
                     [&run](const auto& of) { return of.first == run; });
    if (same != place->texts.end()) {
      if (index >= 0) return;
      place->texts.erase(same);
    }
    place->texts.emplace_back(run, text);
  }
  void Drop(const std::set<std::string>& runs) {
    for (OraclePlace& place : places) {
      std::erase_if(place.texts, [&runs](const auto& of) {
        return !of.first.empty() && runs.contains(of.first);
      });
    }
    std::erase_if(places, [](const OraclePlace& p) { return p.texts.empty(); });
  }
  std::string ToText() const {
    std::vector<std::string> tasks;
    std::map<std::pair<std::string, int32_t>, std::string> texts;
    for (const OraclePlace& place : places) {
      if (std::find(tasks.begin(), tasks.end(), place.task) == tasks.end()) {
        tasks.push_back(place.task);
      }
      const auto& [run, text] = place.Shown();
      texts[{place.task, place.index}] = text + " by " + run;
    }
    std::string all;
    for (const std::string& task : tasks) {
      for (const auto& [key, text] : texts) {
        if (key.first != task) continue;
        all += absl::StrFormat(" %s.%d:%s", task, key.second, text);
      }
    }
    return all;
  }
};

struct OracleNamespace {
  std::map<CheckpointId, OracleCheckpoint> checkpoints;
  std::map<CheckpointId, OracleWrites> writes;

  bool Takes(CheckpointId id) const {
    return checkpoints.empty() || id > checkpoints.rbegin()->first ||
           checkpoints.contains(id);
  }
};

struct OracleThread {
  uint64_t epoch = 0;
  uint64_t last_sequence = 0;
  uint64_t last_version = 0;
  std::map<std::string, OracleNamespace> namespaces;

  bool empty() const {
    for (const auto& [ns, in] : namespaces) {
      if (!in.checkpoints.empty() || !in.writes.empty()) return false;
    }
    return true;
  }
};

inline std::string Text(const SavedValue& value) {
  std::string text;
  if (!value.has_value()) return "(nothing)";
  EXPECT_TRUE(value.Encode(&text).ok());
  return text;
}

inline std::string MetadataText(const CheckpointId& parent,
                                absl::Time created_at,
                                const CheckpointMetadata& m) {
  std::string text = absl::StrFormat(
      " from %s at %d: %s %d %s", parent.ToString(),
      absl::ToUnixMicros(created_at), m.source, m.step, m.run_id);
  for (const auto& [ns, id] : m.parents) text += " " + ns + id.ToString();
  for (const auto& [key, json] : m.custom) text += " " + key + json;
  return text;
}

inline std::string ChannelText(const std::string& name,
                               const OraclePiece& piece) {
  return absl::StrFormat(" %s/%d/%d=%s", name, piece.version, piece.appended_to,
                         piece.text.value_or("(nothing)"));
}

inline std::string RunOf(const PendingWrite& write) {
  return write.run_id == nullptr ? "" : *write.run_id;
}

inline std::string ToText(const CheckpointTuple& tuple) {
  const Checkpoint& c = tuple.checkpoint;
  std::string text = tuple.thread + "/" + c.ns + "/" + c.id.ToString() +
                     MetadataText(c.parent, c.created_at, c.metadata);
  for (const SavedChannel& s : c.channels) {
    text += ChannelText(s.channel, {s.version, s.appended_to, Text(s.value)});
  }
  for (const PendingWrite& w : tuple.writes) {
    text += absl::StrFormat(" %s.%d:%s by %s", w.task_id, w.index,
                            Text(w.value), RunOf(w));
  }
  return text;
}

class Oracle {
 public:
  std::map<std::string, OracleThread> threads;

  absl::StatusCode Put(const Fence& fence, const NewCheckpoint& made) {
    const Checkpoint& c = made.checkpoint;
    if (!c.id.has_value()) return absl::StatusCode::kInvalidArgument;
    if (Fenced(fence)) return absl::StatusCode::kAborted;
    OracleThread& thread = threads[fence.thread];
    OracleNamespace in = thread.namespaces[c.ns];
    if (!in.Takes(c.id)) return absl::StatusCode::kFailedPrecondition;
    OracleCheckpoint whole;
    if (made.base.has_value()) {
      const auto base = in.checkpoints.find(made.base);
      if (base == in.checkpoints.end()) {
        return absl::StatusCode::kFailedPrecondition;
      }
      whole = base->second;
    }
    const std::map<std::string, OraclePieces> before = whole.channels;
    for (const std::string& name : made.removed) whole.channels.erase(name);
    uint64_t last_version = thread.last_version;
    for (const SavedChannel& s : c.channels) {
      OraclePieces pieces;
      if (s.appended_to != 0) {
        const auto at = before.find(s.channel);
        if (at == before.end() || at->second.back().version != s.appended_to) {
          return absl::StatusCode::kFailedPrecondition;
        }
        pieces = at->second;
      }
      std::optional<std::string> text;
      if (s.value.has_value()) text = Text(s.value);
      pieces.push_back({s.version, s.appended_to, std::move(text)});
      whole.channels[s.channel] = std::move(pieces);
      last_version = std::max(last_version, s.version);
    }
    whole.parent = c.parent;
    whole.created_at = c.created_at;
    whole.metadata = c.metadata;
    in.checkpoints[c.id] = std::move(whole);
    thread.namespaces[c.ns] = std::move(in);
    thread.last_sequence = std::max(thread.last_sequence, c.id.sequence);
    thread.last_version = last_version;
    return absl::StatusCode::kOk;
  }

  absl::StatusCode PutWrites(const Fence& fence, const NewWrites& made) {
    if (!made.checkpoint.has_value()) return absl::StatusCode::kInvalidArgument;
    if (Fenced(fence)) return absl::StatusCode::kAborted;
    OracleNamespace& in = threads[fence.thread].namespaces[made.ns];
    if (!in.Takes(made.checkpoint)) {
      return absl::StatusCode::kFailedPrecondition;
    }
    for (const PendingWrite& w : made.writes) {
      in.writes[made.checkpoint].Put(w.task_id, w.index, RunOf(w),
                                     Text(w.value));
    }
    return absl::StatusCode::kOk;
  }

  void DeleteRuns(const std::set<std::string>& runs) {
    for (auto& [name, thread] : threads) {
      for (auto& [ns, in] : thread.namespaces) {
        for (auto at = in.checkpoints.begin(); at != in.checkpoints.end();) {
          const std::string& run = at->second.metadata.run_id;
          if (run.empty() || !runs.contains(run)) {
            ++at;
            continue;
          }
          in.writes.erase(at->first);
          at = in.checkpoints.erase(at);
        }
        for (auto& [id, writes] : in.writes) writes.Drop(runs);
        std::erase_if(in.writes,
                      [](const auto& at) { return at.second.places.empty(); });
      }
    }
  }

  absl::StatusCode CopyThread(const std::string& from, const std::string& to) {
    const auto source = threads.find(from);
    if (source == threads.end() || source->second.empty()) {
      return absl::StatusCode::kNotFound;
    }
    const OracleThread old = threads[to];
    if (!old.empty()) return absl::StatusCode::kAlreadyExists;
    OracleThread& copy = threads[to] = threads[from];
    copy.epoch = 0;
    copy.last_sequence = std::max(copy.last_sequence, old.last_sequence);
    copy.last_version = std::max(copy.last_version, old.last_version);
    return absl::StatusCode::kOk;
  }

  void KeepLatest(const std::string& name) {
    if (!threads.contains(name)) return;
    for (auto& [ns, in] : threads[name].namespaces) {
      if (in.checkpoints.empty()) continue;
      const CheckpointId id = in.checkpoints.rbegin()->first;
      in.checkpoints.erase(in.checkpoints.begin(), in.checkpoints.find(id));
      in.writes.erase(in.writes.begin(), in.writes.lower_bound(id));
    }
  }

  std::vector<std::string> List(const CheckpointQuery& query) const {
    std::vector<std::tuple<CheckpointId, std::string, std::string>> found;
    for (const auto& [name, thread] : threads) {
      if (query.thread.value_or(name) != name) continue;
      for (const auto& [ns, in] : thread.namespaces) {
        if (query.ns.value_or(ns) != ns) continue;
        for (const auto& [id, c] : in.checkpoints) {
          const CheckpointMetadata& m = c.metadata;
          std::map<std::string, std::string> all = m.custom;
          all["source"] = "\"" + m.source + "\"";
          all["step"] = std::to_string(m.step);
          if (!m.run_id.empty()) all["run_id"] = "\"" + m.run_id + "\"";
          const bool matches =
              query.id.value_or(id) == id &&
              (!query.before || id < *query.before) &&
              std::all_of(query.filter.begin(), query.filter.end(),
                          [&all](const auto& f) {
                            return all.contains(f.first) &&
                                   all[f.first] == f.second;
                          });
          if (matches) found.emplace_back(id, name, ns);
        }
      }
    }
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
      if (std::get<0>(a) != std::get<0>(b)) {
        return std::get<0>(a) > std::get<0>(b);
      }
      return a < b;
    });
    if (query.limit && found.size() > *query.limit) found.resize(*query.limit);
    std::vector<std::string> texts;
    for (const auto& [id, name, ns] : found) {
      texts.push_back(TextOf(name, ns, id));
    }
    return texts;
  }

  std::string TextOf(const std::string& name, const std::string& ns,
                     CheckpointId id) const {
    const OracleNamespace& in = threads.at(name).namespaces.at(ns);
    const OracleCheckpoint& c = in.checkpoints.at(id);
    std::string text = name + "/" + ns + "/" + id.ToString() +
                       MetadataText(c.parent, c.created_at, c.metadata);
    for (const auto& [channel, pieces] : c.channels) {
      text += ChannelText(channel, pieces.back());
    }
    const auto at = in.writes.find(id);
    return at == in.writes.end() ? text : text + at->second.ToText();
  }

  std::set<std::string> Alive() const {
    std::set<std::string> alive;
    for (const auto& [name, thread] : threads) {
      for (const auto& [ns, in] : thread.namespaces) {
        for (const auto& [id, c] : in.checkpoints) {
          for (const auto& [channel, pieces] : c.channels) {
            for (const OraclePiece& piece : pieces) {
              if (piece.text) alive.insert(*piece.text);
            }
          }
        }
        for (const auto& [id, writes] : in.writes) {
          for (const OraclePlace& place : writes.places) {
            for (const auto& [run, text] : place.texts) alive.insert(text);
          }
        }
      }
    }
    return alive;
  }

 private:
  bool Fenced(const Fence& fence) const {
    const auto at = threads.find(fence.thread);
    return at == threads.end() || at->second.epoch == 0 ||
           at->second.epoch != fence.epoch;
  }
};

// The store that is compared, which answers before a call returns.
class OracleSubject {
 public:
  virtual ~OracleSubject() = default;
  virtual Checkpointer& store() = 0;
  // What of all values that were ever stored still is, where `alive` are those
  // that have not ended.
  virtual std::set<std::string> Stored(std::set<std::string> alive) = 0;
  // Opens it anew, if it outlives that.
  virtual void Reopen() {}
};

// Makes the same random calls to both.
class OraclePlayer {
 public:
  OraclePlayer(uint64_t seed, OracleSubject& subject)
      : random_(seed), subject_(subject) {}

  void Play(int calls) {
    for (int i = 0; i < calls && !testing::Test::HasFailure(); ++i) {
      SCOPED_TRACE(absl::StrFormat("call %d", i));
      One();
      if (i % 100 == 99) CompareAll();
    }
    CompareAll();
    for (const std::string& name : kThreads) DeleteThread(name);
    CompareAll();
    EXPECT_TRUE(subject_.Stored(Alive()).empty());
  }

 private:
  static inline const std::vector<std::string> kThreads = {"one", "two",
                                                           "three", "four"};
  static inline const std::vector<std::string> kNamespaces = {"", "child:1",
                                                              "child:1|2"};
  static inline const std::vector<std::string> kRuns = {"", "r1", "r2", "r3"};
  static inline const std::vector<std::string> kSources = {"input", "loop"};

  int Below(int n) {
    return static_cast<int>(random_() % static_cast<uint64_t>(n));
  }
  bool OneIn(int n) { return Below(n) == 0; }
  const std::string& Any(const std::vector<std::string>& of) {
    return of[static_cast<size_t>(Below(static_cast<int>(of.size())))];
  }

  SavedValue NewValue() {
    const std::string text = absl::StrFormat("<v%d>", ++values_made_);
    auto value = std::make_shared<const std::string>(text);
    values_[text] = value;
    return {std::move(value), [](const void* from, std::string* out) {
              out->append(*static_cast<const std::string*>(from));
              return absl::OkStatus();
            }};
  }
  std::set<std::string> Alive() {
    std::set<std::string> alive;
    std::erase_if(values_, [](const auto& v) { return v.second.expired(); });
    for (const auto& [text, value] : values_) alive.insert(text);
    return alive;
  }

  // Most often a writer that may write.
  Fence AnyFence(const std::string& thread) {
    Fence fence{.thread = thread, .epoch = oracle_.threads[thread].epoch};
    if (fence.epoch == 0 && !OneIn(4)) fence = Open(thread);
    if (OneIn(30)) fence.epoch = fences_[thread];  // An earlier one.
    return fence;
  }
  // A stored id of the namespace, the latest in most cases; or none.
  CheckpointId AnyId(const OracleNamespace& in) {
    if (in.checkpoints.empty() || OneIn(20)) return {};
    if (OneIn(50)) return {static_cast<uint64_t>(Below(500)), 1};
    if (!OneIn(4)) return in.checkpoints.rbegin()->first;
    auto at = in.checkpoints.begin();
    std::advance(at, Below(static_cast<int>(in.checkpoints.size())));
    return at->first;
  }

  void One() {
    if (OneIn(50)) subject_.Reopen();
    const int kind = Below(1000);
    if (kind < 450) return Put();
    if (kind < 700) return PutWrites();
    if (kind < 800) return Get();
    if (kind < 860) return List();
    if (kind < 940) return History();
    const std::string& thread = Any(kThreads);
    if (kind < 960) {
      Open(thread);
    } else if (kind < 965) {
      DeleteThread(thread);
    } else if (kind < 975) {
      CopyThread(thread);
    } else if (kind < 980) {
      Prune(thread);
    } else {
      DeleteRuns();
    }
  }

  Fence Open(const std::string& thread) {
    OracleThread& expected = oracle_.threads[thread];
    fences_[thread] = expected.epoch;
    subject_.store().Open(thread, [&](absl::StatusOr<ThreadLease> lease) {
      ASSERT_TRUE(lease.ok());
      EXPECT_GT(lease->fence.epoch, last_epoch_);
      last_epoch_ = lease->fence.epoch;
      EXPECT_EQ(lease->last_sequence, expected.last_sequence);
      EXPECT_EQ(lease->last_version, expected.last_version);
    });
    expected.epoch = last_epoch_;
    return {.thread = thread, .epoch = last_epoch_};
  }

  void Put() {
    const Fence fence = AnyFence(Any(kThreads));
    OracleThread& thread = oracle_.threads[fence.thread];
    NewCheckpoint made;
    Checkpoint& c = made.checkpoint;
    c.ns = Any(kNamespaces);
    const OracleNamespace& in = thread.namespaces[c.ns];
    c.id = {thread.last_sequence + 1, random_()};
    if (OneIn(15)) c.id = AnyId(in);
    if (OneIn(50)) c.id.sequence -= std::min<uint64_t>(c.id.sequence, 3);
    made.base = AnyId(in);
    c.parent = made.base;
    c.created_at = absl::FromUnixMicros(Below(1000000));
    c.metadata.source = Any(kSources);
    c.metadata.step = Below(4);
    c.metadata.run_id = Any(kRuns);
    if (OneIn(5)) c.metadata.custom["k"] = std::to_string(Below(3));
    if (OneIn(9)) c.metadata.parents[""] = {1, 2};
    const auto base = in.checkpoints.find(made.base);
    const int width = OneIn(20) ? 12 : 3;
    std::set<std::string> changed;
    for (int i = Below(width); i > 0; --i) {
      changed.insert(absl::StrFormat("c%d", Below(12)));
    }
    uint64_t version = thread.last_version + 1;
    for (const std::string& name : changed) {
      SavedChannel s{.channel = name, .version = version};
      version += OneIn(3) ? 1 : 0;
      if (!OneIn(10)) s.value = NewValue();
      if (base != in.checkpoints.end() && OneIn(2)) {
        const auto at = base->second.channels.find(name);
        if (at != base->second.channels.end() && at->second.size() < 20) {
          s.appended_to = at->second.back().version;
        }
      }
      if (OneIn(100)) s.appended_to = 1;
      c.channels.push_back(std::move(s));
    }
    while (OneIn(4)) {
      const std::string name = absl::StrFormat("c%d", Below(14));
      if (!changed.contains(name)) made.removed.push_back(name);
    }
    const absl::StatusCode expected = oracle_.Put(fence, made);
    subject_.store().Put(fence, std::move(made), Expect(expected));
  }

  void PutWrites() {
    const Fence fence = AnyFence(Any(kThreads));
    OracleThread& thread = oracle_.threads[fence.thread];
    NewWrites made{.ns = Any(kNamespaces)};
    made.checkpoint = AnyId(thread.namespaces[made.ns]);
    if (OneIn(10)) made.checkpoint = {thread.last_sequence + 1, 5};
    const int tasks = OneIn(3) ? 40 : 3;
    const std::string task = absl::StrFormat("task%d", Below(tasks));
    const std::string& run = Any(kRuns);
    for (int i = Below(5); i > 0; --i) {
      made.writes.push_back(
          {.task_id = OneIn(5) ? absl::StrFormat("task%d", Below(tasks)) : task,
           .index = Below(8) - 4,
           .channel = "c",
           .value = NewValue(),
           .run_id = run.empty() ? nullptr
                                 : std::make_shared<const std::string>(run)});
    }
    const absl::StatusCode expected = oracle_.PutWrites(fence, made);
    subject_.store().PutWrites(fence, std::move(made), Expect(expected));
  }

  void Get() {
    const std::string& thread = Any(kThreads);
    const std::string& ns = Any(kNamespaces);
    OracleNamespace& in = oracle_.threads[thread].namespaces[ns];
    CheckpointKey key{.thread = thread, .ns = ns};
    CheckpointId id;
    if (!in.checkpoints.empty()) id = in.checkpoints.rbegin()->first;
    if (OneIn(2)) key.id = id = AnyId(in);
    std::string expected;
    if (in.checkpoints.contains(id)) expected = oracle_.TextOf(thread, ns, id);
    subject_.store().Get(
        key, [&](absl::StatusOr<std::optional<CheckpointTuple>> tuple) {
          ASSERT_TRUE(tuple.ok());
          EXPECT_EQ(tuple->has_value() ? ToText(**tuple) : "", expected);
        });
  }

  void List() {
    CheckpointQuery query;
    if (!OneIn(4)) query.thread = Any(kThreads);
    if (OneIn(2)) query.ns = Any(kNamespaces);
    const OracleNamespace& in = oracle_.threads[query.thread.value_or("one")]
                                    .namespaces[query.ns.value_or("")];
    if (OneIn(8)) query.id = AnyId(in);
    if (OneIn(3)) query.before = AnyId(in);
    if (OneIn(3)) query.limit = static_cast<size_t>(Below(6));
    if (OneIn(3)) query.filter["source"] = "\"" + Any(kSources) + "\"";
    if (OneIn(4)) query.filter["run_id"] = "\"" + Any(kRuns) + "\"";
    if (OneIn(6)) query.filter["step"] = std::to_string(Below(4));
    if (OneIn(6)) query.filter["k"] = std::to_string(Below(3));
    Compare(query);
  }

  void Compare(const CheckpointQuery& query) {
    subject_.store().List(
        query, [&](absl::StatusOr<std::vector<CheckpointTuple>> tuples) {
          ASSERT_TRUE(tuples.ok());
          std::vector<std::string> texts;
          for (const CheckpointTuple& tuple : *tuples) {
            texts.push_back(ToText(tuple));
          }
          EXPECT_EQ(texts, oracle_.List(query));
        });
  }

  void History() {
    const std::string& thread = Any(kThreads);
    const std::string& ns = Any(kNamespaces);
    OracleNamespace& in = oracle_.threads[thread].namespaces[ns];
    const CheckpointId id = AnyId(in);
    std::vector<std::string> channels;
    std::string expected;
    const auto at = in.checkpoints.find(id);
    for (int i = 0; i < 14; i += 1 + Below(3)) {
      channels.push_back(absl::StrFormat("c%d", i));
      expected += ";";
      if (at == in.checkpoints.end()) continue;
      for (const OraclePiece& piece : at->second.channels[channels.back()]) {
        expected += ChannelText(channels.back(), piece);
      }
      if (at->second.channels[channels.back()].empty()) {
        at->second.channels.erase(channels.back());
      }
    }
    subject_.store().History(
        {.thread = thread, .ns = ns, .id = id}, channels,
        [&](absl::StatusOr<std::vector<std::vector<SavedChannel>>> histories) {
          ASSERT_TRUE(histories.ok());
          std::string text;
          for (const std::vector<SavedChannel>& history : *histories) {
            text += ";";
            for (const SavedChannel& s : history) {
              text += ChannelText(s.channel,
                                  {s.version, s.appended_to, Text(s.value)});
            }
          }
          EXPECT_EQ(text, expected);
        });
  }

  void DeleteThread(const std::string& thread) {
    fences_[thread] = oracle_.threads[thread].epoch;
    oracle_.threads.erase(thread);
    if (OneIn(2)) {
      subject_.store().DeleteThread(thread, Expect(absl::StatusCode::kOk));
    } else {
      subject_.store().Prune({thread}, PruneMode::kDeleteAll,
                             Expect(absl::StatusCode::kOk));
    }
  }

  void CopyThread(const std::string& from) {
    const std::string& to = Any(kThreads);
    if (from != to && OneIn(2)) DeleteThread(to);
    const absl::StatusCode expected = oracle_.CopyThread(from, to);
    subject_.store().CopyThread(from, to, Expect(expected));
  }

  void Prune(const std::string& thread) {
    const std::string& other = Any(kThreads);
    oracle_.KeepLatest(thread);
    oracle_.KeepLatest(other);
    subject_.store().Prune({thread, other}, PruneMode::kKeepLatest,
                           Expect(absl::StatusCode::kOk));
  }

  void DeleteRuns() {
    const std::string& run = Any(kRuns);
    oracle_.DeleteRuns({run});
    subject_.store().DeleteRuns({run}, Expect(absl::StatusCode::kOk));
  }

  static Checkpointer::StatusDone Expect(absl::StatusCode code) {
    return [code](absl::Status s) { EXPECT_EQ(s.code(), code) << s; };
  }

  void CompareAll() {
    Compare({});
    EXPECT_EQ(subject_.Stored(Alive()), oracle_.Alive());
  }

  std::mt19937_64 random_;
  OracleSubject& subject_;
  Oracle oracle_;
  std::map<std::string, uint64_t> fences_;  // Earlier ones.
  uint64_t last_epoch_ = 0;
  int values_made_ = 0;
  std::map<std::string, std::weak_ptr<const std::string>> values_;
};

}  // namespace weir

#endif  // WEIR_TESTS_CHECKPOINT_CHECKPOINTER_ORACLE_H_
