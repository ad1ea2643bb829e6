// SqliteCheckpointer against the oracle, opened anew among the calls; what is
// in its tables must be what the oracle holds, and nothing else. The
// environment's WEIR_ORACLE_CALLS and WEIR_ORACLE_SEED ask for more or other
// calls.

#include <sqlite3.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <regex>
#include <set>
#include <string>

#include "gtest/gtest.h"
#include "tests/checkpoint/checkpointer_oracle.h"
#include "tests/checkpoint/temp_folder.h"
#include "tests/checkpoint/waiting_checkpointer.h"

#include "weir/checkpoint/sqlite_checkpointer.h"

namespace weir {
namespace {

class Sqlite final : public OracleSubject {
 public:
  Sqlite() { Open(); }

  Checkpointer& store() override { return *waiting_; }
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
        SqliteCheckpointer::Open(path_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
    waiting_ = std::make_unique<WaitingCheckpointer>(*store_);
  }
  void Close() { store_ = nullptr; }

  // All values in all records.
  std::set<std::string> Texts() const {
    std::set<std::string> texts;
    sqlite3* db = nullptr;
    sqlite3_stmt* rows = nullptr;
    EXPECT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
    EXPECT_EQ(
        sqlite3_prepare_v2(db,
                           "SELECT record FROM value UNION ALL SELECT record "
                           "FROM checkpoint UNION ALL "
                           "SELECT record FROM task_write",
                           -1, &rows, nullptr),
        SQLITE_OK);
    while (sqlite3_step(rows) == SQLITE_ROW) {
      const std::string record(
          static_cast<const char*>(sqlite3_column_blob(rows, 0)),
          static_cast<size_t>(sqlite3_column_bytes(rows, 0)));
      static const std::regex kText("<v[0-9]+>");
      for (std::sregex_iterator at(record.begin(), record.end(), kText), end;
           at != end; ++at) {
        texts.insert(at->str());
      }
    }
    sqlite3_finalize(rows);
    sqlite3_close(db);
    return texts;
  }

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
    SCOPED_TRACE(absl::StrFormat("seed %d", seed));
    Sqlite sqlite;
    OraclePlayer(static_cast<uint64_t>(seed), sqlite)
        .Play(FromEnvironment("WEIR_ORACLE_CALLS", 6000));
  }
}

}  // namespace
}  // namespace weir
