#include "weir/checkpoint/internal/thread_list.h"

#include <string>

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

constexpr char kList[] =
    "SELECT name, path, ns_id IS NULL, count(id) + (SELECT total(count)"
    " FROM pack WHERE pack.ns_id=ns.ns_id AND kind=x'73'), max(id) FROM thread"
    " LEFT JOIN ns USING(thread_id) LEFT JOIN checkpoint USING(ns_id)"
    " GROUP BY thread_id, ns_id ORDER BY name, path";

}  // namespace

absl::StatusOr<std::vector<ThreadSummary>> ListThreads(Database& db) {
  std::vector<ThreadSummary> threads;
  Rows rows(db, kList);
  while (rows.Next()) {
    const std::string name(rows.Bytes(0));
    if (threads.empty() || threads.back().thread != name) {
      threads.push_back({.thread = name});
    }
    if (rows.Int(2) != 0) continue;
    threads.back().namespaces.push_back(
        {.ns = std::string(rows.Bytes(1)),
         .checkpoints = static_cast<uint64_t>(rows.Int(3)),
         .latest = rows.Id(4)});
  }
  if (!rows.status().ok()) return rows.status();
  return threads;
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
