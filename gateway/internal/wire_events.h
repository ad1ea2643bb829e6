#ifndef WEIR_GATEWAY_INTERNAL_WIRE_EVENTS_H_
#define WEIR_GATEWAY_INTERNAL_WIRE_EVENTS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

#include "weir/gateway/internal/json.h"
#include "weir/runtime/event.h"
#include "weir/runtime/run_info.h"
#include "weir/runtime/thread.h"
#include "weir/runtime/thread_stream.h"

// What a run does, as the server-sent events that the Agent Server's clients
// know.
namespace weir {
inline namespace v0 {
namespace internal {

class JsonObject;

// The modes of a stream on the wire, to be combined with |.
enum WireModes : uint32_t {
  kWireValues = 1u << 0,
  kWireUpdates = 1u << 1,
  // messages/metadata, messages/partial (the message so far) and
  // messages/complete.
  kWireMessages = 1u << 2,
  kWireMessagesTuple = 1u << 3,  // messages: each piece, and where it is from.
  kWireCustom = 1u << 4,
  kWireTasks = 1u << 5,
  kWireCheckpoints = 1u << 6,
  kWireDebug = 1u << 7,
  kWireEvents = 1u << 8,  // Starts and ends of the graph and its nodes.
};

// InvalidArgument for a name that is none, with those that there are.
absl::StatusOr<uint32_t> ParseWireModes(const std::vector<std::string>& names);
std::vector<std::string> WireModeNames(uint32_t modes);
// The modes that a run has to be started with to give these. `may_stop`: the
// run, or its graph, stops before or after nodes; of values, only updates tell.
StreamModes RunModesFor(uint32_t modes, bool may_stop = false);

// Appends "event: NAME\ndata: JSON\nid: N\n\n"; no line of an id if there is
// none. `json` has no line breaks.
void AppendFrame(std::string_view name, std::string_view json,
                 std::optional<int64_t> id, std::string* frames);

// What events say of their run.
struct WireRun {
  std::string run_id{};
  std::string thread_id{};
  std::string graph{};
  std::string assistant_id{};
  int attempt = 1;
  int64_t recursion_limit = 10'007;
  Metadata metadata{};  // Only what clients see is shown.
};

// WireEvents: one reader's view of a run.
//
// An event may be several frames, of which the last has the id: a client that
// is cut off among them, and comes again with the last id that it has seen,
// gets all of them again.
//
// Messages are told by their shape: the elements of a list in the state that
// are records with an `id`, a `content`, and a `role` or `type`. So a run's
// first state completes those that were there before.
//
// Threads:  single-owner.
class WireEvents {
 public:
  // `modes`: those of WireModes that the reader gets.
  WireEvents(WireRun run, uint32_t modes);

  // Appends the frames of the run's next event: none if no mode shows it.
  void Append(const Event& event, std::string* frames) {
    Append(event, static_cast<int64_t>(event.id()), frames);
  }
  // With another id: that of a thread's stream.
  void Append(const Event& event, int64_t id, std::string* frames);
  // Takes note of an event that the reader has had, so that messages which go
  // on after it are whole.
  void Skip(const Event& event);
  // Appends what is to be said at the end of the run's stream. It has no id,
  // and comes to everybody who is there then.
  void End(RunStatus status, std::string* frames);

  const WireRun& run() const { return run_; }

 private:
  struct Payload;  // Makes the frames of each payload.
  struct Started {
    std::string input;  // JSON.
    std::vector<std::string> triggers;
  };

  // Another frame of the event at hand. `name` gets the path to its graph.
  void Add(std::string_view name, std::string json);
  void CompleteMessages(const Values& values);
  void AddPiece(const MessageChunk& chunk);

  std::string GraphEvent(std::string_view what, std::string_view field) const;
  std::string CheckpointJson(const StateSnapshot& state) const;
  void AppendConfig(const StateSnapshot& state, const CheckpointId& id,
                    std::string* out) const;
  void AppendRunMetadata(JsonObject* data) const;

  WireRun run_;
  const uint32_t modes_;

  const Event* event_ = nullptr;                             // The one at hand.
  std::vector<std::pair<std::string, std::string>> frames_;  // Of that.

  std::map<std::string, Json> pieces_;  // Messages so far, by id.
  std::set<std::string> complete_;      // Ids of messages, behind the graph's.
  std::map<std::string, Started> started_;  // Tasks, for kWireEvents.
  // For kWireEvents: the last state, and what was said of the graph.
  std::string values_ = "{}";
  enum class GraphStart {
    kUnknown,
    kAhead,
    kSaid
  } graph_start_ = GraphStart::kUnknown;
};

// WireThreadEvents: one reader's view of a thread. A run's start and end are
// events named "metadata"; the thread's state is "state_update", a ThreadState
// with the run's id.
//
// Threads:  single-owner.
class WireThreadEvents {
 public:
  // `view_of` makes the view of a run of the thread, with the modes that the
  // run was created with.
  explicit WireThreadEvents(std::function<WireEvents(const RunId&)> view_of);

  void Append(const ThreadEvent& event, std::string* frames);

 private:
  WireEvents& ViewOf(const RunId& run);

  const std::function<WireEvents(const RunId&)> view_of_;
  std::map<RunId, WireEvents> views_;  // Of runs that go on.
  std::string graph_;                  // That of the last run seen.
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_GATEWAY_INTERNAL_WIRE_EVENTS_H_
