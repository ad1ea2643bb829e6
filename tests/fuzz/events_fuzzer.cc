// Rows of events, and the events in them.

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_graph.h"

#include "weir/runtime/event.h"
#include "weir/runtime/internal/saved_runs.h"

namespace weir {
namespace {

std::string BytesOf(const Event& event) {
  std::string bytes;
  const absl::Status s = internal::EncodeEvent(FuzzedGraph(), event, &bytes);
  Require(s.ok(), s.ToString());
  return bytes;
}

void OfEvent(std::string_view bytes) {
  Event event;
  const absl::Status read = internal::DecodeEvent(FuzzedGraph(), bytes, &event);
  if (!read.ok()) return RequireRefusal(read);
  (void)event.ToJson();
  (void)event.name();
  const std::string first = BytesOf(event);
  Event again;
  const absl::Status s = internal::DecodeEvent(FuzzedGraph(), first, &again);
  Require(s.ok(), s.ToString());
  Require(BytesOf(again) == first, "another event came back");
}

void OfBatch(std::string_view bytes) {
  std::vector<std::string> events;
  const absl::Status read = internal::DecodeBatch(bytes, &events);
  if (!read.ok()) return RequireRefusal(read);
  for (const std::string& event : events) OfEvent(event);
  std::vector<std::string> again;
  Require(internal::DecodeBatch(internal::EncodeBatch(events), &again).ok() &&
              again == events,
          "another batch came back");
}

std::string Seed(uint32_t mode, EventPayload payload) {
  auto body = internal::Ref<internal::EventBody>::Adopt(
      new internal::EventBody(std::move(payload)));
  body->step = 3;
  body->ns = std::make_shared<const std::vector<NamespaceLevel>>(
      std::vector<NamespaceLevel>{{"node", "task", 1}});
  return BytesOf(Event(mode, std::move(body)));
}

Values SomeValues() {
  Values values(FuzzedGraph().names);
  values.Add(0, Value(7));
  values.Add("other", Value(None()));
  return values;
}

}  // namespace

std::vector<std::string> Seeds() {
  TaskFinished finished;
  finished.id = "task";
  finished.writes = SomeValues();
  finished.interrupts = {{"id", Value("milk?")}};
  finished.status = absl::UnavailableError("not now");
  MessageChunk chunk;
  chunk.id = "m";
  chunk.message = Value("text");
  auto state = std::make_shared<StateSnapshot>();
  state->values = SomeValues();
  state->next = {"a"};
  state->tasks.emplace_back().id = "task";
  TaskStarted started;
  started.id = "task";
  started.input = Value(SomeValues());
  RunInterrupted interrupted;
  interrupted.interrupts = {{"id", Value(2)}};
  std::vector<std::string> events = {
      Seed(kControl, RunMetadata{.run_id = "r"}),
      Seed(kControl, RunError{absl::InternalError("no")}),
      Seed(kValues, StateValues{SomeValues()}),
      Seed(kUpdates, NodeUpdate{.node = "a", .writes = SomeValues()}),
      Seed(kCustom, CustomValue{.node = "a", .value = Value(Parcel{"ann", 5})}),
      Seed(kMessages, chunk),
      Seed(kTasks, started),
      Seed(kTasks, finished),
      Seed(kCheckpoints, CheckpointReached{state}),
      Seed(kUpdates, interrupted),
      Seed(kDebug, RunWarning{"text"}),
      Seed(kDebug, TaskRetried{"id", "node", 1, absl::AbortedError("text"),
                               absl::Seconds(1)})};
  std::vector<std::string> seeds = {std::string(1, '\0') +
                                    internal::EncodeBatch(events)};
  for (const std::string& event : events) seeds.push_back("\1" + event);
  // A checkpoint's event without a state.
  seeds.emplace_back("\1\1\x10\0\0\0\x8\0", 8);
  return seeds;
}

}  // namespace weir

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  weir::Bytes input(data, size);
  if (input.Byte() % 2 == 0) {
    weir::OfBatch(input.Rest());
  } else {
    weir::OfEvent(input.Rest());
  }
  return 0;
}
