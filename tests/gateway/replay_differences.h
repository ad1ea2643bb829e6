#ifndef WEIR_TESTS_GATEWAY_REPLAY_DIFFERENCES_H_
#define WEIR_TESTS_GATEWAY_REPLAY_DIFFERENCES_H_

#include <cstddef>
#include <string_view>
#include <vector>

#include "tests/gateway/transcript.h"

namespace weir {

// Departure: where weir's answers are not those of the recorded server, on
// purpose.
struct Departure {
  // The number that the file's name begins with; empty: of any.
  std::string_view file;
  int exchange = -1;  // In the file, from 0 on; -1: any.
  // Paths begin with the last word of the request's path, or the name of the
  // event; then, where it is about the status or the headers, "head". "event
  // NAME" is about events of that name, "ids" about those of a stream.
  Difference difference;

  bool IsFor(std::string_view of_file) const {
    return of_file.substr(0, file.size()) == file;
  }
  bool IsFor(std::string_view of_file, size_t of_exchange) const {
    return IsFor(of_file) &&
           (exchange < 0 || static_cast<size_t>(exchange) == of_exchange);
  }
};

// Where they depart. What is not played at all: 28 to 31, 43 and 47 are defects
// of that server; 46, 68, 69 and 71 are logs of scripts and clients, without
// exchanges. 00 is compared as bytes, but for spaces in JSON, which weir has
// after colons and commas.
inline const std::vector<Departure>& Departures() {
  using enum Difference::Kind;
  // clang-format off
  static const std::vector<Departure> kDepartures = {
      // Anywhere: the recorded host's own.
      {"", -1, {kMissing, "ls_integration", "names a library"}},
      {"", -1, {kMissing, "ls_model_type", "names a library's model"}},
      {"", -1, {kMissing, "ls_provider", "names a library's model"}},
      {"", -1, {kMissing, "langgraph_version", "weir is another program"}},
      {"", -1, {kMissing, "langgraph_plan", "of a platform"}},
      {"", -1, {kMissing, "langgraph_host", "of a platform"}},
      {"", -1, {kMissing, "versions", "of libraries"}},
      {"", -1, {kValue, "config.recursion_limit", "each has its default", "10007"}},
      {"", -1, {kValue, "parent_config.recursion_limit", "each has its default", "10007"}},
      {"", -1, {kValue, "multitask_strategy", "what the platform does where none is given", "\"enqueue\""}},
      {"", -1, {kValue, "head.content-type", "errors and what is waited for are JSON, not text", "\"application/json\""}},
      {"", -1, {kExtra, "stream.head.content-location", "joined streams name their run, too"}},
      {"", -1, {kExtra, "stream.head.location", "joined streams can be joined again"}},
      // Anywhere: the fuller form that SDKs have types for.
      {"", -1, {kExtra, "checkpoints.config", "fuller form"}},
      {"", -1, {kExtra, "checkpoints.tasks", "fuller form"}},
      {"", -1, {kExtra, "checkpoints.checkpoint", "fuller form"}},
      {"", -1, {kExtra, "checkpoints.parent_checkpoint", "fuller form"}},
      {"", -1, {kExtra, "checkpoints.parent_config", "fuller form"}},
      {"", -1, {kExtra, "state_updated_at", "SDKs have a type for it"}},
      {"", -1, {kExtra, "state.interrupts", "in the API's description"}},
      {"", -1, {kExtra, "checkpoint.interrupts", "in the API's description"}},
      {"", -1, {kExtra, "history.[].interrupts", "in the API's description"}},
      {"", -1, {kMissing, "state.metadata.created_by", "not in checkpoints"}},
      {"", -1, {kMissing, "state.metadata.run_attempt", "not in checkpoints"}},
      {"", -1, {kMissing, "checkpoint.metadata.created_by", "not in checkpoints"}},
      {"", -1, {kMissing, "checkpoint.metadata.run_attempt", "not in checkpoints"}},
      {"", -1, {kMissing, "history.[].metadata.created_by", "not in checkpoints"}},
      {"", -1, {kMissing, "history.[].metadata.run_attempt", "not in checkpoints"}},
      // Anywhere: failures.
      {"", -1, {kValue, "error.error", "C++ has no CustomError", "\"NodeError\""}},
      {"", -1, {kValue, "error.message", "names the node", "\"node 'bad' failed in step 2: Boo!\""}},
      {"", -1, {kExtra, "error.node", "says whose failure it is", "\"bad\""}},

      {"04", 0, {kValue, "ids", "of two frames that one event makes, the first has no id", R"(["0","1",null,"2","3","4","5"])"}},
      {"09", 0, {kValue, "ids", "tasks and values are counted, too; the end is no event of the run's", R"(["0","1","2","3","5","6",null])"}},
      {"09", 0, {kValue, "events.name", "the graph's name, not LangGraph", "\"joke\""}},
      {"11", 0, {kMissing, "event checkpoints", "nobody has asked for them"}},
      {"11", 0, {kValue, "ids", "the others are counted without them", R"(["0","1","2","3","4","5","6","7","8","9","10","11"])"}},
      {"12", 0, {kValue, "tasks.triggers", "joins name their sources in order, and each node may be branched to", R"(["branch:to:last","join:fastest+middle+slowest:last"])"}},
      {"13", 0, {kExtra, "tasks.error", "SDKs have a type for it", "\"Boo!\""}},
      {"13", 3, {kValue, "state.tasks.[].error", "a text, not JSON in a text", "\"Boo!\""}},
      {"14", 5, {kValue, "history.[].tasks.[].result", "a task that was answered has its result, too", R"({"answer":"yes","log":["human"]})"}},
      {"15", 0, {kValue, "ids", "of two frames that one event makes, the first has no id", R"(["0","1","2","3",null,"4"])"}},
      {"24", 1, {kValue, "head.status", "what is no id is refused", "422"}},

      {"40", 3, {kExtra, "threads.values", "the last state stays after a cancel"}},
      {"40", 3, {kExtra, "threads.interrupts", "comes with the values", "{}"}},
      {"40", 4, {kValue, "state.tasks.[].error", "a node that was stopped says so", "\"asked to stop while asleep\""}},
      {"41", 4, {kExtra, "threads.values", "the last state stays after a cancel"}},
      {"41", 4, {kExtra, "threads.interrupts", "comes with the values", "{}"}},
      {"42", 4, {kExtra, "threads.values", "the last state stays after a cancel"}},
      {"42", 4, {kExtra, "threads.interrupts", "comes with the values", "{}"}},
      {"42", 5, {kValue, "state.tasks.[].error", "a node that was stopped says so", "\"asked to stop while asleep\""}},
      {"44", 0, {kExtra, "runs.start_after", "when it was made stays when it was made"}},
      {"44", 3, {kExtra, "runs.start_after", "when it was made stays when it was made"}},
      {"44", 1, {kMissing, "threads.metadata.assistant_id", "from when the first run begins"}},
      {"44", 1, {kMissing, "threads.config.configurable", "from when the first run begins"}},
      {"44", 4, {kMissing, "threads.metadata.assistant_id", "from when the first run begins"}},
      {"44", 4, {kMissing, "threads.config.configurable", "from when the first run begins"}},
      {"45", 4, {kMissing, "copy.metadata.thread_id", "it has its own field"}},
      {"45", 4, {kExtra, "copy.config.configurable", "as every thread that has a graph", "{}"}},
      {"45", 4, {kOrder, "copy", "as every thread"}},

      {"50", 1, {kValue, "head.status", "reject is a conflict", "409"}},
      {"51", 5, {kOrder, "runs", "newest first"}},
      {"52", 4, {kExtra, "threads.values", "the last state stays after a cancel"}},
      {"52", 4, {kExtra, "threads.interrupts", "comes with the values", "{}"}},
      {"52", 5, {kOrder, "runs", "newest first"}},

      {"60", 2, {kValue, "__error__.error", "that of the failure", "\"NodeError\""}},
      {"60", 2, {kValue, "__error__.message", "that of the failure", "\"node 'bad' failed in step 2: Boo!\""}},
      {"60", 2, {kExtra, "__error__.node", "says whose failure it is", "\"bad\""}},
      {"60", 3, {kExtra, "wait.question", "the values come, too"}},
      {"60", 3, {kExtra, "wait.log", "the values come, too"}},
      {"60", 5, {kValue, "__error__.error", "that of the failure", "\"NodeError\""}},
      {"60", 5, {kValue, "__error__.message", "that of the failure", "\"node 'bad' failed in step 2: Boo!\""}},
      {"60", 5, {kExtra, "__error__.node", "says whose failure it is", "\"bad\""}},
      {"60", 6, {kValue, "__error__.error", "that of the failure", "\"NoCheckpointerError\""}},
      {"60", 6, {kValue, "__error__.message", "that of the failure"}},
      {"60", 6, {kExtra, "__error__.node", "says whose failure it is", "\"human\""}},
      {"60", 7, {kValue, "wait", "the state, whatever was streamed", R"({"topic":"a and cats","joke":"This is a joke about a and cats"})"}},

      {"61", 0, {kValue, "ids", "stateless streams have them, too", R"(["0","1","2","3","4","5"])"}},
      {"61", 1, {kValue, "ids", "stateless streams have them, too", R"(["0","1","2"])"}},
      {"61", 2, {kValue, "head.status", "a stateless run goes when it ends", "404"}},
      {"61", 3, {kExtra, "metadata.graph_id", "as every run"}},
      {"61", 3, {kExtra, "metadata.assistant_id", "as every run"}},
      {"61", 6, {kExtra, "metadata.graph_id", "as every run"}},
      {"61", 6, {kExtra, "metadata.assistant_id", "as every run"}},
      {"61", 7, {kExtra, "metadata.graph_id", "as every run"}},
      {"61", 7, {kExtra, "metadata.assistant_id", "as every run"}},
      {"61", 9, {kExtra, "metadata.graph_id", "as every run"}},
      {"61", 9, {kExtra, "metadata.assistant_id", "as every run"}},
      {"61", 10, {kValue, "ids", "stateless streams have them, too", R"(["0","1","2","3"])"}},
      {"61", 11, {kValue, "ids", "stateless streams have them, too", R"(["0","1","2","3","4"])"}},

      {"62", 3, {kValue, "head.status", "there is no such run", "404"}},
      {"62", 6, {kValue, "head.status", "there is no such run", "404"}},
      {"62", 7, {kValue, "head.status", "there is no such thread", "404"}},
      {"62", 8, {kValue, "head.status", "the run is another thread's", "404"}},
      {"62", 9, {kValue, "head.status", "there is no such run", "404"}},
      {"62", 10, {kValue, "head.status", "as the API's description", "422"}},
      {"62", 11, {kValue, "head.status", "as the API's description", "422"}},
      {"62", 18, {kValue, "head.status", "as the API's description", "422"}},
      {"62", 21, {kValue, "head.status", "the run has been deleted", "404"}},
      {"62", 22, {kValue, "head.status", "it is there, and needs a body", "422"}},
      {"62", 23, {kValue, "head.status", "as the API's description", "422"}},
      {"62", 24, {kValue, "head.status", "as of a thread, which is not posted to", "405"}},
      {"63", 0, {kValue, "head.status", "as the API's description", "422"}},
      {"63", 2, {kValue, "head.status", "as the API's description", "422"}},
      {"63", 3, {kValue, "head.status", "as the API's description", "422"}},
      {"63", 4, {kValue, "head.status", "as the API's description", "422"}},
      {"63", 5, {kValue, "head.status", "there is no such thread", "404"}},
      {"63", 6, {kValue, "head.status", "there is no such thread", "404"}},
      {"63", 7, {kValue, "head.status", "there is no such thread", "404"}},
      {"63", 8, {kValue, "head.status", "as the API's description", "422"}},
      {"63", 9, {kValue, "head.status", "input and command are either or", "422"}},
      {"63", 10, {kValue, "head.status", "as the API's description", "422"}},

      {"64", 4, {kValue, "head.status", "as the API's description", "422"}},
      {"64", 5, {kValue, "head.status", "as the API's description", "422"}},
      {"64", 6, {kValue, "head.status", "as the API's description", "422"}},
      {"64", 7, {kValue, "head.status", "as the API's description", "422"}},
      {"64", 10, {kValue, "head.status", "as the API's description", "422"}},
      {"64", 17, {kValue, "head.status", "nothing is wrong with the request", "409"}},
      {"64", 18, {kMissing, "copy.metadata.thread_id", "it has its own field"}},
      {"64", 18, {kOrder, "copy", "as every thread"}},
      {"64", 20, {kMissing, "search.[].metadata.thread_id", "it has its own field"}},
      {"64", 20, {kOrder, "search.[]", "as every thread"}},
      {"64", 21, {kValue, "head.status", "as the API's description", "422"}},
      {"65", 1, {kExtra, "state.metadata.assistant_id", "of an update, too"}},
      {"65", 6, {kValue, "head.status", "there is no such checkpoint", "404"}},
      {"65", 7, {kValue, "head.status", "there is no such node", "422"}},
      {"66", 2, {kValue, "webhook.error", "names the node", "\"node 'bad' failed in step 2: Boo!\""}},
      // A newer protocol, which weir does not have.
      {"70", 0, {kValue, "head.status", "of the newer protocol", "404"}},
      {"70", 1, {kValue, "head.status", "of the newer protocol", "404"}},
      {"70", 2, {kValue, "head.status", "of the newer protocol", "404"}},
      {"70", 3, {kValue, "head.status", "of the newer protocol", "404"}},
  };
  // clang-format on
  return kDepartures;
}

}  // namespace weir

#endif  // WEIR_TESTS_GATEWAY_REPLAY_DIFFERENCES_H_
