#ifndef WEIR_TESTS_CHECKPOINT_WAITED_CALLS_H_
#define WEIR_TESTS_CHECKPOINT_WAITED_CALLS_H_

#include <stdlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"

#include "weir/checkpoint/checkpointer.h"
#include "weir/checkpoint/sqlite_checkpointer.h"

// Calls of a store that return what it answers, and what tests of
// SqliteCheckpointer's file need besides.
namespace weir {

using SqliteStore = std::unique_ptr<SqliteCheckpointer>;

template <class T, class Call>
T WaitFor(Call call) {
  absl::Notification given;
  std::optional<T> result;
  call([&](T answer) {
    result.emplace(std::move(answer));
    given.Notify();
  });
  given.WaitForNotification();
  return *std::move(result);
}

inline absl::StatusOr<ThreadLease> OpenThread(Checkpointer& store,
                                              const std::string& thread) {
  return WaitFor<absl::StatusOr<ThreadLease>>(
      [&](auto done) { store.Open(thread, std::move(done)); });
}
inline absl::Status PutCheckpoint(Checkpointer& store, const Fence& fence,
                                  NewCheckpoint made) {
  return WaitFor<absl::Status>(
      [&](auto done) { store.Put(fence, std::move(made), std::move(done)); });
}
inline absl::Status PutTaskWrites(Checkpointer& store, const Fence& fence,
                                  NewWrites made) {
  return WaitFor<absl::Status>([&](auto done) {
    store.PutWrites(fence, std::move(made), std::move(done));
  });
}
inline absl::StatusOr<std::optional<CheckpointTuple>> GetCheckpoint(
    Checkpointer& store, CheckpointKey key) {
  return WaitFor<absl::StatusOr<std::optional<CheckpointTuple>>>(
      [&](auto done) { store.Get(std::move(key), std::move(done)); });
}
inline absl::StatusOr<std::vector<CheckpointTuple>> ListCheckpoints(
    Checkpointer& store, CheckpointQuery query = {}) {
  return WaitFor<absl::StatusOr<std::vector<CheckpointTuple>>>(
      [&](auto done) { store.List(std::move(query), std::move(done)); });
}
inline absl::Status DeleteThread(Checkpointer& store,
                                 const std::string& thread) {
  return WaitFor<absl::Status>(
      [&](auto done) { store.DeleteThread(thread, std::move(done)); });
}
inline absl::Status Flush(Checkpointer& store) {
  return WaitFor<absl::Status>(
      [&](auto done) { store.Flush(std::move(done)); });
}

// The checkpoint `sequence` after the one before, whose one channel is `text`.
inline NewCheckpoint NextCheckpoint(uint64_t sequence, std::string text) {
  NewCheckpoint made;
  made.checkpoint.id = {sequence, 1};
  if (sequence > 1) made.base = made.checkpoint.parent = {sequence - 1, 1};
  made.checkpoint.channels = {
      {.channel = "a",
       .version = sequence,
       .value = SavedValue::FromBytes(std::move(text))}};
  return made;
}

// The worker of a store waits while this lives: what is called meanwhile goes
// into one transaction, if it is no more than that takes.
class HeldWorker {
 public:
  explicit HeldWorker(Checkpointer& store) {
    store.Flush([this](absl::Status) {
      held_.Notify();
      go_.WaitForNotification();
      gone_.Notify();
    });
    held_.WaitForNotification();
  }
  ~HeldWorker() {
    go_.Notify();
    gone_.WaitForNotification();
  }
  HeldWorker(const HeldWorker&) = delete;
  HeldWorker& operator=(const HeldWorker&) = delete;

 private:
  absl::Notification held_, go_, gone_;
};

// Bytes that compression leaves as they are; of another `seed`, others.
inline std::string Noise(size_t size, uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  std::string bytes;
  while (bytes.size() < size) bytes += static_cast<char>(random());
  return bytes;
}

inline std::string FileBytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  std::string bytes(file ? static_cast<size_t>(file.tellg()) : 0, '\0');
  file.seekg(0);
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return bytes;
}
inline void WriteFileBytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// Whether the environment asks for the long form of the fault tests.
inline bool FaultsInFull() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing here sets it.
  return std::getenv("WEIR_FAULTS_FULL") != nullptr;
}

}  // namespace weir

#endif  // WEIR_TESTS_CHECKPOINT_WAITED_CALLS_H_
