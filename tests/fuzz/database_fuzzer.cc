// A whole database file that was changed while nobody had it open.
//
// Input: a byte of how, then changes of a valid file: a page, an offset in it,
//        and the bytes there; half of the time pages get good checksums, so
//        that SQLite reads what was changed. Or the bytes of a file, or of a
//        write-ahead log.

#include <xxhash.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "tests/checkpoint/temp_folder.h"
#include "tests/checkpoint/waited_calls.h"
#include "tests/fuzz/fuzz.h"

#include "weir/checkpoint/run_store.h"
#include "weir/checkpoint/sqlite_checkpointer.h"

namespace weir {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kChecked = 8;

enum How : uint8_t {
  kChecksums = 1,  // Are made right.
  kWholeFile = 2,
  kLog = 4,
  kWrites = 8,  // What is done to the file afterwards is more than reading.
};

const std::string& Path() {
  static const TempFolder* const kFolder = new TempFolder();
  static const std::string* const kPath = new std::string(kFolder->File("db"));
  return *kPath;
}

void Clear() {
  for (const char* name : {"", "-wal", "-shm", "-journal"}) {
    std::filesystem::remove(Path() + name);
  }
}

RunCommit Rows() {
  RunCommit commit;
  commit.threads = {{"t", "thread"}};
  commit.runs = {{"r", "t", true, "run"}, {"s", "t", false, "run"}};
  commit.events = {{"r", 0, 3, std::string(300, 'e')}, {"r", 3, 1, "events"}};
  return commit;
}

void Fill(Checkpointer& store) {
  const Fence fence = OpenThread(store, "t")->fence;
  for (uint64_t i = 1; i <= 7; ++i) {
    NewCheckpoint made = NextCheckpoint(i, "value");
    made.checkpoint.metadata.run_id = "r";
    made.checkpoint.channels.push_back(
        {.channel = "pieces",
         .version = i,
         .appended_to = i - 1,
         .value = SavedValue::FromBytes(Noise(i % 3 == 0 ? 5000 : 100))});
    Require(PutCheckpoint(store, fence, std::move(made)).ok(), "Put");
    NewWrites writes{.checkpoint = {i, 1}};
    writes.writes.push_back({.task_id = "task",
                             .channel = "a",
                             .value = SavedValue::FromBytes("w")});
    Require(PutTaskWrites(store, fence, std::move(writes)).ok(), "PutWrites");
  }
  Require(WaitFor<absl::Status>([&](auto done) {
            store.runs()->Commit(Rows(), std::move(done));
          }).ok(),
          "Commit");
}

// A file with some of everything, in few pages; and a log of it.
struct Valid {
  std::string file, before_log, log;
};
const Valid& ValidFile() {
  static const Valid* const kValid = [] {
    auto* valid = new Valid();
    Clear();
    SqliteStore store =
        *SqliteCheckpointer::Open(Path(), {.pack_checkpoints = 3});
    Fill(*store);
    valid->before_log = FileBytes(Path());
    valid->log = FileBytes(Path() + "-wal");
    store = nullptr;
    valid->file = FileBytes(Path());
    return valid;
  }();
  return *kValid;
}

void Mend(std::string& file) {
  for (size_t at = 0; at + kPage <= file.size(); at += kPage) {
    uint64_t sum =
        XXH3_64bits_withSeed(&file[at], kPage - kChecked, at / kPage + 1);
    for (size_t i = kPage - kChecked; i < kPage; ++i, sum >>= 8) {
      file[at + i] = static_cast<char>(sum);
    }
  }
}

void Change(Bytes& input, std::string& bytes, size_t unit) {
  while (!input.empty()) {
    const size_t pages = bytes.size() / unit + 1;
    size_t at = input.Byte() % pages * unit + input.Number(2) % unit;
    for (const char c : input.Take(input.Byte() % 16 + 1)) {
      if (at < bytes.size()) bytes[at++] = c;
    }
  }
}

void RequireKnown(const absl::Status& s) {
  const bool known = s.ok() || absl::IsDataLoss(s) ||
                     absl::IsFailedPrecondition(s) || absl::IsUnavailable(s) ||
                     absl::IsAborted(s) || absl::IsResourceExhausted(s) ||
                     absl::IsInternal(s) || absl::IsNotFound(s);
  Require(known, s.ToString());
}

template <class T, class Call>
void Ask(Call call) {
  RequireKnown(WaitFor<absl::StatusOr<T>>(std::move(call)).status());
}

void ReadRows(RunStore& rows) {
  Ask<std::optional<ThreadRows>>(
      [&](auto done) { rows.GetThread("t", std::move(done)); });
  Ask<std::vector<ThreadRow>>(
      [&](auto done) { rows.ListThreads(std::move(done)); });
  Ask<std::optional<RunRow>>(
      [&](auto done) { rows.GetRun("r", std::move(done)); });
  Ask<std::vector<RunRow>>(
      [&](auto done) { rows.ListUnfinished(std::move(done)); });
  Ask<std::vector<EventRow>>(
      [&](auto done) { rows.ListEvents("r", 1, std::move(done)); });
}

void Read(Checkpointer& store) {
  RequireKnown(ListCheckpoints(store).status());
  RequireKnown(GetCheckpoint(store, {.thread = "t"}).status());
  RequireKnown(
      GetCheckpoint(store, {.thread = "t", .id = CheckpointId{2, 1}}).status());
  Ask<std::vector<std::vector<SavedChannel>>>([&](auto done) {
    store.History({.thread = "t"}, {"a", "pieces"}, std::move(done));
  });
  ReadRows(*store.runs());
}

void Write(Checkpointer& store) {
  const absl::StatusOr<ThreadLease> lease = OpenThread(store, "t");
  RequireKnown(lease.status());
  if (lease.ok()) {
    RequireKnown(PutCheckpoint(store, lease->fence, NextCheckpoint(8, "new")));
  }
  RequireKnown(WaitFor<absl::Status>([&](auto done) {
    store.Prune({"t"}, PruneMode::kKeepLatest, std::move(done));
  }));
  RequireKnown(DeleteThread(store, "t"));
}

}  // namespace

std::vector<std::string> Seeds() {
  const auto change = [](uint8_t how, uint8_t page, uint16_t at,
                         std::string_view bytes) {
    std::string seed{static_cast<char>(how), static_cast<char>(page),
                     static_cast<char>(at >> 8), static_cast<char>(at),
                     static_cast<char>(bytes.size() - 1)};
    return seed.append(bytes);
  };
  std::vector<std::string> seeds = {std::string(1, '\0'),
                                    std::string(1, kChecksums | kWrites),
                                    change(kLog, 0, 40, "x")};
  for (uint8_t page = 0; page < 26; ++page) {
    seeds.push_back(change(kChecksums, page, 3, "\xff"));
    seeds.push_back(change(kChecksums | kWrites, page, 9, std::string(2, 0)));
  }
  seeds.push_back(static_cast<char>(kWholeFile) +
                  ValidFile().file.substr(0, 200));
  return seeds;
}

}  // namespace weir

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir;  // NOLINT(google-build-using-namespace)
  Bytes input(data, size);
  const uint8_t how = input.Byte();
  const Valid& valid = ValidFile();
  std::string file = (how & kLog) != 0 ? valid.before_log : valid.file;
  std::string log = (how & kLog) != 0 ? valid.log : "";
  if ((how & kWholeFile) != 0) {
    (log.empty() ? file : log) = std::string(input.Rest());
  } else {
    Change(input, log.empty() ? file : log, log.empty() ? kPage : kPage + 24);
  }
  if ((how & kChecksums) != 0) Mend(file);
  Clear();
  WriteFileBytes(Path(), file);
  if (!log.empty()) WriteFileBytes(Path() + "-wal", log);
  auto store = SqliteCheckpointer::Open(Path(), {.pack_checkpoints = 3});
  RequireKnown(store.status());
  if (!store.ok()) return 0;
  Read(**store);
  if ((how & kWrites) != 0) Write(**store);
  return 0;
}
