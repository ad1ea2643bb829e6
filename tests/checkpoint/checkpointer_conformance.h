#ifndef WEIR_TESTING_CHECKPOINTER_CONFORMANCE_H_
#define WEIR_TESTING_CHECKPOINTER_CONFORMANCE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

#include "weir/checkpoint/checkpoint.h"
#include "weir/checkpoint/checkpointer.h"

// What holds for every Checkpointer, a test each. Include this in one source
// file of a test, and say how a store is made, in namespace weir:
//
//   INSTANTIATE_TEST_SUITE_P(
//       MyStore, CheckpointerConformanceTest,
//       testing::Values(CheckpointerCase{
//           "MyStore", [] { return std::make_unique<MyStore>(); }}));
//
// Tests of a capability that a store does not claim are skipped. Values are
// compared by their bytes, so that a store may keep them or encode them.
//
// Source: LangGraph's checkpoint-conformance, whose tests have the same names
//         here (PutRoundtrip is test_put_roundtrip). What a node has seen is a
//         channel like any other to a weir store; and a growing value is a
//         chain of pieces (SavedChannel::appended_to), not of writes.
namespace weir {

struct CheckpointerCase {
  std::string name;
  // A store that holds nothing, its own each time.
  std::function<std::unique_ptr<Checkpointer>()> make;
};

inline std::ostream& operator<<(std::ostream& out, const CheckpointerCase& c) {
  return out << c.name;
}

class CheckpointerConformanceTest
    : public testing::TestWithParam<CheckpointerCase> {
 protected:
  using Tuples = std::vector<CheckpointTuple>;
  using Histories = std::vector<std::vector<std::string>>;
  // Channels and the bytes they hold; kNothing for one that holds nothing.
  using State = std::map<std::string, std::string>;
  static constexpr char kNothing[] = "(nothing)";

  CheckpointerConformanceTest() : store_(GetParam().make()) {}

  Checkpointer& store() { return *store_; }

  // Each makes a call and waits for its result.

  template <class T, class Call>
  static T Wait(Call call) {
    // Shared, so that a store that answers twice is found out and not undone.
    struct Answer {
      absl::Notification given;
      std::optional<T> result;
    };
    auto answer = std::make_shared<Answer>();
    call([answer](T result) {
      if (answer->given.HasBeenNotified()) {
        ADD_FAILURE() << "a call was answered twice";
        return;
      }
      answer->result.emplace(std::move(result));
      answer->given.Notify();
    });
    answer->given.WaitForNotification();
    return *std::move(answer->result);
  }

  absl::StatusOr<ThreadLease> TryOpen(const std::string& thread) {
    return Wait<absl::StatusOr<ThreadLease>>(
        [&](auto done) { store().Open(thread, std::move(done)); });
  }
  absl::Status TryPut(const Fence& fence, NewCheckpoint checkpoint) {
    return Wait<absl::Status>([&](auto done) {
      store().Put(fence, std::move(checkpoint), std::move(done));
    });
  }
  absl::Status TryPutWrites(const Fence& fence, NewWrites writes) {
    return Wait<absl::Status>([&](auto done) {
      store().PutWrites(fence, std::move(writes), std::move(done));
    });
  }
  absl::StatusOr<std::optional<CheckpointTuple>> TryGet(CheckpointKey key) {
    return Wait<absl::StatusOr<std::optional<CheckpointTuple>>>(
        [&](auto done) { store().Get(std::move(key), std::move(done)); });
  }
  absl::StatusOr<Tuples> TryList(CheckpointQuery query) {
    return Wait<absl::StatusOr<Tuples>>(
        [&](auto done) { store().List(std::move(query), std::move(done)); });
  }
  absl::StatusOr<std::vector<std::vector<SavedChannel>>> TryHistory(
      CheckpointKey key, std::vector<std::string> channels) {
    return Wait<absl::StatusOr<std::vector<std::vector<SavedChannel>>>>(
        [&](auto done) {
          store().History(std::move(key), std::move(channels), std::move(done));
        });
  }
  absl::Status TryDeleteThread(const std::string& thread) {
    return Wait<absl::Status>(
        [&](auto done) { store().DeleteThread(thread, std::move(done)); });
  }
  absl::Status TryDeleteRuns(std::vector<std::string> runs) {
    return Wait<absl::Status>([&](auto done) {
      store().DeleteRuns(std::move(runs), std::move(done));
    });
  }
  absl::Status TryCopyThread(const std::string& from, const std::string& to) {
    return Wait<absl::Status>(
        [&](auto done) { store().CopyThread(from, to, std::move(done)); });
  }
  absl::Status TryPrune(std::vector<std::string> threads, PruneMode mode) {
    return Wait<absl::Status>([&](auto done) {
      store().Prune(std::move(threads), mode, std::move(done));
    });
  }
  absl::Status TryFlush() {
    return Wait<absl::Status>(
        [&](auto done) { store().Flush(std::move(done)); });
  }

  // The same where they should succeed.

  Fence Open(const std::string& thread) {
    absl::StatusOr<ThreadLease> lease = TryOpen(thread);
    EXPECT_TRUE(lease.ok()) << lease.status();
    return lease.ok() ? lease->fence : Fence();
  }
  std::optional<CheckpointTuple> Get(CheckpointKey key) {
    absl::StatusOr<std::optional<CheckpointTuple>> tuple =
        TryGet(std::move(key));
    EXPECT_TRUE(tuple.ok()) << tuple.status();
    return tuple.ok() ? *std::move(tuple) : std::nullopt;
  }
  Tuples List(CheckpointQuery query) {
    absl::StatusOr<Tuples> tuples = TryList(std::move(query));
    EXPECT_TRUE(tuples.ok()) << tuples.status();
    return tuples.ok() ? *std::move(tuples) : Tuples();
  }
  // The bytes of the pieces of each channel.
  Histories History(CheckpointKey key, std::vector<std::string> channels) {
    absl::StatusOr<std::vector<std::vector<SavedChannel>>> histories =
        TryHistory(std::move(key), std::move(channels));
    EXPECT_TRUE(histories.ok()) << histories.status();
    Histories texts;
    if (!histories.ok()) return texts;
    for (const std::vector<SavedChannel>& history : *histories) {
      std::vector<std::string>& pieces = texts.emplace_back();
      for (const SavedChannel& piece : history) {
        pieces.push_back(BytesOf(piece.value));
      }
    }
    return texts;
  }
  static void Ok(const absl::Status& status) {
    EXPECT_TRUE(status.ok()) << status;
  }
  static void Fails(const absl::Status& status, absl::StatusCode code) {
    EXPECT_EQ(status.code(), code) << status;
  }

  // A value whose bytes are `text`.
  static SavedValue Text(std::string text) {
    return Shared(std::make_shared<const std::string>(std::move(text)));
  }
  static SavedValue Shared(std::shared_ptr<const std::string> text) {
    return {std::move(text), [](const void* value, std::string* out) {
              out->append(*static_cast<const std::string*>(value));
              return absl::OkStatus();
            }};
  }
  static std::string BytesOf(const SavedValue& value) {
    if (!value.has_value()) return kNothing;
    std::string bytes;
    absl::Status s = value.Encode(&bytes);
    EXPECT_TRUE(s.ok()) << s;
    return bytes;
  }
  static State StateOf(const Checkpoint& checkpoint) {
    State state;
    for (const SavedChannel& channel : checkpoint.channels) {
      state[channel.channel] = BytesOf(channel.value);
    }
    EXPECT_EQ(state.size(), checkpoint.channels.size());
    return state;
  }
  static State StateOf(const std::optional<CheckpointTuple>& tuple) {
    EXPECT_TRUE(tuple.has_value());
    return tuple ? StateOf(tuple->checkpoint) : State();
  }
  static std::vector<CheckpointId> IdsOf(const Tuples& tuples) {
    std::vector<CheckpointId> ids;
    for (const CheckpointTuple& tuple : tuples) {
      ids.push_back(tuple.checkpoint.id);
    }
    return ids;
  }
  // "task:channel=bytes" of each write.
  static std::vector<std::string> TextsOf(
      const std::vector<PendingWrite>& writes) {
    std::vector<std::string> texts;
    for (const PendingWrite& write : writes) {
      texts.push_back(write.task_id + ":" + write.channel + "=" +
                      BytesOf(write.value));
    }
    return texts;
  }
  static std::vector<std::string> WritesOf(
      const std::optional<CheckpointTuple>& tuple) {
    EXPECT_TRUE(tuple.has_value());
    return tuple ? TextsOf(tuple->writes) : std::vector<std::string>();
  }
  static std::string RunOf(const PendingWrite& write) {
    return write.run_id == nullptr ? "nobody" : *write.run_id;
  }
  // All that is to be read back, as text, to compare.
  static std::string Describe(const Tuples& tuples) {
    std::string text;
    for (const CheckpointTuple& tuple : tuples) {
      const Checkpoint& c = tuple.checkpoint;
      text += c.ns + " " + c.id.ToString() + " from " + c.parent.ToString() +
              " at " + std::to_string(absl::ToUnixMicros(c.created_at)) + " " +
              c.metadata.source + " " + std::to_string(c.metadata.step) + " " +
              c.metadata.run_id;
      for (const auto& [ns, id] : c.metadata.parents) {
        text += " " + ns + "@" + id.ToString();
      }
      for (const auto& [key, json] : c.metadata.custom) {
        text += " " + key + ":" + json;
      }
      for (const SavedChannel& channel : c.channels) {
        text += " " + channel.channel + "/" + std::to_string(channel.version) +
                "/" + std::to_string(channel.appended_to) + "=" +
                BytesOf(channel.value);
      }
      for (const PendingWrite& write : tuple.writes) {
        text += " " + write.task_id + "/" + write.task_path + "/" +
                std::to_string(write.index) + ":" + write.channel + "=" +
                BytesOf(write.value) + " by " + RunOf(write);
      }
      text += "\n";
    }
    return text;
  }

  // A writer of one thread, which numbers what it puts.
  class Writer {
   public:
    Writer(CheckpointerConformanceTest& test, const std::string& thread)
        : test_(test) {
      absl::StatusOr<ThreadLease> lease = test.TryOpen(thread);
      EXPECT_TRUE(lease.ok()) << lease.status();
      if (!lease.ok()) return;
      fence_ = lease->fence;
      sequence_ = lease->last_sequence;
      version_ = lease->last_version;
    }

    const Fence& fence() const { return fence_; }
    const std::string& thread() const { return fence_.thread; }
    uint64_t version() const { return version_; }
    CheckpointId NextId() {
      return {++sequence_, 0xfedcba9876543210 - sequence_};
    }
    uint64_t NextVersion() { return ++version_; }

    // A checkpoint that changes these channels of its parent.
    NewCheckpoint Make(const State& changed, CheckpointId parent = {},
                       const std::string& ns = "") {
      NewCheckpoint made;
      made.checkpoint.ns = ns;
      made.checkpoint.id = NextId();
      made.checkpoint.parent = parent;
      made.checkpoint.metadata.source = "loop";
      made.base = parent;
      for (const auto& [channel, text] : changed) {
        made.checkpoint.channels.push_back({.channel = channel,
                                            .version = NextVersion(),
                                            .value = Text(text)});
      }
      return made;
    }
    CheckpointId PutMade(NewCheckpoint made) {
      const CheckpointId id = made.checkpoint.id;
      Ok(test_.TryPut(fence_, std::move(made)));
      return id;
    }
    CheckpointId Put(const State& changed, CheckpointId parent = {},
                     const std::string& ns = "") {
      return PutMade(Make(changed, parent, ns));
    }
    // `n` checkpoints in line, with steps from 0.
    std::vector<CheckpointId> PutLine(int n, const std::string& ns = "",
                                      const std::string& run_id = "") {
      std::vector<CheckpointId> ids;
      for (int step = 0; step < n; ++step) {
        NewCheckpoint made =
            Make({{"step", std::to_string(step)}},
                 ids.empty() ? CheckpointId() : ids.back(), ns);
        made.checkpoint.metadata.step = step;
        made.checkpoint.metadata.run_id = run_id;
        made.checkpoint.metadata.source = step % 2 == 0 ? "input" : "loop";
        ids.push_back(PutMade(std::move(made)));
      }
      return ids;
    }
    // A checkpoint that adds a piece to what a channel had at `version`, which
    // becomes that of the piece; or, where it is 0, begins anew.
    CheckpointId Append(const std::string& channel, const std::string& piece,
                        CheckpointId parent, uint64_t& version) {
      NewCheckpoint made = Make({}, parent);
      const uint64_t appended_to = std::exchange(version, NextVersion());
      made.checkpoint.channels.push_back({.channel = channel,
                                          .version = version,
                                          .appended_to = appended_to,
                                          .value = Text(piece)});
      return PutMade(std::move(made));
    }
    void PutWrites(CheckpointId checkpoint, std::vector<PendingWrite> writes,
                   const std::string& ns = "") {
      Ok(test_.TryPutWrites(fence_, {ns, checkpoint, std::move(writes)}));
    }

   private:
    CheckpointerConformanceTest& test_;
    Fence fence_;
    uint64_t sequence_ = 0;
    uint64_t version_ = 0;
  };

  static PendingWrite Write(const std::string& task, int32_t index,
                            const std::string& channel,
                            const std::string& text) {
    return {.task_id = task,
            .index = index,
            .channel = channel,
            .value = Text(text)};
  }
  // The same, put by a run; "" for none.
  static PendingWrite Write(const std::string& task, int32_t index,
                            const std::string& channel, const std::string& text,
                            const std::string& run_id) {
    PendingWrite write = Write(task, index, channel, text);
    if (!run_id.empty()) {
      write.run_id = std::make_shared<const std::string>(run_id);
    }
    return write;
  }

  // Values that a test watches the end of.
  class Watched {
   public:
    SavedValue Make(const std::string& text) {
      auto value = std::make_shared<const std::string>(text);
      values_.push_back(value);
      return Shared(std::move(value));
    }
    size_t alive() const {
      size_t n = 0;
      for (const auto& value : values_) n += value.expired() ? 0 : 1;
      return n;
    }

   private:
    std::vector<std::weak_ptr<const std::string>> values_;
  };

  // Fills a thread with checkpoints and writes in two namespaces, one line of
  // which is a chain of pieces.
  void PutWatched(Writer& writer, Watched& watched,
                  const std::string& run_id = "") {
    for (const char* ns : {"", "child:1"}) {
      CheckpointId parent;
      uint64_t version = 0;
      for (int i = 0; i < 12; ++i) {
        NewCheckpoint made = writer.Make({}, parent, ns);
        made.checkpoint.metadata.run_id = run_id;
        const uint64_t appended_to =
            std::exchange(version, writer.NextVersion());
        made.checkpoint.channels.push_back({.channel = "pieces",
                                            .version = version,
                                            .appended_to = appended_to,
                                            .value = watched.Make("piece")});
        made.checkpoint.channels.push_back({.channel = "value",
                                            .version = version,
                                            .value = watched.Make("value")});
        parent = writer.PutMade(std::move(made));
        PendingWrite write = Write("task", 0, "value", "", run_id);
        write.value = watched.Make("write");
        writer.PutWrites(parent, {std::move(write)}, ns);
      }
    }
    PendingWrite early = Write("early", 0, "value", "", run_id);
    early.value = watched.Make("early");
    writer.PutWrites(writer.NextId(), {std::move(early)});
  }

 private:
  std::unique_ptr<Checkpointer> store_;
};

// Put and what Get reads back of it.

TEST_P(CheckpointerConformanceTest, PutReturnsConfig) {
  Writer writer(*this, "t");
  NewCheckpoint made = writer.Make({{"k", "v"}});
  const CheckpointId id = made.checkpoint.id;
  Ok(TryPut(writer.fence(), std::move(made)));
  const std::optional<CheckpointTuple> tuple = Get({.thread = "t"});
  ASSERT_TRUE(tuple);
  EXPECT_EQ(tuple->thread, "t");
  EXPECT_EQ(tuple->checkpoint.ns, "");
  EXPECT_EQ(tuple->checkpoint.id, id);
}

TEST_P(CheckpointerConformanceTest, PutRoundtrip) {
  Writer writer(*this, "t");
  const CheckpointId id = writer.Put({{"msg", "hello"}});
  const std::optional<CheckpointTuple> tuple = Get({.thread = "t", .id = id});
  ASSERT_TRUE(tuple);
  EXPECT_EQ(tuple->checkpoint.id, id);
  EXPECT_EQ(StateOf(tuple), (State{{"msg", "hello"}}));
}

TEST_P(CheckpointerConformanceTest, PutPreservesChannelValues) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
  const State state = {{"str_val", "hello"},
                       {"int_val", "42"},
                       {"list_val", "[1,2,3]"},
                       {"dict_val", "{\"nested\":true}"},
                       {"bytes_val", bytes},
                       {"empty_val", ""},
                       {"long_val", std::string(1 << 20, 'x')}};
  Writer writer(*this, "t");
  NewCheckpoint made = writer.Make(state);
  made.checkpoint.channels.insert(
      made.checkpoint.channels.begin(),
      {.channel = "a_none", .version = writer.NextVersion()});
  // One that comes as bytes rather than shared.
  made.checkpoint.channels.push_back({.channel = "z_bytes",
                                      .version = writer.NextVersion(),
                                      .value = SavedValue::FromBytes(bytes)});
  writer.PutMade(std::move(made));
  State expected = state;
  expected["a_none"] = kNothing;
  expected["z_bytes"] = bytes;
  EXPECT_EQ(StateOf(Get({.thread = "t"})), expected);
}

TEST_P(CheckpointerConformanceTest, PutPreservesChannelVersions) {
  Writer writer(*this, "t");
  NewCheckpoint made = writer.Make({{"a", "x"}, {"b", "y"}});
  made.checkpoint.channels[0].version = 3;
  made.checkpoint.channels[1].version = uint64_t{1} << 62;
  writer.PutMade(std::move(made));
  const std::optional<CheckpointTuple> tuple = Get({.thread = "t"});
  ASSERT_TRUE(tuple);
  ASSERT_EQ(tuple->checkpoint.channels.size(), 2);
  EXPECT_EQ(tuple->checkpoint.channels[0].channel, "a");
  EXPECT_EQ(tuple->checkpoint.channels[0].version, 3);
  EXPECT_EQ(tuple->checkpoint.channels[1].channel, "b");
  EXPECT_EQ(tuple->checkpoint.channels[1].version, uint64_t{1} << 62);
}

// What nodes have seen is kept in channels whose names no user's channel has.
TEST_P(CheckpointerConformanceTest, PutPreservesVersionsSeen) {
  Writer writer(*this, "t");
  writer.Put({{"__seen__:node1", "ch 1"}, {"__seen__:node2", "ch 2"}});
  const State state = StateOf(Get({.thread = "t"}));
  EXPECT_TRUE(state.contains("__seen__:node1"));
  EXPECT_TRUE(state.contains("__seen__:node2"));
}

TEST_P(CheckpointerConformanceTest, PutPreservesVersionsSeenValues) {
  Writer writer(*this, "t");
  const State seen = {{"__seen__:node1", "ch_a 1, ch_b 2"},
                      {"__seen__:node2", "ch_a 3"}};
  const CheckpointId first = writer.Put(seen);
  writer.Put({{"__seen__:node2", "ch_a 4"}}, first);
  EXPECT_EQ(StateOf(Get({.thread = "t", .id = first})), seen);
  EXPECT_EQ(StateOf(Get({.thread = "t"})),
            (State{{"__seen__:node1", "ch_a 1, ch_b 2"},
                   {"__seen__:node2", "ch_a 4"}}));
}

TEST_P(CheckpointerConformanceTest, PutPreservesMetadata) {
  Writer writer(*this, "t");
  NewCheckpoint made = writer.Make({});
  CheckpointMetadata& metadata = made.checkpoint.metadata;
  metadata.source = "loop";
  metadata.step = 3;
  metadata.parents = {{"", {7, 8}}, {"outer:1", {9, 10}}};
  metadata.custom = {{"custom_key", "\"custom_value\""},
                     {"nested", R"({"a":[1,{"b":null}],"c":{}})"}};
  const CheckpointMetadata expected = metadata;
  writer.PutMade(std::move(made));
  const std::optional<CheckpointTuple> tuple = Get({.thread = "t"});
  ASSERT_TRUE(tuple);
  EXPECT_EQ(tuple->checkpoint.metadata.source, "loop");
  EXPECT_EQ(tuple->checkpoint.metadata.step, 3);
  EXPECT_EQ(tuple->checkpoint.metadata.parents, expected.parents);
  EXPECT_EQ(tuple->checkpoint.metadata.custom, expected.custom);
}

TEST_P(CheckpointerConformanceTest, PutPreservesRunId) {
  Writer writer(*this, "t");
  NewCheckpoint made = writer.Make({});
  made.checkpoint.metadata.run_id = "0193-run";
  const CheckpointId first = writer.PutMade(std::move(made));
  writer.Put({}, first);
  EXPECT_EQ(Get({.thread = "t", .id = first})->checkpoint.metadata.run_id,
            "0193-run");
  EXPECT_EQ(Get({.thread = "t"})->checkpoint.metadata.run_id, "");
}

TEST_P(CheckpointerConformanceTest, PutRootNamespace) {
  Writer writer(*this, "t");
  const CheckpointId id = writer.Put({{"k", "v"}}, {}, "");
  const std::optional<CheckpointTuple> tuple =
      Get({.thread = "t", .ns = "", .id = id});
  ASSERT_TRUE(tuple);
  EXPECT_EQ(tuple->checkpoint.ns, "");
}

TEST_P(CheckpointerConformanceTest, PutChildNamespace) {
  Writer writer(*this, "t");
  const CheckpointId id = writer.Put({{"k", "v"}}, {}, "child:abc|inner:2");
  const std::optional<CheckpointTuple> tuple =
      Get({.thread = "t", .ns = "child:abc|inner:2", .id = id});
  ASSERT_TRUE(tuple);
  EXPECT_EQ(tuple->checkpoint.ns, "child:abc|inner:2");
  EXPECT_FALSE(Get({.thread = "t"}));
}

TEST_P(CheckpointerConformanceTest, PutDefaultNamespace) {
  Writer writer(*this, "t");
  NewCheckpoint made = writer.Make({});
  made.checkpoint.ns = Checkpoint().ns;
  writer.PutMade(std::move(made));
  EXPECT_TRUE(Get({.thread = "t", .ns = ""}));
}

TEST_P(CheckpointerConformanceTest, PutMultipleCheckpointsSameThread) {
  Writer writer(*this, "t");
  for (const CheckpointId& id : writer.PutLine(3)) {
    const std::optional<CheckpointTuple> tuple = Get({.thread = "t", .id = id});
    ASSERT_TRUE(tuple);
    EXPECT_EQ(tuple->checkpoint.id, id);
  }
}

TEST_P(CheckpointerConformanceTest, PutMultipleThreadsIsolated) {
  Writer one(*this, "one"), two(*this, "two");
  one.Put({{"x", "thread1"}});
  two.Put({{"x", "thread2"}});
  EXPECT_EQ(StateOf(Get({.thread = "one"})), (State{{"x", "thread1"}}));
  EXPECT_EQ(StateOf(Get({.thread = "two"})), (State{{"x", "thread2"}}));
}

TEST_P(CheckpointerConformanceTest, PutParentConfig) {
  Writer writer(*this, "t");
  const CheckpointId first = writer.Put({});
  const CheckpointId second = writer.Put({}, first);
  EXPECT_EQ(Get({.thread = "t", .id = second})->checkpoint.parent, first);
}

TEST_P(CheckpointerConformanceTest, PutIncrementalChannelUpdate) {
  Writer writer(*this, "t");
  const CheckpointId first = writer.Put({{"a", "v1"}, {"b", "v2"}});
  const CheckpointId second = writer.Put({{"a", "v1_updated"}}, first);
  EXPECT_EQ(StateOf(Get({.thread = "t", .id = second})),
            (State{{"a", "v1_updated"}, {"b", "v2"}}));
  EXPECT_EQ(StateOf(Get({.thread = "t", .id = first})),
            (State{{"a", "v1"}, {"b", "v2"}}));
  EXPECT_EQ(Get({.thread = "t"})->checkpoint.channels[1].version, 2);
}

TEST_P(CheckpointerConformanceTest, PutNewChannelAdded) {
  Writer writer(*this, "t");
  const CheckpointId first = writer.Put({{"a", "v1"}});
  writer.Put({{"b", "new_channel"}}, first);
  EXPECT_EQ(StateOf(Get({.thread = "t"})),
            (State{{"a", "v1"}, {"b", "new_channel"}}));
}

TEST_P(CheckpointerConformanceTest, PutChannelRemoved) {
  Writer writer(*this, "t");
  const CheckpointId first = writer.Put({{"a", "v1"}, {"b", "v2"}});
  NewCheckpoint made = writer.Make({{"a", "v1_updated"}}, first);
  made.removed = {"b"};
  CheckpointId id = writer.PutMade(std::move(made));
  EXPECT_EQ(StateOf(Get({.thread = "t"})), (State{{"a", "v1_updated"}}));
  // It does not come back later, however a store lays down its changes.
  for (int i = 0; i < 40; ++i) {
    id = writer.Put({{"a", std::to_string(i)}}, id);
    ASSERT_EQ(StateOf(Get({.thread = "t"})), (State{{"a", std::to_string(i)}}));
  }
  EXPECT_EQ(StateOf(Get({.thread = "t", .id = first})),
            (State{{"a", "v1"}, {"b", "v2"}}));
}

// PutWrites.

TEST_P(CheckpointerConformanceTest, PutWritesBasic) {
  Writer writer(*this, "t");
  const CheckpointId id = writer.Put({});
  writer.PutWrites(id, {Write("task", 0, "channel1", "value1")});
  EXPECT_EQ(WritesOf(Get({.thread = "t", .id = id})),
            std::vector<std::string>{"task:channel1=value1"});
}

TEST_P(CheckpointerConformanceTest, PutWritesMultipleWritesSameTask) {
  Writer writer(*this, "t");
  const CheckpointId id = writer.Put({});
  writer.PutWrites(
      id, {Write("task", 0, "ch1", "v1"), Write("task", 1, "ch2", "v2"),
           Write("task", 2, "ch3", "v3")});
  EXPECT_EQ(
      WritesOf(Get({.thread = "t", .id = id})),
      (std::vector<std::string>{"task:ch1=v1", "task:ch2=v2", "task:ch3=v3"}));
}

TEST_P(CheckpointerConformanceTest, PutWritesMultipleTasks) {
  Writer writer(*this, "t");
  const CheckpointId id = writer.Put({});
  // Tasks come in the order of their first writes, each with all of its own.
  writer.PutWrites(id, {Write("t2", 0, "ch", "from_t2")});
  writer.PutWrites(id, {Write("t1", 0, "ch", "from_t1")});
  writer.PutWrites(id, {Write("t2", 1, "ch", "more_from_t2")});
  EXPECT_EQ(WritesOf(Get({.thread = "t", .id = id})),
            (std::vector<std::string>{"t2:ch=from_t2", "t2:ch=more_from_t2",
                                      "t1:ch=from_t1"}));
  std::vector<std::string> expected;
  const CheckpointId next = writer.Put({}, id);
  for (int i = 0; i < 100; ++i) {
    const std::string task = "task" + std::to_string(i);
    writer.PutWrites(next, {Write(task, 0, "ch", "v")});
    expected.push_back(task + ":ch=v");
  }
  EXPECT_EQ(WritesOf(Get({.thread = "t", .id = next})), expected);
}

TEST_P(CheckpointerConformanceTest, PutWritesPreservesTaskId) {
  Writer writer(*this, "t");
  const CheckpointId id = writer.Put({});
  const std::string task = "5f0c1a7e-8f4b-6e2d-9b3a-0123456789ab";
  writer.PutWrites(id, {Write(task, 0, "ch", "val")});
  EXPECT_EQ(Get({.thread = "t", .id = id})->writes.at(0).task_id, task);
}

TEST_P(CheckpointerConformanceTest, PutWritesPreservesChannelAndValue) {
  Writer writer(*this, "t");
  const CheckpointId id = writer.Put({});
  writer.PutWrites(id, {Write("task", 0, "my_channel", "{\"data\":123}"),
                        {.task_id = "task", .index = 1, .channel = "nothing"}});
  EXPECT_EQ(WritesOf(Get({.thread = "t", .id = id})),
            (std::vector<std::string>{"task:my_channel={\"data\":123}",
                                      "task:nothing=(nothing)"}));
}

TEST_P(CheckpointerConformanceTest, PutWritesTaskPath) {
  Writer writer(*this, "t");
  const CheckpointId id = writer.Put({});
  PendingWrite write = Write("task", 0, "ch", "v");
  write.task_path = "~a, b, c";
  writer.PutWrites(id, {std::move(write)});
  EXPECT_EQ(Get({.thread = "t", .id = id})->writes.at(0).task_path, "~a, b, c");
}

TEST_P(CheckpointerConformanceTest, PutWritesIdempotent) {
  Writer writer(*this, "t");
  const CheckpointId id = writer.Put({});
  writer.PutWrites(id, {Write("task", 0, "ch", "val")});
  writer.PutWrites(id, {Write("task", 0, "ch", "val")});
  // The first stays, also if what is sent again is not the same, or more.
  writer.PutWrites(
      id, {Write("task", 0, "other", "other"), Write("task", 1, "ch", "next")});
  EXPECT_EQ(WritesOf(Get({.thread = "t", .id = id})),
            (std::vector<std::string>{"task:ch=val", "task:ch=next"}));
}

TEST_P(CheckpointerConformanceTest, PutWritesSpecialChannels) {
  Writer writer(*this, "t");
  const CheckpointId id = writer.Put({});
  writer.PutWrites(id, {Write("task", kErrorWrite, "__error__", "went wrong"),
                        Write("task", kScheduledWrite, "__scheduled__", "soon"),
                        Write("task", kInterruptWrite, "__interrupt__", "why?"),
                        Write("task", kResumeWrite, "__resume__", "because"),
                        Write("task", 0, "ch", "first")});
  writer.PutWrites(id, {Write("task", kErrorWrite, "__error__", "again"),
                        Write("task", kResumeWrite, "__resume__", "no reason"),
                        Write("task", 0, "ch", "second"),
                        Write("other", kErrorWrite, "__error__", "too")});
  // In the order of indices: those of special channels come first.
  EXPECT_EQ(WritesOf(Get({.thread = "t", .id = id})),
            (std::vector<std::string>{
                "task:__resume__=no reason", "task:__interrupt__=why?",
                "task:__scheduled__=soon", "task:__error__=again",
                "task:ch=first", "other:__error__=too"}));
}

TEST_P(CheckpointerConformanceTest, PutWritesAcrossNamespaces) {
  Writer writer(*this, "t");
  const CheckpointId root = writer.Put({});
  const CheckpointId child = writer.Put({}, {}, "child:1");
  writer.PutWrites(root, {Write("task", 0, "ch", "root_val")});
  writer.PutWrites(child, {Write("task", 0, "ch", "child_val")}, "child:1");
  EXPECT_EQ(WritesOf(Get({.thread = "t"})),
            std::vector<std::string>{"task:ch=root_val"});
  EXPECT_EQ(WritesOf(Get({.thread = "t", .ns = "child:1"})),
            std::vector<std::string>{"task:ch=child_val"});
}

TEST_P(CheckpointerConformanceTest, PutWritesClearedOnNextCheckpoint) {
  Writer writer(*this, "t");
  const CheckpointId first = writer.Put({});
  writer.PutWrites(first, {Write("task", 0, "ch", "old_write")});
  const CheckpointId second = writer.Put({}, first);
  EXPECT_TRUE(WritesOf(Get({.thread = "t", .id = second})).empty());
  EXPECT_EQ(WritesOf(Get({.thread = "t", .id = first})).size(), 1);
}

// Get.

TEST_P(CheckpointerConformanceTest, GetTupleNonexistentReturnsNone) {
  EXPECT_FALSE(Get({.thread = "unknown"}));
  Open("opened");
  EXPECT_FALSE(Get({.thread = "opened"}));
}

TEST_P(CheckpointerConformanceTest, GetTupleLatestWhenNoCheckpointId) {
  Writer writer(*this, "t");
  const std::vector<CheckpointId> ids = writer.PutLine(3);
  const std::optional<CheckpointTuple> tuple = Get({.thread = "t"});
  ASSERT_TRUE(tuple);
  EXPECT_EQ(tuple->checkpoint.id, ids.back());
  EXPECT_EQ(tuple->checkpoint.metadata.step, 2);
}

TEST_P(CheckpointerConformanceTest, GetTupleSpecificCheckpointId) {
  Writer writer(*this, "t");
  const std::vector<CheckpointId> ids = writer.PutLine(3);
  const std::optional<CheckpointTuple> tuple =
      Get({.thread = "t", .id = ids[0]});
  ASSERT_TRUE(tuple);
  EXPECT_EQ(tuple->checkpoint.id, ids[0]);
  EXPECT_EQ(StateOf(tuple), (State{{"step", "0"}}));
}

TEST_P(CheckpointerConformanceTest, GetTupleConfigStructure) {
  Writer writer(*this, "t");
  const CheckpointId id = writer.Put({}, {}, "child:1");
  const std::optional<CheckpointTuple> tuple =
      Get({.thread = "t", .ns = "child:1"});
  ASSERT_TRUE(tuple);
  EXPECT_EQ(tuple->thread, "t");
  EXPECT_EQ(tuple->checkpoint.ns, "child:1");
  EXPECT_EQ(tuple->checkpoint.id, id);
}

TEST_P(CheckpointerConformanceTest, GetTupleCheckpointFields) {
  Writer writer(*this, "t");
  const CheckpointId parent = writer.Put({});
  NewCheckpoint made = writer.Make({{"k", "v"}}, parent);
  made.checkpoint.created_at = absl::FromUnixMicros(1785000000123456);
  const CheckpointId id = writer.PutMade(std::move(made));
  const std::optional<CheckpointTuple> tuple = Get({.thread = "t"});
  ASSERT_TRUE(tuple);
  const Checkpoint& checkpoint = tuple->checkpoint;
  EXPECT_EQ(checkpoint.id, id);
  EXPECT_EQ(checkpoint.parent, parent);
  EXPECT_EQ(checkpoint.created_at, absl::FromUnixMicros(1785000000123456));
  ASSERT_EQ(checkpoint.channels.size(), 1);
  EXPECT_EQ(checkpoint.channels[0].channel, "k");
  EXPECT_EQ(checkpoint.channels[0].version, writer.version());
  EXPECT_EQ(checkpoint.channels[0].appended_to, 0);
  EXPECT_EQ(BytesOf(checkpoint.channels[0].value), "v");
}

TEST_P(CheckpointerConformanceTest, GetTupleMetadata) {
  Writer writer(*this, "t");
  NewCheckpoint made = writer.Make({});
  made.checkpoint.metadata.source = "input";
  made.checkpoint.metadata.step = -1;
  writer.PutMade(std::move(made));
  const std::optional<CheckpointTuple> tuple = Get({.thread = "t"});
  ASSERT_TRUE(tuple);
  EXPECT_EQ(tuple->checkpoint.metadata.source, "input");
  EXPECT_EQ(tuple->checkpoint.metadata.step, -1);
}

TEST_P(CheckpointerConformanceTest, GetTupleParentConfig) {
  Writer writer(*this, "t");
  const CheckpointId first = writer.Put({});
  EXPECT_FALSE(Get({.thread = "t"})->checkpoint.parent.has_value());
  writer.Put({}, first);
  EXPECT_EQ(Get({.thread = "t"})->checkpoint.parent, first);
}

TEST_P(CheckpointerConformanceTest, GetTuplePendingWrites) {
  Writer writer(*this, "t");
  const CheckpointId id = writer.Put({});
  writer.PutWrites(id, {Write("task", 0, "ch", "val")});
  EXPECT_EQ(WritesOf(Get({.thread = "t"})),
            std::vector<std::string>{"task:ch=val"});
}

TEST_P(CheckpointerConformanceTest, GetTupleRespectsNamespace) {
  Writer writer(*this, "t");
  const CheckpointId root = writer.Put({});
  const CheckpointId child = writer.Put({}, {}, "child:1");
  EXPECT_EQ(Get({.thread = "t"})->checkpoint.id, root);
  EXPECT_EQ(Get({.thread = "t", .ns = "child:1"})->checkpoint.id, child);
  EXPECT_FALSE(Get({.thread = "t", .id = child}));
  EXPECT_FALSE(Get({.thread = "t", .ns = "child"}));
}

TEST_P(CheckpointerConformanceTest, GetTupleNonexistentCheckpointId) {
  Writer writer(*this, "t");
  const CheckpointId id = writer.Put({});
  EXPECT_FALSE(Get({.thread = "t", .id = CheckpointId{id.sequence, 1}}));
  EXPECT_FALSE(Get({.thread = "t", .id = CheckpointId{99, 99}}));
  EXPECT_FALSE(Get({.thread = "t", .id = CheckpointId()}));
}

// List.

TEST_P(CheckpointerConformanceTest, ListAll) {
  Writer one(*this, "one"), two(*this, "two");
  one.PutLine(4);
  two.PutLine(2);
  EXPECT_EQ(List({.thread = "one"}).size(), 4);
  // Of every thread, and each says of which it is.
  const Tuples all = List({});
  ASSERT_EQ(all.size(), 6);
  std::map<std::string, int> counts;
  for (const CheckpointTuple& tuple : all) ++counts[tuple.thread];
  EXPECT_EQ(counts, (std::map<std::string, int>{{"one", 4}, {"two", 2}}));
}

TEST_P(CheckpointerConformanceTest, ListByThread) {
  Writer writer(*this, "t");
  writer.PutLine(4);
  EXPECT_TRUE(List({.thread = "unknown"}).empty());
  EXPECT_EQ(List({.thread = "t"}).size(), 4);
}

TEST_P(CheckpointerConformanceTest, ListByNamespace) {
  Writer writer(*this, "t");
  const CheckpointId root = writer.Put({});
  const CheckpointId child = writer.Put({}, {}, "child:1");
  EXPECT_EQ(IdsOf(List({.thread = "t", .ns = ""})),
            std::vector<CheckpointId>{root});
  EXPECT_EQ(IdsOf(List({.thread = "t", .ns = "child:1"})),
            std::vector<CheckpointId>{child});
}

TEST_P(CheckpointerConformanceTest, ListOrdering) {
  Writer writer(*this, "t");
  const std::vector<CheckpointId> ids = writer.PutLine(4);
  EXPECT_EQ(IdsOf(List({.thread = "t"})),
            std::vector<CheckpointId>(ids.rbegin(), ids.rend()));
}

TEST_P(CheckpointerConformanceTest, ListMetadataFilterSingleKey) {
  Writer writer(*this, "t");
  writer.PutLine(4);
  const Tuples tuples =
      List({.thread = "t", .filter = {{"source", "\"input\""}}});
  ASSERT_EQ(tuples.size(), 2);
  for (const CheckpointTuple& tuple : tuples) {
    EXPECT_EQ(tuple.checkpoint.metadata.source, "input");
  }
}

TEST_P(CheckpointerConformanceTest, ListMetadataFilterStep) {
  Writer writer(*this, "t");
  const std::vector<CheckpointId> ids = writer.PutLine(4);
  EXPECT_EQ(IdsOf(List({.thread = "t", .filter = {{"step", "1"}}})),
            std::vector<CheckpointId>{ids[1]});
}

TEST_P(CheckpointerConformanceTest, ListMetadataFilterMultipleKeys) {
  Writer writer(*this, "t");
  const std::vector<std::pair<std::string, int>> rows = {
      {"input", 1}, {"loop", 1}, {"input", 2}};
  CheckpointId last;
  for (const auto& [source, step] : rows) {
    NewCheckpoint made = writer.Make({});
    made.checkpoint.metadata.source = source;
    made.checkpoint.metadata.step = step;
    last = writer.PutMade(std::move(made));
  }
  EXPECT_EQ(IdsOf(List({.thread = "t",
                        .filter = {{"source", "\"input\""}, {"step", "2"}}})),
            std::vector<CheckpointId>{last});
}

TEST_P(CheckpointerConformanceTest, ListMetadataFilterNoMatch) {
  Writer writer(*this, "t");
  writer.PutLine(4);
  EXPECT_TRUE(List({.thread = "t",
                    .filter = {{"source", "\"update\""}, {"step", "99"}}})
                  .empty());
  // A number is not a text, and what is not there equals nothing.
  EXPECT_TRUE(List({.thread = "t", .filter = {{"step", "\"1\""}}}).empty());
  EXPECT_TRUE(List({.thread = "t", .filter = {{"run_id", "\"\""}}}).empty());
  EXPECT_TRUE(List({.thread = "t", .filter = {{"no_key", "null"}}}).empty());
}

TEST_P(CheckpointerConformanceTest, ListMetadataCustomKeys) {
  Writer writer(*this, "t");
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"42", "run-abc"}, {"99", "run-\"xyz\""}};
  std::vector<CheckpointId> ids;
  for (const auto& [score, run_id] : rows) {
    NewCheckpoint made = writer.Make({});
    made.checkpoint.metadata.custom = {{"score", score}};
    made.checkpoint.metadata.run_id = run_id;
    ids.push_back(writer.PutMade(std::move(made)));
  }
  const Tuples tuples = List({.thread = "t", .filter = {{"score", "42"}}});
  ASSERT_EQ(IdsOf(tuples), std::vector<CheckpointId>{ids[0]});
  EXPECT_EQ(tuples[0].checkpoint.metadata.run_id, "run-abc");
  EXPECT_EQ(IdsOf(List({.thread = "t",
                        .filter = {{"run_id", "\"run-\\\"xyz\\\"\""}}})),
            std::vector<CheckpointId>{ids[1]});
}

TEST_P(CheckpointerConformanceTest, ListBefore) {
  Writer writer(*this, "t");
  const std::vector<CheckpointId> ids = writer.PutLine(4);
  EXPECT_EQ(IdsOf(List({.thread = "t", .before = ids[2]})),
            (std::vector<CheckpointId>{ids[1], ids[0]}));
  EXPECT_TRUE(List({.thread = "t", .before = ids[0]}).empty());
  // An id narrows it as any other field does.
  EXPECT_EQ(IdsOf(List({.thread = "t", .id = ids[1], .before = ids[2]})),
            std::vector<CheckpointId>{ids[1]});
  EXPECT_TRUE(List({.thread = "t", .id = ids[2], .before = ids[2]}).empty());
}

TEST_P(CheckpointerConformanceTest, ListLimit) {
  Writer writer(*this, "t");
  const std::vector<CheckpointId> ids = writer.PutLine(4);
  EXPECT_EQ(IdsOf(List({.thread = "t", .limit = 1})),
            std::vector<CheckpointId>{ids[3]});
  EXPECT_EQ(IdsOf(List({.thread = "t", .limit = 2})),
            (std::vector<CheckpointId>{ids[3], ids[2]}));
  EXPECT_EQ(List({.thread = "t", .limit = 9}).size(), 4);
  EXPECT_TRUE(List({.thread = "t", .limit = 0}).empty());
  // After filtering.
  EXPECT_EQ(
      IdsOf(List(
          {.thread = "t", .filter = {{"source", "\"input\""}}, .limit = 2})),
      (std::vector<CheckpointId>{ids[2], ids[0]}));
}

TEST_P(CheckpointerConformanceTest, ListLimitPlusBefore) {
  Writer writer(*this, "t");
  const std::vector<CheckpointId> ids = writer.PutLine(4);
  EXPECT_EQ(IdsOf(List({.thread = "t", .before = ids[3], .limit = 1})),
            std::vector<CheckpointId>{ids[2]});
}

TEST_P(CheckpointerConformanceTest, ListCombinedThreadAndFilter) {
  Writer one(*this, "one"), two(*this, "two");
  const std::vector<CheckpointId> ids = one.PutLine(4);
  two.PutLine(4);
  EXPECT_EQ(IdsOf(List({.thread = "one", .filter = {{"source", "\"loop\""}}})),
            (std::vector<CheckpointId>{ids[3], ids[1]}));
}

TEST_P(CheckpointerConformanceTest, ListEmptyResult) {
  EXPECT_TRUE(List({}).empty());
  EXPECT_TRUE(
      List({.thread = "t", .filter = {{"source", "\"none\""}}}).empty());
}

TEST_P(CheckpointerConformanceTest, ListIncludesPendingWrites) {
  Writer writer(*this, "t");
  const std::vector<CheckpointId> ids = writer.PutLine(2);
  writer.PutWrites(ids[0], {Write("task", 0, "ch", "val")});
  const Tuples tuples = List({.thread = "t"});
  ASSERT_EQ(tuples.size(), 2);
  EXPECT_TRUE(tuples[0].writes.empty());
  EXPECT_EQ(TextsOf(tuples[1].writes), std::vector<std::string>{"task:ch=val"});
}

TEST_P(CheckpointerConformanceTest, ListMultipleNamespaces) {
  Writer writer(*this, "t");
  std::vector<CheckpointId> ids;
  for (const char* ns : {"", "child:1", "child:2"}) {
    ids.push_back(writer.Put({}, {}, ns));
  }
  EXPECT_EQ(IdsOf(List({.thread = "t", .ns = ""})),
            std::vector<CheckpointId>{ids[0]});
  EXPECT_EQ(IdsOf(List({.thread = "t"})),
            (std::vector<CheckpointId>{ids[2], ids[1], ids[0]}));
  EXPECT_EQ(IdsOf(List({.thread = "t", .limit = 2})),
            (std::vector<CheckpointId>{ids[2], ids[1]}));
}

// DeleteThread.

TEST_P(CheckpointerConformanceTest, DeleteThreadRemovesCheckpoints) {
  Writer writer(*this, "t");
  writer.PutLine(3);
  ASSERT_TRUE(Get({.thread = "t"}));
  Ok(TryDeleteThread("t"));
  EXPECT_FALSE(Get({.thread = "t"}));
  EXPECT_TRUE(List({.thread = "t"}).empty());
}

TEST_P(CheckpointerConformanceTest, DeleteThreadRemovesWrites) {
  CheckpointId id;
  {
    Writer writer(*this, "t");
    id = writer.Put({});
    writer.PutWrites(id, {Write("task", 0, "ch", "val")});
  }
  ASSERT_EQ(WritesOf(Get({.thread = "t"})).size(), 1);
  Ok(TryDeleteThread("t"));
  EXPECT_FALSE(Get({.thread = "t"}));
  // Nor are they there for a checkpoint of the same id.
  NewCheckpoint made;
  made.checkpoint.id = id;
  Ok(TryPut(Open("t"), std::move(made)));
  EXPECT_TRUE(WritesOf(Get({.thread = "t", .id = id})).empty());
}

TEST_P(CheckpointerConformanceTest, DeleteThreadRemovesAllNamespaces) {
  Writer writer(*this, "t");
  writer.Put({});
  writer.Put({}, {}, "child:1");
  ASSERT_TRUE(Get({.thread = "t", .ns = "child:1"}));
  Ok(TryDeleteThread("t"));
  EXPECT_FALSE(Get({.thread = "t"}));
  EXPECT_FALSE(Get({.thread = "t", .ns = "child:1"}));
}

TEST_P(CheckpointerConformanceTest, DeleteThreadPreservesOtherThreads) {
  Writer one(*this, "one"), two(*this, "two");
  one.Put({});
  const CheckpointId kept = two.Put({});
  Ok(TryDeleteThread("one"));
  EXPECT_FALSE(Get({.thread = "one"}));
  EXPECT_TRUE(Get({.thread = "two"}));
  two.Put({}, kept);  // Its writer goes on.
}

TEST_P(CheckpointerConformanceTest, DeleteThreadNonexistentNoop) {
  Ok(TryDeleteThread("unknown"));
}

// DeleteRuns.

TEST_P(CheckpointerConformanceTest, DeleteForRunsSingle) {
  if (!store().capabilities().delete_runs) GTEST_SKIP();
  Writer writer(*this, "t");
  NewCheckpoint first = writer.Make({{"a", "1"}, {"b", "1"}});
  first.checkpoint.metadata.run_id = "run1";
  const CheckpointId parent = writer.PutMade(std::move(first));
  NewCheckpoint second = writer.Make({{"b", "2"}}, parent);
  second.checkpoint.metadata.run_id = "run2";
  const CheckpointId kept = writer.PutMade(std::move(second));
  Ok(TryDeleteRuns({"run1"}));
  const Tuples tuples = List({.thread = "t"});
  ASSERT_EQ(IdsOf(tuples), std::vector<CheckpointId>{kept});
  EXPECT_EQ(tuples[0].checkpoint.metadata.run_id, "run2");
  // What it took from the one that is gone is still there.
  EXPECT_EQ(StateOf(tuples[0].checkpoint), (State{{"a", "1"}, {"b", "2"}}));
}

TEST_P(CheckpointerConformanceTest, DeleteForRunsMultiple) {
  if (!store().capabilities().delete_runs) GTEST_SKIP();
  Writer writer(*this, "t");
  std::vector<CheckpointId> ids;
  for (const char* run_id : {"run1", "run2", "run3"}) {
    NewCheckpoint made = writer.Make({});
    made.checkpoint.metadata.run_id = run_id;
    ids.push_back(writer.PutMade(std::move(made)));
  }
  Ok(TryDeleteRuns({"run1", "run2"}));
  EXPECT_EQ(IdsOf(List({.thread = "t"})), std::vector<CheckpointId>{ids[2]});
}

TEST_P(CheckpointerConformanceTest, DeleteForRunsPreservesOtherRuns) {
  if (!store().capabilities().delete_runs) GTEST_SKIP();
  Writer one(*this, "one"), two(*this, "two"), three(*this, "three");
  one.PutLine(2, "", "keep");
  two.PutLine(2, "", "delete");
  three.PutLine(2);  // Of no run.
  Ok(TryDeleteRuns({"delete", ""}));
  EXPECT_EQ(List({.thread = "one"}).size(), 2);
  EXPECT_TRUE(List({.thread = "two"}).empty());
  EXPECT_EQ(List({.thread = "three"}).size(), 2);
}

TEST_P(CheckpointerConformanceTest, DeleteForRunsRemovesWrites) {
  if (!store().capabilities().delete_runs) GTEST_SKIP();
  Writer writer(*this, "t");
  const CheckpointId id = writer.PutLine(1, "", "run1")[0];
  writer.PutWrites(id, {Write("task", 0, "ch", "val")});
  Ok(TryDeleteRuns({"run1"}));
  EXPECT_FALSE(Get({.thread = "t", .id = id}));
  NewCheckpoint made = writer.Make({});
  made.checkpoint.id = id;
  writer.PutMade(std::move(made));
  EXPECT_TRUE(WritesOf(Get({.thread = "t", .id = id})).empty());
}

TEST_P(CheckpointerConformanceTest, DeleteForRunsEmptyListNoop) {
  if (!store().capabilities().delete_runs) GTEST_SKIP();
  Writer writer(*this, "t");
  writer.PutLine(2, "", "run1");
  Ok(TryDeleteRuns({}));
  EXPECT_EQ(List({.thread = "t"}).size(), 2);
}

TEST_P(CheckpointerConformanceTest, DeleteForRunsNonexistentNoop) {
  if (!store().capabilities().delete_runs) GTEST_SKIP();
  Writer writer(*this, "t");
  writer.PutLine(2, "", "run1");
  Ok(TryDeleteRuns({"unknown"}));
  EXPECT_EQ(List({.thread = "t"}).size(), 2);
}

TEST_P(CheckpointerConformanceTest, DeleteForRunsAcrossNamespaces) {
  if (!store().capabilities().delete_runs) GTEST_SKIP();
  Writer writer(*this, "t");
  writer.PutLine(2, "", "run1");
  writer.PutLine(2, "child:1", "run1");
  Ok(TryDeleteRuns({"run1"}));
  EXPECT_TRUE(List({.thread = "t", .ns = ""}).empty());
  EXPECT_TRUE(List({.thread = "t", .ns = "child:1"}).empty());
}

// CopyThread.

TEST_P(CheckpointerConformanceTest, CopyThreadBasic) {
  if (!store().capabilities().copy_thread) GTEST_SKIP();
  Writer writer(*this, "from");
  writer.PutLine(3);
  Ok(TryCopyThread("from", "to"));
  const Tuples copies = List({.thread = "to"});
  ASSERT_EQ(copies.size(), 3);
  for (const CheckpointTuple& copy : copies) EXPECT_EQ(copy.thread, "to");
}

TEST_P(CheckpointerConformanceTest, CopyThreadAllCheckpoints) {
  if (!store().capabilities().copy_thread) GTEST_SKIP();
  Writer writer(*this, "from");
  const CheckpointId first = writer.Put({{"a", "1"}, {"b", "1"}});
  const CheckpointId second = writer.Put({{"b", "2"}}, first);
  writer.Put({{"a", "3"}}, first);  // A fork.
  uint64_t version = 0;
  const CheckpointId third = writer.Append("pieces", "p", second, version);
  writer.Append("pieces", "q", third, version);
  Ok(TryCopyThread("from", "to"));
  EXPECT_EQ(Describe(List({.thread = "to"})),
            Describe(List({.thread = "from"})));
}

TEST_P(CheckpointerConformanceTest, CopyThreadPreservesMetadata) {
  if (!store().capabilities().copy_thread) GTEST_SKIP();
  Writer writer(*this, "from");
  NewCheckpoint made = writer.Make({});
  made.checkpoint.created_at = absl::FromUnixSeconds(1785000000);
  made.checkpoint.metadata = {.source = "fork",
                              .step = 7,
                              .run_id = "run1",
                              .parents = {{"", {3, 4}}},
                              .custom = {{"k", "[1]"}}};
  writer.PutMade(std::move(made));
  Ok(TryCopyThread("from", "to"));
  EXPECT_EQ(Describe(List({.thread = "to"})),
            Describe(List({.thread = "from"})));
  EXPECT_EQ(List({.thread = "to", .filter = {{"k", "[1]"}}}).size(), 1);
}

TEST_P(CheckpointerConformanceTest, CopyThreadPreservesNamespaces) {
  if (!store().capabilities().copy_thread) GTEST_SKIP();
  Writer writer(*this, "from");
  writer.PutLine(1);
  writer.PutLine(1, "child:1");
  Ok(TryCopyThread("from", "to"));
  EXPECT_EQ(List({.thread = "to", .ns = ""}).size(), 1);
  EXPECT_EQ(List({.thread = "to", .ns = "child:1"}).size(), 1);
}

TEST_P(CheckpointerConformanceTest, CopyThreadPreservesWrites) {
  if (!store().capabilities().copy_thread) GTEST_SKIP();
  Writer writer(*this, "from");
  const CheckpointId id = writer.Put({});
  writer.PutWrites(id, {Write("task", 0, "ch", "write_val")});
  Ok(TryCopyThread("from", "to"));
  EXPECT_EQ(WritesOf(Get({.thread = "to"})),
            std::vector<std::string>{"task:ch=write_val"});
}

TEST_P(CheckpointerConformanceTest, CopyThreadPreservesOrdering) {
  if (!store().capabilities().copy_thread) GTEST_SKIP();
  Writer writer(*this, "from");
  writer.PutLine(4);
  Ok(TryCopyThread("from", "to"));
  EXPECT_EQ(IdsOf(List({.thread = "to"})), IdsOf(List({.thread = "from"})));
}

TEST_P(CheckpointerConformanceTest, CopyThreadSourceUnchanged) {
  if (!store().capabilities().copy_thread) GTEST_SKIP();
  Writer writer(*this, "from");
  const std::vector<CheckpointId> ids = writer.PutLine(2);
  const std::string before = Describe(List({.thread = "from"}));
  Ok(TryCopyThread("from", "to"));
  EXPECT_EQ(Describe(List({.thread = "from"})), before);
  // And each goes on alone.
  const std::string copy = Describe(List({.thread = "to"}));
  writer.Put({{"step", "more"}}, ids.back());
  EXPECT_EQ(Describe(List({.thread = "to"})), copy);
  Ok(TryDeleteThread("from"));
  EXPECT_EQ(Describe(List({.thread = "to"})), copy);
}

TEST_P(CheckpointerConformanceTest, CopyThreadNonexistentSource) {
  if (!store().capabilities().copy_thread) GTEST_SKIP();
  Fails(TryCopyThread("unknown", "to"), absl::StatusCode::kNotFound);
  EXPECT_TRUE(List({.thread = "to"}).empty());
}

// Prune.

TEST_P(CheckpointerConformanceTest, PruneKeepLatestSingleThread) {
  if (!store().capabilities().prune) GTEST_SKIP();
  Writer writer(*this, "t");
  const CheckpointId first = writer.Put({{"a", "1"}, {"b", "1"}, {"c", "1"}});
  const CheckpointId second = writer.Put({{"b", "2"}}, first);
  NewCheckpoint made = writer.Make({{"a", "3"}}, second);
  made.removed = {"c"};
  const CheckpointId last = writer.PutMade(std::move(made));
  Ok(TryPrune({"t"}, PruneMode::kKeepLatest));
  const Tuples tuples = List({.thread = "t"});
  ASSERT_EQ(IdsOf(tuples), std::vector<CheckpointId>{last});
  EXPECT_EQ(StateOf(tuples[0].checkpoint), (State{{"a", "3"}, {"b", "2"}}));
  writer.Put({{"a", "4"}}, last);  // Its writer goes on.
  EXPECT_EQ(StateOf(Get({.thread = "t"})), (State{{"a", "4"}, {"b", "2"}}));
}

TEST_P(CheckpointerConformanceTest, PruneKeepLatestMultipleThreads) {
  if (!store().capabilities().prune) GTEST_SKIP();
  Writer one(*this, "one"), two(*this, "two");
  const CheckpointId last_of_one = one.PutLine(3).back();
  const CheckpointId last_of_two = two.PutLine(2).back();
  Ok(TryPrune({"one", "two"}, PruneMode::kKeepLatest));
  EXPECT_EQ(IdsOf(List({.thread = "one"})),
            std::vector<CheckpointId>{last_of_one});
  EXPECT_EQ(IdsOf(List({.thread = "two"})),
            std::vector<CheckpointId>{last_of_two});
}

TEST_P(CheckpointerConformanceTest, PruneKeepLatestAcrossNamespaces) {
  if (!store().capabilities().prune) GTEST_SKIP();
  Writer writer(*this, "t");
  const CheckpointId root = writer.PutLine(3).back();
  const CheckpointId child = writer.PutLine(2, "child:1").back();
  Ok(TryPrune({"t"}, PruneMode::kKeepLatest));
  EXPECT_EQ(IdsOf(List({.thread = "t", .ns = ""})),
            std::vector<CheckpointId>{root});
  EXPECT_EQ(IdsOf(List({.thread = "t", .ns = "child:1"})),
            std::vector<CheckpointId>{child});
}

TEST_P(CheckpointerConformanceTest, PruneKeepLatestPreservesWrites) {
  if (!store().capabilities().prune) GTEST_SKIP();
  Writer writer(*this, "t");
  const std::vector<CheckpointId> ids = writer.PutLine(3);
  writer.PutWrites(ids[1], {Write("task", 0, "ch", "old")});
  writer.PutWrites(ids[2], {Write("task", 0, "ch", "val")});
  Ok(TryPrune({"t"}, PruneMode::kKeepLatest));
  EXPECT_EQ(WritesOf(Get({.thread = "t"})),
            std::vector<std::string>{"task:ch=val"});
}

TEST_P(CheckpointerConformanceTest, PruneDeleteAll) {
  if (!store().capabilities().prune) GTEST_SKIP();
  Writer writer(*this, "t");
  writer.PutLine(3);
  writer.PutLine(1, "child:1");
  Ok(TryPrune({"t"}, PruneMode::kDeleteAll));
  EXPECT_TRUE(List({.thread = "t"}).empty());
  Fails(TryPut(writer.fence(), writer.Make({})), absl::StatusCode::kAborted);
}

TEST_P(CheckpointerConformanceTest, PrunePreservesOtherThreads) {
  if (!store().capabilities().prune) GTEST_SKIP();
  Writer one(*this, "one"), two(*this, "two");
  one.PutLine(3);
  two.PutLine(2);
  const std::string before = Describe(List({.thread = "two"}));
  Ok(TryPrune({"one"}, PruneMode::kKeepLatest));
  EXPECT_EQ(Describe(List({.thread = "two"})), before);
}

TEST_P(CheckpointerConformanceTest, PruneEmptyListNoop) {
  if (!store().capabilities().prune) GTEST_SKIP();
  Writer writer(*this, "t");
  writer.PutLine(2);
  Ok(TryPrune({}, PruneMode::kKeepLatest));
  Ok(TryPrune({}, PruneMode::kDeleteAll));
  EXPECT_EQ(List({.thread = "t"}).size(), 2);
}

TEST_P(CheckpointerConformanceTest, PruneNonexistentNoop) {
  if (!store().capabilities().prune) GTEST_SKIP();
  Ok(TryPrune({"unknown"}, PruneMode::kKeepLatest));
  Ok(TryPrune({"unknown"}, PruneMode::kDeleteAll));
  EXPECT_TRUE(List({}).empty());
}

// History, over chains of pieces.

TEST_P(CheckpointerConformanceTest, HistoryReturnsPiecesOldestFirst) {
  if (!store().capabilities().history) GTEST_SKIP();
  Writer writer(*this, "t");
  uint64_t version = 0;
  CheckpointId id;
  std::vector<CheckpointId> ids;
  std::vector<std::string> pieces;
  for (int i = 0; i < 50; ++i) {
    pieces.push_back(std::to_string(i));
    ids.push_back(writer.Append("ch", pieces.back(), id, version));
    id = writer.Put({{"beside", "x"}}, ids.back());
    ASSERT_EQ(History({.thread = "t"}, {"ch"}), Histories{pieces});
  }
  EXPECT_EQ(History({.thread = "t", .id = ids[2]}, {"ch"}),
            (Histories{{"0", "1", "2"}}));
  // The checkpoint itself has the last piece, and says where it belongs.
  const std::optional<CheckpointTuple> tuple =
      Get({.thread = "t", .id = ids[2]});
  ASSERT_TRUE(tuple);
  const SavedChannel& last = tuple->checkpoint.channels.back();
  EXPECT_EQ(BytesOf(last.value), "2");
  const absl::StatusOr<std::vector<std::vector<SavedChannel>>> history =
      TryHistory({.thread = "t", .id = ids[2]}, {"ch"});
  ASSERT_TRUE(history.ok());
  ASSERT_EQ(history->at(0).size(), 3);
  EXPECT_EQ(history->at(0)[0].appended_to, 0);
  EXPECT_EQ(history->at(0)[1].appended_to, history->at(0)[0].version);
  EXPECT_EQ(history->at(0)[2].appended_to, history->at(0)[1].version);
  EXPECT_EQ(history->at(0)[2].version, last.version);
}

TEST_P(CheckpointerConformanceTest, HistorySeedIsNearestSnapshot) {
  if (!store().capabilities().history) GTEST_SKIP();
  Writer writer(*this, "t");
  uint64_t version = 0;
  CheckpointId id = writer.Append("ch", "0", {}, version);
  id = writer.Append("ch", "1", id, version);
  version = 0;
  id = writer.Append("ch", "whole", id, version);
  id = writer.Append("ch", "4", id, version);
  EXPECT_EQ(History({.thread = "t", .id = id}, {"ch"}),
            (Histories{{"whole", "4"}}));
}

TEST_P(CheckpointerConformanceTest, HistoryExcludesTargetPendingWrites) {
  if (!store().capabilities().history) GTEST_SKIP();
  Writer writer(*this, "t");
  uint64_t version = 0;
  CheckpointId id = writer.Append("ch", "0", {}, version);
  id = writer.Append("ch", "1", id, version);
  writer.PutWrites(id, {Write("task", 0, "ch", "extra")});
  EXPECT_EQ(History({.thread = "t"}, {"ch"}), (Histories{{"0", "1"}}));
}

TEST_P(CheckpointerConformanceTest, HistoryMultiChannel) {
  if (!store().capabilities().history) GTEST_SKIP();
  Writer writer(*this, "t");
  uint64_t a = 0, b = 0;
  CheckpointId id = writer.Append("a", "a0", {}, a);
  id = writer.Append("b", "b0", id, b);
  id = writer.Append("a", "a1", id, a);
  b = 0;
  id = writer.Append("b", "b1", id, b);
  id = writer.Append("a", "a2", id, a);
  // In the order asked, also twice.
  EXPECT_EQ(History({.thread = "t"}, {"b", "a", "none", "b"}),
            (Histories{{"b1"}, {"a0", "a1", "a2"}, {}, {"b1"}}));
}

TEST_P(CheckpointerConformanceTest, HistoryEmptyChannelsReturnsEmpty) {
  if (!store().capabilities().history) GTEST_SKIP();
  Writer writer(*this, "t");
  writer.Put({{"ch", "v"}});
  EXPECT_EQ(History({.thread = "t"}, {}), Histories());
}

// A chain always begins with a whole value.
TEST_P(CheckpointerConformanceTest, HistoryWalkToRootNoSeed) {
  if (!store().capabilities().history) GTEST_SKIP();
  Writer writer(*this, "t");
  const CheckpointId first = writer.Put({{"other", "v"}});
  const auto append = [&](CheckpointId base, uint64_t appended_to) {
    NewCheckpoint made = writer.Make({}, base);
    made.checkpoint.channels.push_back({.channel = "ch",
                                        .version = writer.NextVersion(),
                                        .appended_to = appended_to,
                                        .value = Text("piece")});
    return TryPut(writer.fence(), std::move(made));
  };
  Fails(append({}, 1), absl::StatusCode::kFailedPrecondition);
  Fails(append(first, 1), absl::StatusCode::kFailedPrecondition);
  const CheckpointId second = writer.Put({{"ch", "whole"}}, first);
  // Another version than the one that the base has.
  Fails(append(second, 1), absl::StatusCode::kFailedPrecondition);
  Fails(append(first, writer.version()), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(History({.thread = "t", .id = first}, {"ch"}), (Histories{{}}));
  EXPECT_EQ(History({.thread = "t", .id = CheckpointId{99, 99}}, {"ch"}),
            (Histories{{}}));
  EXPECT_EQ(History({.thread = "t"}, {"ch"}), (Histories{{"whole"}}));
}

// A channel that was saved whole may grow by pieces from then on.
TEST_P(CheckpointerConformanceTest, HistoryMigrationPlainValueAsSeed) {
  if (!store().capabilities().history) GTEST_SKIP();
  Writer writer(*this, "t");
  CheckpointId id = writer.Put({{"ch", "[10]"}});
  id = writer.Put({{"ch", "[10,20,30]"}}, id);
  uint64_t version = writer.version();
  id = writer.Put({{"other", "v"}}, id);
  writer.Append("ch", "[2]", id, version);
  EXPECT_EQ(History({.thread = "t"}, {"ch", "other"}),
            (Histories{{"[10,20,30]", "[2]"}, {"v"}}));
}

TEST_P(CheckpointerConformanceTest, HistorySeedAncestorOwnWritesAreReplayed) {
  if (!store().capabilities().history) GTEST_SKIP();
  Writer writer(*this, "t");
  uint64_t version = 0;
  CheckpointId id = writer.Append("ch", "older-than-seed", {}, version);
  version = 0;
  id = writer.Append("ch", "seed", id, version);
  const CheckpointId seed = id;
  const uint64_t at_seed = version;
  id = writer.Append("ch", "at-seed", id, version);
  writer.Append("ch", "after-seed", id, version);
  EXPECT_EQ(History({.thread = "t"}, {"ch"}),
            (Histories{{"seed", "at-seed", "after-seed"}}));
  // A fork from there has its own, and leaves the others as they are.
  version = at_seed;
  writer.Append("ch", "fork", seed, version);
  EXPECT_EQ(History({.thread = "t"}, {"ch"}), (Histories{{"seed", "fork"}}));
  EXPECT_EQ(History({.thread = "t", .id = id}, {"ch"}),
            (Histories{{"seed", "at-seed"}}));
}

// What LangGraph's suite does not ask.

TEST_P(CheckpointerConformanceTest, TwoWritersAreFenced) {
  Writer first(*this, "t");
  const CheckpointId id = first.Put({{"a", "1"}});
  first.PutWrites(id, {Write("task", 0, "a", "first")});
  Writer second(*this, "t");
  EXPECT_GT(second.fence().epoch, first.fence().epoch);
  const std::string before = Describe(List({}));
  Fails(TryPut(first.fence(), first.Make({{"a", "2"}}, id)),
        absl::StatusCode::kAborted);
  Fails(TryPutWrites(first.fence(), {"", id, {Write("late", 0, "a", "2")}}),
        absl::StatusCode::kAborted);
  EXPECT_EQ(Describe(List({})), before);
  second.Put({{"a", "3"}}, id);
  second.PutWrites(id, {Write("task", 1, "a", "second")});
  EXPECT_EQ(StateOf(Get({.thread = "t"})), (State{{"a", "3"}}));
  Fails(TryPut(first.fence(), first.Make({{"a", "2"}}, id)),
        absl::StatusCode::kAborted);
  EXPECT_EQ(WritesOf(Get({.thread = "t", .id = id})),
            (std::vector<std::string>{"task:a=first", "task:a=second"}));
}

TEST_P(CheckpointerConformanceTest, FenceIsOfOneThread) {
  Writer one(*this, "one"), two(*this, "two");
  Fence other{.thread = "two", .epoch = one.fence().epoch};
  if (other.epoch == two.fence().epoch) ++other.epoch;
  Fails(TryPut(other, two.Make({})), absl::StatusCode::kAborted);
  Fails(TryPut({.thread = "never opened", .epoch = 1}, two.Make({})),
        absl::StatusCode::kAborted);
  Fails(TryPut({.thread = "two"}, two.Make({})), absl::StatusCode::kAborted);
  one.Put({});
  two.Put({});
}

TEST_P(CheckpointerConformanceTest, FrozenWriterIsFenced) {
  Writer frozen(*this, "t");
  const CheckpointId id = frozen.Put({{"a", "1"}});
  NewCheckpoint late = frozen.Make({{"a", "late"}}, id);
  {
    Writer other(*this, "t");
    other.Put({{"a", "2"}}, id);
  }
  const std::string before = Describe(List({}));
  Fails(TryPut(frozen.fence(), late), absl::StatusCode::kAborted);
  EXPECT_EQ(Describe(List({})), before);
}

TEST_P(CheckpointerConformanceTest, FrozenWriterOfADeletedThreadIsFenced) {
  Writer frozen(*this, "t");
  const CheckpointId id = frozen.Put({{"a", "1"}});
  Ok(TryDeleteThread("t"));
  const auto stays_fenced = [&] {
    const std::string before = Describe(List({}));
    Fails(TryPut(frozen.fence(), frozen.Make({{"a", "late"}})),
          absl::StatusCode::kAborted);
    Fails(TryPutWrites(frozen.fence(), {"", id, {Write("late", 0, "a", "2")}}),
          absl::StatusCode::kAborted);
    EXPECT_EQ(Describe(List({})), before);
  };
  stays_fenced();
  // However often the thread is written and deleted again.
  for (int i = 0; i < 3; ++i) {
    Writer next(*this, "t");
    EXPECT_GT(next.fence().epoch, frozen.fence().epoch);
    stays_fenced();
    next.Put({{"a", "next"}});
    stays_fenced();
    Ok(TryDeleteThread("t"));
    stays_fenced();
  }
}

TEST_P(CheckpointerConformanceTest, DeleteThreadLeavesNothing) {
  Watched watched;
  Writer writer(*this, "t");
  PutWatched(writer, watched);
  EXPECT_FALSE(List({}).empty());
  Ok(TryDeleteThread("t"));
  Ok(TryFlush());
  EXPECT_TRUE(List({}).empty());
  EXPECT_FALSE(Get({.thread = "t"}));
  if (store().capabilities().history) {
    EXPECT_EQ(History({.thread = "t"}, {"pieces"}), (Histories{{}}));
  }
  EXPECT_EQ(watched.alive(), 0);
  const absl::StatusOr<ThreadLease> lease = TryOpen("t");
  ASSERT_TRUE(lease.ok());
  EXPECT_EQ(lease->last_sequence, 0);
  EXPECT_EQ(lease->last_version, 0);
}

TEST_P(CheckpointerConformanceTest, DeleteRunsLeavesNothingOfThem) {
  if (!store().capabilities().delete_runs) GTEST_SKIP();
  Watched watched;
  Writer one(*this, "one"), two(*this, "two");
  PutWatched(one, watched, "run1");
  PutWatched(two, watched, "run2");
  Ok(TryDeleteRuns({"run1", "run2", "run3"}));
  EXPECT_TRUE(List({}).empty());
  Ok(TryFlush());
  EXPECT_EQ(watched.alive(), 0);
}

TEST_P(CheckpointerConformanceTest, DeleteRunsRemovesWritesAfterOthers) {
  if (!store().capabilities().delete_runs) GTEST_SKIP();
  Writer writer(*this, "t");
  for (const char* ns : {"", "child:1"}) {
    const CheckpointId id = writer.PutLine(1, ns, "run1")[0];
    writer.PutWrites(id, {Write("a", 0, "c", "1", "run1")}, ns);
    writer.PutWrites(id, {Write("b", 0, "c", "2")}, ns);
  }
  const std::string before = Describe(List({}));
  Watched watched;
  for (const char* ns : {"", "child:1"}) {
    const CheckpointId id = List({.ns = ns})[0].checkpoint.id;
    // More than are compared one by one.
    for (int32_t i = 0; i < 40; ++i) {
      PendingWrite write =
          Write(i % 2 == 0 ? "a" : "c", i + 1, "c", "", "run2");
      write.value = watched.Make("3");
      writer.PutWrites(id, {std::move(write)}, ns);
    }
  }
  PendingWrite early = Write("early", 0, "c", "", "run2");
  early.value = watched.Make("4");
  writer.PutWrites(writer.NextId(), {std::move(early)});
  EXPECT_NE(Describe(List({})), before);
  Ok(TryDeleteRuns({"run2", ""}));
  EXPECT_EQ(Describe(List({})), before);
  Ok(TryFlush());
  EXPECT_EQ(watched.alive(), 0);
}

TEST_P(CheckpointerConformanceTest, DeleteRunsBringsBackWhatGaveWay) {
  if (!store().capabilities().delete_runs) GTEST_SKIP();
  const auto shown = [this] { return WritesOf(Get({.thread = "t"})); };
  const auto texts = [](const char* asks, const char* done) {
    return std::vector<std::string>{std::string("a:asks=") + asks,
                                    std::string("a:done=") + done};
  };
  Writer writer(*this, "t");
  const CheckpointId id = writer.Put({});
  for (const char* run : {"run1", "run2", "run2", "run3", "run1"}) {
    const std::string text = std::string(run) + " again";
    for (const std::string& value : {std::string(run), text}) {
      writer.PutWrites(id, {Write("a", kInterruptWrite, "asks", value, run)});
      writer.PutWrites(id, {Write("a", 0, "done", value, run)});
    }
  }
  // Under an index from 0 on the first shows, below the last.
  EXPECT_EQ(shown(), texts("run1 again", "run1"));
  Ok(TryDeleteRuns({"run2"}));
  EXPECT_EQ(shown(), texts("run1 again", "run1"));
  Ok(TryDeleteRuns({"run1"}));
  EXPECT_EQ(shown(), texts("run3 again", "run3"));
  if (store().capabilities().copy_thread) {
    Ok(TryCopyThread("t", "copy"));
    EXPECT_EQ(WritesOf(Get({.thread = "copy"})), shown());
  }
  Ok(TryDeleteRuns({"run3"}));
  EXPECT_TRUE(shown().empty());
}

TEST_P(CheckpointerConformanceTest, WritesTellTheirRun) {
  Writer writer(*this, "t");
  const CheckpointId id = writer.PutLine(1, "", "run1")[0];
  writer.PutWrites(
      id, {Write("a", 0, "c", "1", "run1"), Write("a", 1, "c", "2", "run1")});
  writer.PutWrites(id, {Write("b", 0, "c", "3", "run2")});
  writer.PutWrites(id, {Write("c", 0, "c", "4")});
  std::vector<std::string> runs;
  const std::optional<CheckpointTuple> tuple = Get({.thread = "t"});
  ASSERT_TRUE(tuple);
  for (const PendingWrite& write : tuple->writes) {
    runs.push_back(RunOf(write));
  }
  EXPECT_EQ(runs, (std::vector<std::string>{"run1", "run1", "run2", "nobody"}));
}

TEST_P(CheckpointerConformanceTest, DeleteRunsKeepsWhatStillNeedsLoading) {
  if (!store().capabilities().delete_runs) GTEST_SKIP();
  Writer writer(*this, "t");
  CheckpointId id;
  uint64_t version = 0;
  for (int i = 0; i < 60; ++i) {
    NewCheckpoint made = writer.Make({{"c" + std::to_string(i % 7), "v"}}, id);
    made.checkpoint.metadata.run_id = i % 3 == 0 ? "keep" : "drop";
    const uint64_t appended_to = std::exchange(version, writer.NextVersion());
    made.checkpoint.channels.push_back({.channel = "pieces",
                                        .version = version,
                                        .appended_to = appended_to,
                                        .value = Text(std::to_string(i))});
    id = writer.PutMade(std::move(made));
  }
  const CheckpointQuery query = {.filter = {{"run_id", "\"keep\""}}};
  const std::string before = Describe(List(query));
  std::vector<Histories> histories;
  const auto load = [&] {
    std::vector<Histories> loaded;
    if (!store().capabilities().history) return loaded;
    for (const CheckpointId& kept : IdsOf(List(query))) {
      loaded.push_back(History({.thread = "t", .id = kept}, {"pieces"}));
    }
    return loaded;
  };
  histories = load();
  Ok(TryDeleteRuns({"drop"}));
  EXPECT_EQ(Describe(List({})), before);
  EXPECT_EQ(load(), histories);
}

TEST_P(CheckpointerConformanceTest, PruneLeavesNothingOfTheOthers) {
  if (!store().capabilities().prune) GTEST_SKIP();
  Watched watched;
  Writer writer(*this, "t");
  CheckpointId id;
  for (int i = 0; i < 60; ++i) {
    NewCheckpoint made = writer.Make({}, id);
    for (const std::string& channel :
         {std::string("always"), "c" + std::to_string(i % 7)}) {
      made.checkpoint.channels.push_back({.channel = channel,
                                          .version = writer.NextVersion(),
                                          .value = watched.Make("v")});
    }
    id = writer.PutMade(std::move(made));
  }
  const std::string last = Describe(List({.limit = 1}));
  Ok(TryPrune({"t"}, PruneMode::kKeepLatest));
  Ok(TryFlush());
  EXPECT_EQ(Describe(List({})), last);
  EXPECT_LE(watched.alive(), 8);  // One a channel, or none where encoded.
  Ok(TryPrune({"t"}, PruneMode::kDeleteAll));
  Ok(TryFlush());
  EXPECT_EQ(watched.alive(), 0);
}

TEST_P(CheckpointerConformanceTest, WritesMayArriveBeforeTheirCheckpoint) {
  Writer writer(*this, "t");
  const CheckpointId first = writer.Put({{"a", "1"}});
  NewCheckpoint made = writer.Make({{"a", "2"}}, first);
  const CheckpointId second = made.checkpoint.id;
  writer.PutWrites(second, {Write("task", 0, "a", "early")});
  EXPECT_EQ(Get({.thread = "t"})->checkpoint.id, first);
  EXPECT_TRUE(WritesOf(Get({.thread = "t"})).empty());
  EXPECT_FALSE(Get({.thread = "t", .id = second}));
  EXPECT_EQ(List({}).size(), 1);
  writer.PutMade(std::move(made));
  writer.PutWrites(second, {Write("task", 1, "a", "late")});
  EXPECT_EQ(WritesOf(Get({.thread = "t"})),
            (std::vector<std::string>{"task:a=early", "task:a=late"}));
  // Also in a thread and a namespace that have nothing else.
  Writer other(*this, "other");
  made = other.Make({}, {}, "child:1");
  other.PutWrites(made.checkpoint.id, {Write("task", 0, "a", "early")},
                  "child:1");
  EXPECT_FALSE(Get({.thread = "other", .ns = "child:1"}));
  other.PutMade(std::move(made));
  EXPECT_EQ(WritesOf(Get({.thread = "other", .ns = "child:1"})),
            std::vector<std::string>{"task:a=early"});
}

TEST_P(CheckpointerConformanceTest, ABaseThatIsNotStoredIsRefused) {
  Writer writer(*this, "t");
  const CheckpointId first = writer.Put({{"a", "1"}});
  const std::string before = Describe(List({}));
  const CheckpointId none{first.sequence, first.random + 1};
  Fails(TryPut(writer.fence(), writer.Make({}, none)),
        absl::StatusCode::kFailedPrecondition);
  // Stored, but in another namespace.
  Fails(TryPut(writer.fence(), writer.Make({}, first, "child:1")),
        absl::StatusCode::kFailedPrecondition);
  // Of this there are only writes.
  const CheckpointId early = writer.NextId();
  writer.PutWrites(early, {Write("task", 0, "a", "v")});
  Fails(TryPut(writer.fence(), writer.Make({}, early)),
        absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Describe(List({})), before);
  writer.Put({}, first);
}

TEST_P(CheckpointerConformanceTest, IdsGrowWithinANamespace) {
  Writer writer(*this, "t");
  NewCheckpoint skipped = writer.Make({{"a", "0"}});
  NewCheckpoint inner = writer.Make({{"a", "1"}}, {}, "child:1");
  const CheckpointId last = writer.Put({{"a", "2"}});
  // Another namespace may come later with a smaller id.
  writer.PutMade(std::move(inner));
  const std::string before = Describe(List({}));
  Fails(TryPut(writer.fence(), skipped), absl::StatusCode::kFailedPrecondition);
  Fails(TryPutWrites(writer.fence(),
                     {"", skipped.checkpoint.id, {Write("task", 0, "a", "v")}}),
        absl::StatusCode::kFailedPrecondition);
  skipped.checkpoint.id = {last.sequence, last.random - 1};
  Fails(TryPut(writer.fence(), skipped), absl::StatusCode::kFailedPrecondition);
  skipped.checkpoint.id = {};
  Fails(TryPut(writer.fence(), skipped), absl::StatusCode::kInvalidArgument);
  Fails(TryPutWrites(writer.fence(), {"", {}, {Write("task", 0, "a", "v")}}),
        absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Describe(List({})), before);
}

TEST_P(CheckpointerConformanceTest, PutAgainReplacesAndKeepsWrites) {
  Writer writer(*this, "t");
  const CheckpointId first = writer.Put({{"a", "1"}, {"b", "1"}});
  NewCheckpoint again = writer.Make({{"a", "again"}});
  const CheckpointId second = writer.Put({{"b", "2"}}, first);
  writer.PutWrites(first, {Write("task", 0, "a", "v")});
  again.checkpoint.id = first;
  again.checkpoint.metadata.source = "update";
  writer.PutMade(std::move(again));
  const std::optional<CheckpointTuple> tuple =
      Get({.thread = "t", .id = first});
  EXPECT_EQ(StateOf(tuple), (State{{"a", "again"}}));
  EXPECT_EQ(tuple->checkpoint.metadata.source, "update");
  EXPECT_EQ(WritesOf(tuple), std::vector<std::string>{"task:a=v"});
  EXPECT_EQ(List({}).size(), 2);
  // What had it for a base is as it was.
  EXPECT_EQ(StateOf(Get({.thread = "t", .id = second})),
            (State{{"a", "1"}, {"b", "2"}}));
  // It may change itself, or follow a later one.
  again = writer.Make({{"c", "self"}}, first);
  again.checkpoint.id = first;
  writer.PutMade(std::move(again));
  EXPECT_EQ(StateOf(Get({.thread = "t", .id = first})),
            (State{{"a", "again"}, {"c", "self"}}));
  again = writer.Make({{"d", "later"}}, second);
  again.checkpoint.id = first;
  writer.PutMade(std::move(again));
  EXPECT_EQ(StateOf(Get({.thread = "t", .id = first})),
            (State{{"a", "1"}, {"b", "2"}, {"d", "later"}}));
  EXPECT_EQ(Get({.thread = "t"})->checkpoint.id, second);
}

TEST_P(CheckpointerConformanceTest, ForksShareABase) {
  Writer writer(*this, "t");
  const CheckpointId base = writer.Put({{"a", "1"}, {"b", "1"}});
  CheckpointId left = base, right = base;
  for (int i = 0; i < 20; ++i) {
    left = writer.Put({{"a", "left" + std::to_string(i)}}, left);
    right = writer.Put({{"b", "right" + std::to_string(i)}}, right);
  }
  EXPECT_EQ(StateOf(Get({.thread = "t", .id = left})),
            (State{{"a", "left19"}, {"b", "1"}}));
  EXPECT_EQ(StateOf(Get({.thread = "t", .id = right})),
            (State{{"a", "1"}, {"b", "right19"}}));
  EXPECT_EQ(StateOf(Get({.thread = "t", .id = base})),
            (State{{"a", "1"}, {"b", "1"}}));
}

TEST_P(CheckpointerConformanceTest, OpenReportsWhereTheThreadStands) {
  absl::StatusOr<ThreadLease> lease = TryOpen("t");
  ASSERT_TRUE(lease.ok());
  EXPECT_EQ(lease->fence.thread, "t");
  EXPECT_EQ(lease->last_sequence, 0);
  EXPECT_EQ(lease->last_version, 0);
  Writer writer(*this, "t");
  const CheckpointId first = writer.Put({{"a", "1"}, {"b", "1"}});
  const CheckpointId second = writer.Put({{"a", "2"}}, first);
  // A fork from further back does not set them back.
  NewCheckpoint fork = writer.Make({}, first, "");
  fork.checkpoint.channels.push_back(
      {.channel = "a", .version = 2, .value = Text("3")});
  const CheckpointId last = writer.PutMade(std::move(fork));
  lease = TryOpen("t");
  ASSERT_TRUE(lease.ok());
  EXPECT_EQ(lease->last_sequence, last.sequence);
  EXPECT_EQ(lease->last_version, 3);
  // Nor do deletions: what had a number is gone, the number is not given again.
  if (store().capabilities().prune) {
    Ok(TryPrune({"t"}, PruneMode::kKeepLatest));
    lease = TryOpen("t");
    ASSERT_TRUE(lease.ok());
    EXPECT_EQ(lease->last_sequence, last.sequence);
    EXPECT_EQ(lease->last_version, 3);
  }
  EXPECT_LT(second, last);
}

TEST_P(CheckpointerConformanceTest, CopyThreadTakesOverOnlyWhatIsEmpty) {
  if (!store().capabilities().copy_thread) GTEST_SKIP();
  Writer from(*this, "from"), full(*this, "full"), empty(*this, "empty");
  const CheckpointId last = from.PutLine(3).back();
  full.Put({});
  const std::string before = Describe(List({.thread = "full"}));
  Fails(TryCopyThread("from", "full"), absl::StatusCode::kAlreadyExists);
  Fails(TryCopyThread("from", "from"), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Describe(List({.thread = "full"})), before);
  Ok(TryCopyThread("from", "empty"));
  // Whoever was to write it knows nothing of what is there now.
  Fails(TryPut(empty.fence(), empty.Make({})), absl::StatusCode::kAborted);
  Fails(
      TryPut({.thread = "empty", .epoch = from.fence().epoch}, empty.Make({})),
      absl::StatusCode::kAborted);
  Writer next(*this, "empty");
  EXPECT_EQ(next.NextId().sequence, last.sequence + 1);
  EXPECT_EQ(next.NextVersion(), 4);
  next.Put({{"step", "more"}}, last);
  from.Put({{"step", "other"}}, last);
  EXPECT_EQ(StateOf(Get({.thread = "empty"})), (State{{"step", "more"}}));
  EXPECT_EQ(StateOf(Get({.thread = "from"})), (State{{"step", "other"}}));
}

TEST_P(CheckpointerConformanceTest, CopyThreadSetsNoNumbersBack) {
  const CheckpointerCapabilities can = store().capabilities();
  if (!can.copy_thread || !can.delete_runs) GTEST_SKIP();
  Writer from(*this, "from"), to(*this, "to");
  from.PutLine(3);
  to.PutLine(10, "", "run");
  Ok(TryDeleteRuns({"run"}));
  Ok(TryCopyThread("from", "to"));
  const absl::StatusOr<ThreadLease> lease = TryOpen("to");
  ASSERT_TRUE(lease.ok());
  EXPECT_EQ(lease->last_sequence, 10);
  EXPECT_EQ(lease->last_version, 10);
}

TEST_P(CheckpointerConformanceTest, WhatIsNotClaimedIsUnimplemented) {
  const CheckpointerCapabilities can = store().capabilities();
  const auto code = absl::StatusCode::kUnimplemented;
  if (!can.delete_runs) Fails(TryDeleteRuns({"run"}), code);
  if (!can.copy_thread) Fails(TryCopyThread("from", "to"), code);
  if (!can.prune) Fails(TryPrune({"t"}, PruneMode::kKeepLatest), code);
  if (!can.history) Fails(TryHistory({.thread = "t"}, {"a"}).status(), code);
}

// Nothing of the call is stored, and the next one finds all as it was.
TEST_P(CheckpointerConformanceTest, AValueThatCannotBeEncodedIsRefused) {
  Writer writer(*this, "t");
  const CheckpointId first = writer.Put({{"a", "1"}});
  const std::string before = Describe(List({}));
  const SavedValue opaque(std::make_shared<const int>(1), nullptr);
  NewCheckpoint made = writer.Make({}, first);
  made.checkpoint.channels.push_back(
      {.channel = "a", .version = writer.NextVersion(), .value = opaque});
  if (TryPut(writer.fence(), std::move(made)).ok()) {
    // A store that keeps values need not encode them.
    EXPECT_EQ(List({}).size(), 2);
    return;
  }
  EXPECT_EQ(Describe(List({})), before);
  writer.Put({{"a", "2"}}, first);
}

TEST_P(CheckpointerConformanceTest, LongHistoryLoads) {
  Writer writer(*this, "t");
  CheckpointId id;
  State state;
  std::vector<std::pair<CheckpointId, State>> all;
  for (int i = 0; i < 300; ++i) {
    const std::string channel = "c" + std::to_string(i % 13);
    state[channel] = std::to_string(i);
    id = writer.Put({{channel, state[channel]}}, id);
    all.emplace_back(id, state);
  }
  for (const auto& [at, expected] : all) {
    ASSERT_EQ(StateOf(Get({.thread = "t", .id = at})), expected);
  }
  const Tuples tuples = List({.thread = "t"});
  ASSERT_EQ(tuples.size(), all.size());
  for (size_t i = 0; i < all.size(); ++i) {
    ASSERT_EQ(StateOf(tuples[all.size() - 1 - i].checkpoint), all[i].second);
  }
}

TEST_P(CheckpointerConformanceTest, FlushComesAfterAllThatWasAsked) {
  Writer writer(*this, "t");
  absl::Notification flushed;
  NewCheckpoint made = writer.Make({{"a", "1"}});
  const CheckpointId id = made.checkpoint.id;
  store().Put(writer.fence(), std::move(made), [](absl::Status s) { Ok(s); });
  store().PutWrites(writer.fence(), {"", id, {Write("task", 0, "a", "v")}},
                    [](absl::Status s) { Ok(s); });
  store().Flush([&flushed](absl::Status s) {
    Ok(s);
    flushed.Notify();
  });
  flushed.WaitForNotification();
  EXPECT_EQ(WritesOf(Get({.thread = "t"})),
            std::vector<std::string>{"task:a=v"});
}

}  // namespace weir

#endif  // WEIR_TESTING_CHECKPOINTER_CONFORMANCE_H_
