// The rows of threads and runs.

#include <string>
#include <string_view>
#include <utility>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_graph.h"

#include "weir/runtime/errors.h"
#include "weir/runtime/internal/saved_runs.h"

namespace weir {
namespace {

// What decodes, encodes to what decodes to the same.
template <class R, class Decode, class Encode>
void Check(std::string_view bytes, Decode decode, Encode encode) {
  R record;
  const absl::Status read = decode(bytes, record);
  if (!read.ok()) return RequireRefusal(read);
  const std::string first = encode(record);
  R again;
  const absl::Status s = decode(first, again);
  Require(s.ok(), s.ToString());
  Require(encode(again) == first, "another record came back");
}

void OfThread(std::string_view bytes) {
  using R = internal::SavedThreadInfo;
  Check<R>(
      bytes, [](std::string_view b, R& r) { return DecodeThreadInfo(b, &r); },
      [](const R& r) { return EncodeThreadInfo(r); });
}
void OfRun(std::string_view bytes) {
  using R = internal::SavedRunInfo;
  Check<R>(
      bytes, [](std::string_view b, R& r) { return DecodeRunInfo(b, &r); },
      [](const R& r) { return EncodeRunInfo(r); });
}

struct Beginning {
  Input input = Input::Continue();
  StartOptions options{};
};
std::string BytesOf(const Beginning& beginning) {
  std::string bytes;
  const absl::Status s = internal::EncodeBeginning(
      FuzzedGraph(), beginning.input, beginning.options, &bytes);
  Require(s.ok(), s.ToString());
  return bytes;
}
void OfBeginning(std::string_view bytes) {
  Check<Beginning>(
      bytes,
      [](std::string_view b, Beginning& r) {
        return internal::DecodeBeginning(FuzzedGraph(), b, &r.input,
                                         &r.options);
      },
      &BytesOf);
}

using Interrupts = std::vector<Interrupt>;
std::string BytesOfAsks(const Interrupts& asks) {
  std::string bytes;
  const absl::Status s =
      internal::EncodeInterrupts(FuzzedGraph(), asks, &bytes);
  Require(s.ok(), s.ToString());
  return bytes;
}
void OfInterrupts(std::string_view bytes) {
  Check<Interrupts>(
      bytes,
      [](std::string_view b, Interrupts& r) {
        return internal::DecodeInterrupts(FuzzedGraph(), b, &r);
      },
      &BytesOfAsks);
}

constexpr void (*kReaders[])(std::string_view) = {&OfThread, &OfRun,
                                                  &OfBeginning, &OfInterrupts};

}  // namespace

std::vector<std::string> Seeds() {
  internal::SavedThreadInfo thread;
  thread.metadata["user"] = "\"ann\"";
  thread.ttl = absl::Seconds(5);
  thread.verdict = ThreadStatus::kInterrupted;
  internal::SavedRunInfo run;
  run.info.graph = "g";
  run.info.status = RunStatus::kError;
  run.cancelled = CancelAction::kRollback;
  run.error = absl::UnavailableError("not now");
  run.checkpoint = {3, 4};
  run.begins = BytesOf({Input::Values(Update().Set("count", Value(3)))});
  run.asks = BytesOfAsks({{"id", Value("milk?")}});
  StartOptions options;
  options.interrupt_before = {"b"};
  options.from = CheckpointRef{.thread_id = "t", .id = {1, 2}};
  return {
      std::string(1, '\0') + internal::EncodeThreadInfo(thread),
      "\1" + internal::EncodeRunInfo(run),
      "\2" + BytesOf({Input::Values(Update().Set("count", Value(3))), options}),
      "\2" + BytesOf({Input::Resume(Value(true))}),
      "\2" + BytesOf({Input::ResumeEach({{"id", Value("yes")}})}),
      "\3" + run.asks};
}

}  // namespace weir

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  weir::Bytes input(data, size);
  const size_t reader = input.Byte() % std::size(weir::kReaders);
  weir::kReaders[reader](input.Rest());
  return 0;
}
