#ifndef WEIR_TESTS_GATEWAY_TRANSCRIPT_H_
#define WEIR_TESTS_GATEWAY_TRANSCRIPT_H_

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

// Recorded exchanges between clients and an Agent Server, to be compared with
// what weir does. The files have ids and times replaced by names: <thread-1>,
// <run-1>, <time>; the same name is the same id.
namespace weir {

// One request and its response.
struct Exchange {
  using Headers = std::vector<std::pair<std::string, std::string>>;

  std::vector<std::string> remarks;  // Those before it.
  std::string method;                // "POST"
  std::string target;                // "/threads/<thread-1>/runs?limit=2"
  Headers request_headers;
  std::string request_body;
  int status = 0;
  Headers headers;                 // Names in lower case.
  std::vector<std::string> notes;  // "client closed after 5 events"
  std::string body;
  // The body ends before its end: the file has only its beginning.
  bool cut = false;

  // The value of a header of the response; "" if there is none.
  std::string header(std::string_view name) const;
};

// Reads a file of exchanges. NotFound if it cannot be opened; InvalidArgument,
// with the line, if it is of another form.
absl::StatusOr<std::vector<Exchange>> ReadTranscript(const std::string& path);

// One server-sent event.
struct SseEvent {
  std::string name;
  std::string data;
  std::optional<std::string> id;
};

// Splits a body of server-sent events: events end with a blank line.
// InvalidArgument for a line of another form than weir's and the recordings'.
absl::StatusOr<std::vector<SseEvent>> ParseSse(std::string_view body);

// Names: what the names in a transcript stand for in the run at hand.
class Names {
 public:
  // `name` with its brackets: "<thread-1>".
  void Bind(const std::string& name, std::string value);
  // What `name` stands for; null if that is not known yet.
  const std::string* Find(const std::string& name) const;

  // `text` with the names that are known replaced.
  std::string Fill(std::string_view text) const;
  // Whether `actual` is `recorded` with something in place of each name: what
  // the name stands for, or, where that is not known yet, anything that no
  // other name of its kind stands for, and the name stands for that from here
  // on. <time> and <ms> are any times. What a text that does not match would
  // have bound stays unbound.
  bool Match(std::string_view recorded, std::string_view actual);

 private:
  std::map<std::string, std::string> values_;
};

// Difference: where a recording and weir differ on purpose.
struct Difference {
  enum class Kind {
    kMissing,  // The recording has the field, weir has not.
    kExtra,    // The reverse.
    kValue,    // Both have it, and it may be anything.
    kOrder,    // Fields are in another order; a list is the other way round.
  };
  Kind kind;
  // The end of a path: "metadata.versions" is that of all such fields. Elements
  // of lists are "[]"; the first part is where the JSON is from.
  std::string path;
  std::string why;
  // As JSON, what weir has, if that is all that it may have.
  std::string weir{};
};

// Whether this is one of `expected`; its index goes to `used`, unless null.
bool IsExpected(const std::vector<Difference>& expected, Difference::Kind kind,
                const std::string& path, const nlohmann::ordered_json& weir,
                std::set<size_t>* used);

// Appends a line to `found` for each place in which `actual` is not
// `recorded`, other than as `expected` says. Fields must be in the same order,
// but for those of messages. `used` gets the indices of those of `expected`
// that were met with.
void Compare(const std::string& path, const nlohmann::ordered_json& recorded,
             const nlohmann::ordered_json& actual,
             const std::vector<Difference>& expected, Names* names,
             std::vector<std::string>* found, std::set<size_t>* used = nullptr);

}  // namespace weir

#endif  // WEIR_TESTS_GATEWAY_TRANSCRIPT_H_
