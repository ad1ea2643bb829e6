#ifndef WEIR_CHECKPOINT_INTERNAL_TREE_WALK_H_
#define WEIR_CHECKPOINT_INTERNAL_TREE_WALK_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"

#include "weir/checkpoint/internal/page_file.h"

namespace weir {
inline namespace v0 {
namespace internal {

// A column of a row. Bytes are views into the row's payload.
struct TreeField {
  enum Kind { kNothing, kNumber, kBytes };  // Nothing: null, or lost.
  Kind kind = kNothing;
  int64_t number = 0;
  std::string_view bytes{};
};

// A row of a table or an index.
struct TreeRow {
  int64_t rowid = 0;  // Of tables that have one.
  std::vector<TreeField> fields{};
  // A page that a part of it has been lost with, whose columns are nothing; 0:
  // it is whole.
  uint32_t lost_with = 0;
};

// TreeWalk: goes through the rows of SQLite's trees in order, and past pages
// that are damaged: what is below one is found by the map of parents that a
// database with auto_vacuum has.
//
// Errors:  never a row from a damaged page. Bytes that are no tree, under a
//          good checksum, count as damaged.
// Threads: single-owner.
// Source:  SQLite's file format, "The Database File Format" 1.5 to 1.8.
class TreeWalk {
 public:
  // False: that is enough.
  using OnRow = absl::FunctionRef<bool(const TreeRow&)>;
  // Rows have been lost here with this page, one at least; or they may have
  // been, if it is not `certain` that they were here.
  using OnHole = absl::FunctionRef<void(uint32_t page, bool certain)>;

  explicit TreeWalk(const PageFile& pages) : pages_(pages) {}

  void Walk(uint32_t root, OnRow row, OnHole hole);

  // Whether a page that is not whole has never been written, and need not be:
  // it is free, or the one that SQLite leaves out for its locks.
  bool IsUnused(uint32_t page) const;

 private:
  // Of a row; compares as SQLite's keys do: numbers come before bytes.
  using Key = std::vector<std::tuple<int, int64_t, std::string>>;
  struct Cursor;
  struct Cell;

  bool Go(uint32_t page, int depth, Cursor& cursor);
  bool GoBelowDamaged(uint32_t page, int depth, Cursor& cursor);
  bool GoThrough(uint32_t page, std::string_view bytes, int depth,
                 Cursor& cursor);
  std::vector<uint32_t> ChildrenOf(uint32_t page);
  Key FirstKey(uint32_t page, int depth);
  bool ReadCell(std::string_view page, size_t at, int type, Cell& cell) const;
  bool ReadOverflow(uint32_t page, size_t total, Cell& cell) const;

  const PageFile& pages_;
  bool mapped_ = false;
  std::multimap<uint32_t, uint32_t> children_;  // Only once it is needed.
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_INTERNAL_TREE_WALK_H_
