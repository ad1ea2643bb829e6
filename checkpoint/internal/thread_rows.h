#ifndef WEIR_CHECKPOINT_INTERNAL_THREAD_ROWS_H_
#define WEIR_CHECKPOINT_INTERNAL_THREAD_ROWS_H_

#include <cstdint>

// What both that write a thread's rows, StoredThreads and Packs, ask of them.
namespace weir {
inline namespace v0 {
namespace internal {

inline constexpr char kNamespace[] =
    "SELECT ns_id, name, path FROM ns JOIN thread USING(thread_id) "
    "WHERE ns_id=?1";
inline constexpr char kLatest[] =
    "SELECT id FROM checkpoint WHERE ns_id=?1 ORDER BY id DESC LIMIT 1";
inline constexpr char kDropValue[] =
    "DELETE FROM value WHERE ns_id=?1 AND channel=?2 AND version=?3";

// SQLite's integers are signed; only equality of these matters there.
inline int64_t Column(uint64_t number) { return static_cast<int64_t>(number); }

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_INTERNAL_THREAD_ROWS_H_
