#include "weir/checkpoint/internal/tree_walk.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include "weir/checkpoint/internal/log_format.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

constexpr int kMaxDepth = 40;  // SQLite's trees end at 20.

enum PageType : int {
  kIndexInterior = 2,
  kTableInterior = 5,
  kIndexLeaf = 10,
  kTableLeaf = 13,
};
// In the map of parents:
constexpr char kMapFree = 2;
constexpr char kMapTree = 5;     // A page of a tree, but for its root.
constexpr size_t kMapEntry = 5;  // A type and the parent's number.

// SQLite's numbers of 1 to 9 bytes, the greatest first. False: cut off.
bool ReadVarint(std::string_view bytes, size_t& at, uint64_t& number) {
  number = 0;
  for (int i = 0; i < 9 && at < bytes.size(); ++i) {
    const auto byte = static_cast<unsigned char>(bytes[at++]);
    if (i == 8) {
      number = number << 8 | byte;
      return true;
    }
    number = number << 7 | (byte & 0x7fU);
    if (byte < 0x80) return true;
  }
  return false;
}

int64_t ReadInteger(std::string_view bytes) {
  if (bytes.empty()) return 0;
  uint64_t number = (bytes[0] & 0x80) != 0 ? ~uint64_t{0} : 0;
  for (const char c : bytes) number = number << 8 | static_cast<uint8_t>(c);
  return static_cast<int64_t>(number);
}

size_t SizeOf(uint64_t type) {
  constexpr size_t kSizes[] = {0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0};
  return type < 12 ? kSizes[type] : static_cast<size_t>((type - 12) / 2);
}

TreeField FieldOf(uint64_t type, std::string_view bytes) {
  TreeField field;
  if (type >= 12) {
    field.kind = TreeField::kBytes;
    field.bytes = bytes;
  } else if (type == 8 || type == 9) {
    field.kind = TreeField::kNumber;
    field.number = static_cast<int64_t>(type - 8);
  } else if (type >= 1 && type <= 6) {
    field.kind = TreeField::kNumber;
    field.number = ReadInteger(bytes);
  }
  return field;
}

// Those columns that `payload` has, which may be cut off. False: no record.
bool ReadFields(std::string_view payload, std::vector<TreeField>& fields) {
  size_t at = 0;
  uint64_t header = 0;
  if (!ReadVarint(payload, at, header) || header > payload.size()) return false;
  size_t value = static_cast<size_t>(header);
  const std::string_view types = payload.substr(0, value);
  while (at < types.size()) {
    uint64_t type = 0;
    if (!ReadVarint(types, at, type)) return false;
    const size_t size = SizeOf(type);
    const bool there =
        value <= payload.size() && size <= payload.size() - value;
    fields.push_back(there ? FieldOf(type, payload.substr(value, size))
                           : TreeField());
    value = there ? value + size : payload.size() + 1;
  }
  return true;
}

}  // namespace

struct TreeWalk::Cursor {
  OnRow row;
  OnHole hole;
  absl::flat_hash_set<uint32_t> seen{};  // A tree has no circle.
};

struct TreeWalk::Cell {
  uint32_t child = 0;
  bool has_row = false;
  std::string payload{};
  TreeRow row{};
};

void TreeWalk::Walk(uint32_t root, OnRow row, OnHole hole) {
  Cursor cursor{row, hole};
  Go(root, 0, cursor);
}

bool TreeWalk::Go(uint32_t page, int depth, Cursor& cursor) {
  if (depth > kMaxDepth || !cursor.seen.insert(page).second) {
    cursor.hole(page, true);
    return true;
  }
  const std::optional<std::string> bytes = pages_.Read(page);
  if (!bytes) return GoBelowDamaged(page, depth, cursor);
  return GoThrough(page, *bytes, depth, cursor);
}

bool TreeWalk::GoThrough(uint32_t page, std::string_view bytes, int depth,
                         Cursor& cursor) {
  bytes = bytes.substr(0, pages_.usable());
  const size_t header = page == 1 ? 100 : 0;
  const int type = static_cast<unsigned char>(bytes[header]);
  const bool interior = type == kIndexInterior || type == kTableInterior;
  if (!interior && type != kIndexLeaf && type != kTableLeaf) {
    cursor.hole(page, true);
    return true;
  }
  const size_t cells = BigEndian(bytes, header + 3, 2);
  const size_t places = header + (interior ? 12 : 8);
  for (size_t i = 0; i < cells; ++i) {
    Cell cell;
    if (!ReadCell(bytes, BigEndian(bytes, places + 2 * i, 2), type, cell)) {
      cursor.hole(page, true);
      continue;
    }
    if (interior && !Go(cell.child, depth + 1, cursor)) return false;
    if (cell.has_row && !cursor.row(cell.row)) return false;
  }
  return !interior || Go(BigEndian(bytes, header + 8, 4), depth + 1, cursor);
}

// What a damaged page itself held is lost between its children. Of a child of
// which nothing is left nobody knows between which others it was.
bool TreeWalk::GoBelowDamaged(uint32_t page, int depth, Cursor& cursor) {
  std::vector<std::pair<Key, uint32_t>> children;
  std::vector<uint32_t> lost = {page};
  for (const uint32_t child : ChildrenOf(page)) {
    Key key = FirstKey(child, depth + 1);
    if (key.empty()) {
      lost.push_back(child);
    } else {
      children.emplace_back(std::move(key), child);
    }
  }
  std::sort(children.begin(), children.end());
  const bool between = lost.size() == 1;  // And not at the ends.
  const size_t gaps = children.size() + 1;
  for (size_t gap = 0; gap < gaps; ++gap) {
    const bool end = gap == 0 || gap + 1 == gaps;
    for (const uint32_t at : lost) {
      if (gaps == 1 || !between || !end) {
        cursor.hole(at, gaps == 1 || between);
      }
    }
    if (gap + 1 < gaps && !Go(children[gap].second, depth + 1, cursor)) {
      return false;
    }
  }
  return true;
}

TreeWalk::Key TreeWalk::FirstKey(uint32_t page, int depth) {
  Key key;
  const auto row = [&key](const TreeRow& first) {
    key.emplace_back(TreeField::kNothing, first.rowid, "");
    for (const TreeField& field : first.fields) {
      key.emplace_back(field.kind, field.number, field.bytes);
    }
    return false;
  };
  const auto hole = [](uint32_t, bool) {};
  Cursor cursor{row, hole};
  Go(page, depth, cursor);
  return key;
}

bool TreeWalk::IsUnused(uint32_t page) const {
  constexpr size_t kLockByte = size_t{1} << 30;
  if (page < 3 || !pages_.IsBlank(page)) return false;
  const size_t page_bytes = pages_.usable() + CheckedPages::kCheckedBytes;
  if (page == kLockByte / page_bytes + 1) return true;
  const auto entries = static_cast<uint32_t>(pages_.usable() / kMapEntry);
  const uint32_t map = 2 + (page - 2) / (entries + 1) * (entries + 1);
  const std::optional<std::string> bytes = pages_.Read(map);
  if (!bytes || page == map) return false;
  return (*bytes)[(page - map - 1) * kMapEntry] == kMapFree;
}

std::vector<uint32_t> TreeWalk::ChildrenOf(uint32_t page) {
  const auto entries = static_cast<uint32_t>(pages_.usable() / kMapEntry);
  if (!mapped_) {
    mapped_ = true;
    for (uint64_t map = 2; map <= pages_.present(); map += entries + 1) {
      const auto bytes = pages_.Read(static_cast<uint32_t>(map));
      for (uint32_t i = 0; bytes && i < entries; ++i) {
        if ((*bytes)[i * kMapEntry] != kMapTree) continue;
        children_.emplace(BigEndian(*bytes, i * kMapEntry + 1, 4),
                          static_cast<uint32_t>(map) + 1 + i);
      }
    }
  }
  std::vector<uint32_t> children;
  const auto [begin, end] = children_.equal_range(page);
  for (auto at = begin; at != end; ++at) children.push_back(at->second);
  return children;
}

bool TreeWalk::ReadCell(std::string_view page, size_t at, int type,
                        Cell& cell) const {
  if (type == kIndexInterior || type == kTableInterior) {
    if (at + 4 > page.size()) return false;
    cell.child = BigEndian(page, at, 4);
    at += 4;
    if (type == kTableInterior) return true;
  }
  uint64_t total = 0, rowid = 0;
  if (!ReadVarint(page, at, total)) return false;
  if (type == kTableLeaf && !ReadVarint(page, at, rowid)) return false;
  // No payload is greater than its file.
  if (total > uint64_t{pages_.present()} * page.size()) return false;
  const size_t usable = pages_.usable();
  const size_t most =
      type == kTableLeaf ? usable - 35 : (usable - 12) * 64 / 255 - 23;
  const size_t least = (usable - 12) * 32 / 255 - 23;
  size_t local = static_cast<size_t>(total);
  if (total > most) {
    local = least + (static_cast<size_t>(total) - least) % (usable - 4);
    if (local > most) local = least;
  }
  const bool overflows = local < total;
  if (at + local + (overflows ? 4 : 0) > page.size()) return false;
  cell.payload = page.substr(at, local);
  cell.row.rowid = static_cast<int64_t>(rowid);
  cell.has_row = true;
  if (overflows && !ReadOverflow(BigEndian(page, at + local, 4),
                                 static_cast<size_t>(total), cell)) {
    return false;
  }
  return ReadFields(cell.payload, cell.row.fields);
}

// The rest of a payload; false if it is no chain of pages.
bool TreeWalk::ReadOverflow(uint32_t page, size_t total, Cell& cell) const {
  while (cell.payload.size() < total) {
    const std::optional<std::string> bytes = pages_.Read(page);
    if (!bytes) {
      cell.row.lost_with = page;
      return page != 0;
    }
    const size_t rest = total - cell.payload.size();
    cell.payload +=
        std::string_view(*bytes).substr(4, std::min(rest, pages_.usable() - 4));
    page = BigEndian(*bytes, 0, 4);
  }
  return true;
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
