#include "weir/runtime/stored_run.h"

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"

#include "weir/channels/append_log.h"
#include "weir/channels/internal/json_text.h"
#include "weir/channels/internal/type_table.h"
#include "weir/channels/messages.h"
#include "weir/runtime/internal/saved_runs.h"

namespace weir {
inline namespace v0 {
namespace {

// Those of no graph: no channels, and the types that weir has itself.
internal::SavedFor KnownNames() {
  auto types = std::make_shared<internal::TypeTable>();
  types->Add(TypeOf<AppendLog<std::string>>());
  types->Add(TypeOf<Message>());
  types->Add(TypeOf<std::vector<Message>>());
  types->Add(TypeOf<MessageList<>>());
  auto names = std::make_shared<ChannelNames>();
  names->types = std::move(types);
  return names;
}

absl::Status In(const std::string& row, const absl::Status& status) {
  return {status.code(), absl::StrFormat("%s: %s", row, status.message())};
}

absl::StatusOr<std::vector<Event>> EventsOf(const EventRow& row) {
  std::vector<std::string> batch;
  absl::Status s = internal::DecodeBatch(row.record, &batch);
  if (!s.ok()) return s;
  if (batch.size() != row.count) {
    return absl::DataLossError(
        absl::StrFormat("it has %d events", batch.size()));
  }
  const internal::SavedFor names = KnownNames();
  std::vector<Event> events(batch.size());
  for (size_t i = 0; i < batch.size(); ++i) {
    s = internal::DecodeEvent(names, internal::UnknownTypes::kOpaque, batch[i],
                              &events[i]);
    if (!s.ok()) return s;
    events[i].set_id(row.first + i);
  }
  return events;
}

}  // namespace

void Codec<OpaqueValue>::AppendJson(const OpaqueValue& value,
                                    std::string* out) {
  out->append("{\"$type\": ");
  internal::AppendJsonString(value.type, out);
  out->push_back('}');
}

absl::StatusOr<RunInfo> DescribeRun(const RunRow& row) {
  internal::SavedRunInfo saved;
  absl::Status s = internal::DecodeRunInfo(row.record, &saved);
  if (!s.ok()) {
    return In(absl::StrFormat("thread '%s', run '%s'", row.thread, row.run), s);
  }
  saved.info.id = row.run;
  saved.info.thread_id = row.thread;
  return std::move(saved.info);
}

absl::StatusOr<ThreadInfo> DescribeThread(const ThreadRow& row) {
  internal::SavedThreadInfo saved;
  absl::Status s = internal::DecodeThreadInfo(row.record, &saved);
  if (!s.ok()) {
    return In(absl::StrFormat("the row of thread '%s'", row.thread), s);
  }
  return internal::InfoOf(row.thread, saved);
}

absl::StatusOr<std::vector<Event>> DescribeEvents(const EventRow& row) {
  absl::StatusOr<std::vector<Event>> events = EventsOf(row);
  if (events.ok()) return events;
  return In(absl::StrFormat("run '%s', the %d events from %d on", row.run,
                            row.count, row.first),
            events.status());
}

}  // namespace v0
}  // namespace weir
