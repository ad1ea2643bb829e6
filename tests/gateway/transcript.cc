#include "tests/gateway/transcript.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <fstream>
#include <sstream>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace weir {
namespace {

using Json = nlohmann::ordered_json;

bool StartsWith(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}
bool EndsWith(std::string_view text, std::string_view end) {
  return text.size() >= end.size() &&
         text.substr(text.size() - end.size()) == end;
}

// "name: value", where the name has letters and hyphens only.
std::optional<std::pair<std::string, std::string>> ParseHeader(
    std::string_view line) {
  const size_t colon = line.find(": ");
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  const std::string_view name = line.substr(0, colon);
  if (!std::ranges::all_of(name, [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '-';
      })) {
    return std::nullopt;
  }
  return std::pair(std::string(name), std::string(line.substr(colon + 2)));
}

bool IsRequestLine(std::string_view line) {
  for (const std::string_view method :
       {"GET /", "POST /", "PATCH /", "PUT /", "DELETE /"}) {
    if (StartsWith(line, method)) return true;
  }
  return false;
}

class Reader {
 public:
  explicit Reader(std::string text) : text_(std::move(text)) {}

  absl::StatusOr<std::vector<Exchange>> Read() {
    while (at_ < text_.size()) {
      const std::string_view line = NextLine();
      if (line == "----- body") {
        if (!ReadBody()) return Bad("a body outside a response, or no end");
      } else if (line == ">" || StartsWith(line, "> ")) {
        if (!ReadRequest(line.substr(std::min<size_t>(2, line.size())))) {
          return Bad("a request without a request line");
        }
      } else if (StartsWith(line, "< ")) {
        if (!ReadResponse(line.substr(2))) return Bad("no response");
      } else if (!line.empty()) {
        remarks_.emplace_back(StartsWith(line, "# ") ? line.substr(2) : line);
      }
    }
    return std::move(exchanges_);
  }

 private:
  std::string_view NextLine() {
    const size_t end = std::min(text_.find('\n', at_), text_.size());
    const std::string_view line =
        std::string_view(text_).substr(at_, end - at_);
    at_ = end + 1;
    ++line_;
    return line;
  }
  absl::Status Bad(std::string_view what) const {
    return absl::InvalidArgumentError(
        absl::StrCat("line ", line_, " has ", std::string(what)));
  }

  bool ReadRequest(std::string_view line) {
    if (!in_request_) {
      if (!IsRequestLine(line)) return false;
      const size_t space = line.find(' ');
      Exchange& exchange = exchanges_.emplace_back();
      exchange.remarks = std::exchange(remarks_, {});
      exchange.method = line.substr(0, space);
      exchange.target = line.substr(space + 1);
      in_request_ = true;
      return true;
    }
    Exchange& exchange = exchanges_.back();
    std::optional<std::pair<std::string, std::string>> header =
        ParseHeader(line);
    if (header.has_value() && exchange.request_body.empty()) {
      exchange.request_headers.push_back(*std::move(header));
    } else {
      exchange.request_body.append(line);
    }
    return true;
  }

  bool ReadResponse(std::string_view line) {
    if (exchanges_.empty()) return false;
    in_request_ = false;
    Exchange& exchange = exchanges_.back();
    if (StartsWith(line, "HTTP ")) {
      const char* const end = line.data() + line.size();
      return std::from_chars(line.data() + 5, end, exchange.status).ptr == end;
    }
    if (StartsWith(line, "(") && EndsWith(line, ")")) {
      exchange.notes.emplace_back(line.substr(1, line.size() - 2));
      return true;
    }
    std::optional<std::pair<std::string, std::string>> header =
        ParseHeader(line);
    if (!header.has_value()) return false;
    absl::AsciiStrToLower(&header->first);
    exchange.headers.push_back(*std::move(header));
    return true;
  }

  bool ReadBody() {
    constexpr std::string_view kEnd = "\n----- end of body\n";
    if (exchanges_.empty()) return false;
    const size_t end = (text_ + "\n").find(kEnd, at_);
    if (end == std::string::npos) return false;
    Exchange& exchange = exchanges_.back();
    exchange.body = text_.substr(at_, end - at_);
    exchange.cut = EndsWith(exchange.body, " ... (cut)");
    line_ += static_cast<int>(std::count(
                 text_.begin() + static_cast<ptrdiff_t>(at_),
                 text_.begin() + static_cast<ptrdiff_t>(end), '\n')) +
             2;
    at_ = std::min(end + kEnd.size(), text_.size());
    return true;
  }

  const std::string text_;
  size_t at_ = 0;
  int line_ = 0;
  bool in_request_ = false;
  std::vector<std::string> remarks_;
  std::vector<Exchange> exchanges_;
};

// Where the name that begins at `text` ends: behind its '>'; 0 for none.
size_t EndOfName(std::string_view text) {
  if (text.empty() || text[0] != '<') return 0;
  const size_t end = text.find('>');
  if (end == std::string_view::npos || end == 1) return 0;
  const bool is_name =
      std::ranges::all_of(text.substr(1, end - 1), [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '-' || c == ':' || c == '_';
      });
  return is_name ? end + 1 : 0;
}

// "<run-12>" is of the kind "<run".
std::string_view KindOf(std::string_view name) {
  return name.substr(0, name.find_last_of("-:"));
}

bool IsTime(std::string_view text) {
  // 2026-01-31T12:00:00.000Z
  constexpr std::string_view kForm = "0000-00-00T00:00:00.000Z";
  if (text.size() != kForm.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool digit = std::isdigit(static_cast<unsigned char>(text[i])) != 0;
    if (kForm[i] == '0' ? !digit : text[i] != kForm[i]) return false;
  }
  return true;
}

bool IsMessage(const Json& json) {
  return json.contains("content") && json.contains("type");
}

}  // namespace

std::string Exchange::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return "";
}

absl::StatusOr<std::vector<Exchange>> ReadTranscript(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::NotFoundError("cannot open " + path);
  std::ostringstream text;
  text << file.rdbuf();
  absl::StatusOr<std::vector<Exchange>> exchanges = Reader(text.str()).Read();
  if (exchanges.ok()) return exchanges;
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": ", exchanges.status().message()));
}

absl::StatusOr<std::vector<SseEvent>> ParseSse(std::string_view body) {
  std::vector<SseEvent> events;
  SseEvent event;
  while (!body.empty()) {
    const size_t end = std::min(body.find('\n'), body.size());
    const std::string_view line = body.substr(0, end);
    body.remove_prefix(std::min(end + 1, body.size()));
    if (line.empty()) {
      if (!event.name.empty()) events.push_back(std::exchange(event, {}));
    } else if (StartsWith(line, "event: ")) {
      event.name = line.substr(7);
    } else if (StartsWith(line, "data: ")) {
      if (!event.data.empty()) {
        return absl::InvalidArgumentError("an event has several lines of data");
      }
      event.data = line.substr(6);
    } else if (StartsWith(line, "id: ")) {
      event.id = std::string(line.substr(4));
    } else if (!StartsWith(line, ":")) {
      return absl::InvalidArgumentError("no line of an event: " +
                                        std::string(line));
    }
  }
  if (!event.name.empty()) {
    return absl::InvalidArgumentError("the last event, '" + event.name +
                                      "', does not end with a blank line");
  }
  return events;
}

void Names::Bind(const std::string& name, std::string value) {
  values_.insert_or_assign(name, std::move(value));
}

const std::string* Names::Find(const std::string& name) const {
  const auto it = values_.find(name);
  return it == values_.end() ? nullptr : &it->second;
}

std::string Names::Fill(std::string_view text) const {
  std::string filled;
  while (!text.empty()) {
    const size_t end = EndOfName(text);
    const std::string name(text.substr(0, end));
    const std::string* const value = end == 0 ? nullptr : Find(name);
    if (value != nullptr) {
      filled += *value;
      text.remove_prefix(end);
    } else {
      filled.push_back(text[0]);
      text.remove_prefix(1);
    }
  }
  return filled;
}

bool Names::Match(std::string_view recorded, std::string_view actual) {
  std::map<std::string, std::string> bound;
  while (!recorded.empty()) {
    const size_t end = EndOfName(recorded);
    if (end == 0) {
      if (actual.empty() || actual[0] != recorded[0]) return false;
      recorded.remove_prefix(1);
      actual.remove_prefix(1);
      continue;
    }
    const std::string name(recorded.substr(0, end));
    recorded.remove_prefix(end);
    const auto new_one = bound.find(name);
    const std::string* known =
        new_one == bound.end() ? Find(name) : &new_one->second;
    if (known != nullptr) {
      if (!StartsWith(actual, *known)) return false;
      actual.remove_prefix(known->size());
      continue;
    }
    // Up to what follows the name.
    const size_t stop =
        recorded.empty() ? actual.size() : actual.find(recorded[0]);
    if (stop == std::string_view::npos || stop == 0) return false;
    const std::string value(actual.substr(0, stop));
    actual.remove_prefix(stop);
    if (name == "<time>") {
      if (!IsTime(value)) return false;
      continue;
    }
    if (name == "<ms>") continue;
    const auto taken = [&](const auto& other) {
      return other.second == value && KindOf(other.first) == KindOf(name);
    };
    if (std::ranges::any_of(values_, taken) ||
        std::ranges::any_of(bound, taken)) {
      return false;
    }
    bound.emplace(name, value);
  }
  if (!actual.empty()) return false;
  values_.merge(bound);
  return true;
}

bool IsExpected(const std::vector<Difference>& expected, Difference::Kind kind,
                const std::string& path, const Json& weir,
                std::set<size_t>* used) {
  for (size_t i = 0; i < expected.size(); ++i) {
    const Difference& difference = expected[i];
    if (difference.kind != kind ||
        (path != difference.path && !EndsWith(path, "." + difference.path)) ||
        (!difference.weir.empty() &&
         weir != Json::parse(difference.weir, nullptr, false))) {
      continue;
    }
    if (used != nullptr) used->insert(i);
    return true;
  }
  return false;
}

void Compare(const std::string& path, const Json& recorded, const Json& actual,
             const std::vector<Difference>& expected, Names* names,
             std::vector<std::string>* found, std::set<size_t>* used) {
  using Kind = Difference::Kind;
  if (IsExpected(expected, Kind::kValue, path, actual, nullptr)) {
    Names trial = *names;
    std::vector<std::string> differs;
    Compare("", recorded, actual, {}, &trial, &differs);
    if (differs.empty()) {
      *names = std::move(trial);
    } else {
      IsExpected(expected, Kind::kValue, path, actual, used);
    }
    return;
  }
  const auto differ = [&] {
    found->push_back(absl::StrCat(path, ": recorded ", recorded.dump(),
                                  ", weir has ", actual.dump()));
  };
  if (recorded.is_string() && actual.is_string()) {
    if (!names->Match(recorded.get<std::string>(), actual.get<std::string>())) {
      differ();
    }
    return;
  }
  if (recorded.is_array() && actual.is_array()) {
    if (recorded.size() != actual.size()) return differ();
    Json in_order = actual;
    if (recorded.size() > 1 &&
        IsExpected(expected, Kind::kOrder, path, actual, used)) {
      std::reverse(in_order.begin(), in_order.end());
    }
    for (size_t i = 0; i < recorded.size(); ++i) {
      Compare(path + ".[]", recorded[i], in_order[i], expected, names, found,
              used);
    }
    return;
  }
  if (!recorded.is_object() || !actual.is_object()) {
    if (recorded != actual) differ();
    return;
  }
  // Names may be keys.
  std::map<std::string, std::string> key_of;  // In `actual`.
  std::vector<std::string> order;
  for (const auto& [key, json] : recorded.items()) {
    std::string actual_key = key;
    if (EndOfName(key.substr(std::min(key.find('<'), key.size()))) != 0) {
      for (const auto& [other, unused] : actual.items()) {
        if (!recorded.contains(other) && names->Match(key, other)) {
          actual_key = other;
          break;
        }
      }
    }
    const std::string inside = path + "." + key;
    if (!actual.contains(actual_key)) {
      if (!IsExpected(expected, Kind::kMissing, inside, Json(), used)) {
        found->push_back(
            absl::StrCat(inside, ": weir has it not; recorded ", json.dump()));
      }
      continue;
    }
    key_of.emplace(actual_key, key);
    order.push_back(actual_key);
    Compare(inside, json, actual[actual_key], expected, names, found, used);
  }
  std::vector<std::string> actual_order;
  for (const auto& [key, json] : actual.items()) {
    if (key_of.contains(key)) {
      actual_order.push_back(key);
    } else if (!IsExpected(expected, Kind::kExtra, path + "." + key, json,
                           used)) {
      found->push_back(absl::StrCat(path, ".", key, ": not recorded; weir has ",
                                    json.dump()));
    }
  }
  if (!IsMessage(recorded) && order != actual_order &&
      !IsExpected(expected, Kind::kOrder, path, actual, used)) {
    found->push_back(path + ": the fields are in another order: recorded " +
                     Json(order).dump() + ", weir has " +
                     Json(actual_order).dump());
  }
}

}  // namespace weir
