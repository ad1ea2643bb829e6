// The engine's own records in checkpoints and writes.

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/time/time.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_graph.h"

#include "weir/runtime/command.h"
#include "weir/runtime/internal/saved_bytes.h"
#include "weir/runtime/internal/saved_line.h"

namespace weir {
namespace {

using internal::DecodeRecord;
using internal::EncodeRecord;
using internal::SavedAnswers;
using internal::SavedEngine;
using internal::SavedFailure;
using internal::SavedFor;
using internal::SavedGraph;
using internal::SavedInterrupts;
using internal::SavedTask;

const SavedFor& Names() { return FuzzedGraph().names; }

template <class R>
void Decode(std::string_view bytes) {
  R record;
  const absl::Status read = DecodeRecord(bytes, Names(), &record);
  if (!read.ok()) return RequireRefusal(read);
  std::string first;
  absl::Status s = EncodeRecord(record, &first);
  Require(s.ok(), s.ToString());
  R again;
  s = DecodeRecord(first, Names(), &again);
  Require(s.ok(), s.ToString());
  std::string second;
  s = EncodeRecord(again, &second);
  Require(s.ok() && first == second, "another record came back");
}

constexpr void (*kReaders[])(std::string_view) = {
    &Decode<SavedEngine>,     &Decode<SavedTask>,    &Decode<SavedFailure>,
    &Decode<SavedInterrupts>, &Decode<SavedAnswers>, &Decode<SavedGraph>};

SavedEngine SomeEngine() {
  SavedEngine engine;
  engine.due = {"a", "b"};
  engine.ran = {"c"};
  engine.ran_here = true;
  engine.rest = std::make_unique<SavedEngine::Rest>();
  engine.rest->names = Names();
  engine.rest->waiting = {"d"};
  engine.rest->sends.push_back({"a", Value(1.5), std::nullopt});
  engine.rest->joins.push_back({"j", {0, 2}});
  auto start = std::make_shared<Command>();
  start->update.Set("count", Value(3));
  Send send("a", Update().Set("count", Value(4)));
  send.timeout = absl::Milliseconds(1);
  start->go_to = {Target("a"), Target(std::move(send))};
  engine.rest->start = std::move(start);
  engine.rest->start_is_command = true;
  return engine;
}

SavedTask SomeTask() {
  SavedTask task;
  task.names = Names();
  task.writes.emplace_back(Value(5), 0U, Names()->schema, true);
  task.writes.emplace_back(Value("result"), internal::kReturnValue, 0U, false);
  task.writes.emplace_back(Value(SavedFailure(absl::DataLossError("no"))),
                           internal::kReturnValue, 0U, false);
  task.gotos = {"a"};
  Values record(Names());
  record.Add(0, Value(7));
  record.Add("other", Value(None()));
  task.sends.push_back({"a", Value(std::move(record)), absl::Seconds(2)});
  task.sends.push_back({"b", Value(Parcel{"ann", 5, {{"bob", 1}}}), {}});
  return task;
}

SavedTask SomeTaskOfAVersion() {
  SavedTask task = SomeTask();
  task.version = 3;
  return task;
}

SavedGraph SomeGraph() {
  return {
      2, 0x0123456789abcdef, {{"count", "int32"}, {"notes", "strings"}}, ""};
}

template <class R>
std::string Seed(char kind, const R& record) {
  std::string bytes(1, kind);
  Require(EncodeRecord(record, &bytes).ok(), "a seed has no bytes");
  return bytes;
}

}  // namespace

std::vector<std::string> Seeds() {
  return {Seed(0, SomeEngine()),
          Seed(1, SomeTask()),
          Seed(2, SavedFailure(absl::DataLossError("no"))),
          Seed(3,
               SavedInterrupts{
                   {{"id", Value("milk?")}, {"id-2", Value(2)}}, 1, Names()}),
          Seed(4, SavedAnswers{{Value(true), Value()}, Names()}),
          Seed(5, SomeGraph()),
          Seed(1, SomeTaskOfAVersion())};
}

}  // namespace weir

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  weir::Bytes input(data, size);
  const size_t reader = input.Byte() % std::size(weir::kReaders);
  weir::kReaders[reader](input.Rest());
  return 0;
}
