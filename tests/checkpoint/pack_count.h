#ifndef WEIR_TESTS_CHECKPOINT_PACK_COUNT_H_
#define WEIR_TESTS_CHECKPOINT_PACK_COUNT_H_

#include <sqlite3.h>

#include <cstdint>
#include <string>

#include "gtest/gtest.h"

namespace weir {

// The packs of checkpoints in a file that nobody has open.
inline int64_t CountPacks(const std::string& path) {
  sqlite3* db = nullptr;
  sqlite3_stmt* count = nullptr;
  int64_t packs = -1;
  EXPECT_EQ(sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READONLY, nullptr),
            SQLITE_OK);
  EXPECT_EQ(sqlite3_prepare_v2(db, "SELECT count(*) FROM pack WHERE kind=x'73'",
                               -1, &count, nullptr),
            SQLITE_OK)
      << sqlite3_errmsg(db);
  if (sqlite3_step(count) == SQLITE_ROW) packs = sqlite3_column_int64(count, 0);
  sqlite3_finalize(count);
  sqlite3_close(db);
  return packs;
}

}  // namespace weir

#endif  // WEIR_TESTS_CHECKPOINT_PACK_COUNT_H_
