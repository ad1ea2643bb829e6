// SqliteCheckpointer against the oracle, opened anew among the calls; what is
// in its tables must be what the oracle holds, and nothing else. The
// environment's WEIR_ORACLE_CALLS and WEIR_ORACLE_SEED ask for more or other
// calls.

#include <sqlite3.h>
#include <zstd.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <regex>
#include <set>
#include <string>
#include <string_view>

#include "gtest/gtest.h"
#include "tests/checkpoint/checkpointer_oracle.h"
#include "tests/checkpoint/temp_folder.h"
#include "tests/checkpoint/waiting_checkpointer.h"

#include "weir/checkpoint/sqlite_checkpointer.h"

namespace weir {
namespace {

class Sqlite final : public OracleSubject {
 public:
  explicit Sqlite(size_t pack_checkpoints) : packs_(pack_checkpoints) {
    Open();
  }

  Checkpointer& store() override { return *waiting_; }
  // Packs that were there, all times that they were looked at.
  int64_t packed() const { return packed_; }
  void Reopen() override {
    Close();
    Open();
  }
  std::set<std::string> Stored(std::set<std::string> alive) override {
    EXPECT_TRUE(alive.empty());  // They are encoded, and let go.
    Close();
    std::set<std::string> stored = Texts();
    Open();
    return stored;
  }

 private:
  void Open() {
    absl::StatusOr<std::unique_ptr<SqliteCheckpointer>> opened =
        SqliteCheckpointer::Open(path_, {.pack_checkpoints = packs_});
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
    waiting_ = std::make_unique<WaitingCheckpointer>(*store_);
  }
  void Close() { store_ = nullptr; }

  // All values in all records.
  std::set<std::string> Texts() {
    std::set<std::string> texts;
    sqlite3* db = nullptr;
    sqlite3_stmt* rows = nullptr;
    EXPECT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
    EXPECT_EQ(
        sqlite3_prepare_v2(db,
                           "SELECT record FROM value UNION ALL SELECT record "
                           "FROM checkpoint UNION ALL "
                           "SELECT record FROM task_write UNION ALL "
                           "SELECT record FROM pack",
                           -1, &rows, nullptr),
        SQLITE_OK);
    while (sqlite3_step(rows) == SQLITE_ROW) {
      const std::string record =
          Payload({static_cast<const char*>(sqlite3_column_blob(rows, 0)),
                   static_cast<size_t>(sqlite3_column_bytes(rows, 0))});
      static const std::regex kText("<v[0-9]+>");
      for (std::sregex_iterator at(record.begin(), record.end(), kText), end;
           at != end; ++at) {
        texts.insert(at->str());
      }
    }
    sqlite3_finalize(rows);
    sqlite3_prepare_v2(db, "SELECT count(*) FROM pack", -1, &rows, nullptr);
    if (sqlite3_step(rows) == SQLITE_ROW)
      packed_ += sqlite3_column_int64(rows, 0);
    sqlite3_finalize(rows);
    sqlite3_close(db);
    return texts;
  }

  // Of a record, also if that is compressed.
  static std::string Payload(std::string_view record) {
    std::string payload(record.substr(8, record.size() - 16));
    if (record[2] == 0) return payload;
    std::string whole(100 * payload.size() + 1000000, '\0');
    const size_t size = ZSTD_decompress(whole.data(), whole.size(),
                                        payload.data(), payload.size());
    EXPECT_FALSE(ZSTD_isError(size)) << ZSTD_getErrorName(size);
    whole.resize(size);
    return whole;
  }

  const size_t packs_;
  int64_t packed_ = 0;
  TempFolder folder_;
  const std::string path_ = folder_.File("db");
  std::unique_ptr<SqliteCheckpointer> store_;
  std::unique_ptr<WaitingCheckpointer> waiting_;
};

int FromEnvironment(const char* name, int otherwise) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing here sets it.
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::atoi(text);
}

TEST(SqliteCheckpointerOracleTest, AnswersAsAStoreThatKeepsAllWhole) {
  const int first = FromEnvironment("WEIR_ORACLE_SEED", 1);
  for (int seed = first; seed < first + 2; ++seed) {
    for (const size_t packs :
         {size_t{64}, seed % 2 == 0 ? size_t{1} : size_t{4}}) {
      SCOPED_TRACE(absl::StrFormat("seed %d, packs of %d", seed, packs));
      Sqlite sqlite(packs);
      OraclePlayer(static_cast<uint64_t>(seed), sqlite)
          .Play(FromEnvironment("WEIR_ORACLE_CALLS", 6000));
      EXPECT_EQ(sqlite.packed() > 0, packs < 64);
    }
  }
}

}  // namespace
}  // namespace weir
