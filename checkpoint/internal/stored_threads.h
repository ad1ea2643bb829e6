#ifndef WEIR_CHECKPOINT_INTERNAL_STORED_THREADS_H_
#define WEIR_CHECKPOINT_INTERNAL_STORED_THREADS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "weir/checkpoint/checkpointer.h"
#include "weir/checkpoint/internal/database.h"
#include "weir/checkpoint/internal/packs.h"
#include "weir/checkpoint/internal/stored.h"
#include "weir/checkpoint/internal/stored_runs.h"

namespace weir {
inline namespace v0 {
namespace internal {

// StoredThreads: the calls of Checkpointer on a database. Each that changes it
// is to be made in a transaction of the caller's, who takes back what a failed
// one has done. Values are bytes, or absent.
//
// A value that many checkpoints have is stored once. What no checkpoint of a
// namespace has any more is looked for when one of them goes: a pass over those
// that stay.
//
// Threads: single-owner.
class StoredThreads {
 public:
  // `pack_checkpoints` is that of SqliteOptions.
  explicit StoredThreads(Database& db, size_t pack_checkpoints = 0)
      : db_(db), runs_(db), packs_(db, pack_checkpoints) {}

  // To be called first, and committed: makes what this object counts greater
  // than all that an earlier one has counted.
  absl::Status Begin();

  // Beside the threads; what is deleted here goes there as well.
  StoredRuns& runs() { return runs_; }
  absl::Status Commit(const RunCommit& commit, size_t max_header_bytes);

  absl::StatusOr<ThreadLease> Open(const std::string& thread);
  absl::Status Put(const Fence& fence, const NewCheckpoint& made,
                   size_t max_header_bytes);
  absl::Status PutWrites(const Fence& fence, const NewWrites& writes);
  absl::StatusOr<std::optional<CheckpointTuple>> Get(const CheckpointKey& key);
  absl::StatusOr<std::vector<CheckpointTuple>> List(
      const CheckpointQuery& query);
  absl::StatusOr<std::vector<std::vector<SavedChannel>>> History(
      const CheckpointKey& key, const std::vector<std::string>& channels);
  absl::Status DeleteThread(std::string_view thread);
  absl::Status DeleteRuns(const std::vector<std::string>& run_ids);
  absl::Status CopyThread(const std::string& from, const std::string& to);
  absl::Status KeepLatest(const std::string& thread);

  // To be called after each call that changes something; see Packs::PackDue().
  absl::Status Finish() { return packs_.PackDue(); }

  Database& database() { return db_; }

 private:
  template <class T>
  using Maybe = absl::StatusOr<std::optional<T>>;
  struct Found;
  struct Wanted;
  using Values = absl::flat_hash_map<std::pair<std::string, uint64_t>,
                                     StoredValue>;  // By channel and version.

  uint64_t NextCount() { return ++count_; }

  Maybe<StoredThread> FindThread(std::string_view name);
  absl::StatusOr<StoredThread> FindOrAddThread(const std::string& name);
  absl::StatusOr<StoredThread> Fenced(const Fence& fence);
  absl::Status Update(const StoredThread& thread);

  Maybe<StoredNamespace> FindNamespace(const std::string& thread,
                                       const std::string& ns);
  absl::StatusOr<StoredNamespace> FindOrAddNamespace(const StoredThread& thread,
                                                     const std::string& ns);
  absl::StatusOr<std::vector<StoredNamespace>> Namespaces(
      const CheckpointQuery& query);
  absl::StatusOr<std::vector<StoredNamespace>> NamespacesOf(
      const std::string& thread);
  absl::StatusOr<bool> Takes(const StoredNamespace& in, const CheckpointId& id);

  Maybe<CheckpointId> Latest(const StoredNamespace& in);
  Maybe<PackedCheckpoint> Load(const StoredNamespace& in,
                               const CheckpointId& id);
  absl::StatusOr<bool> IsRow(const StoredNamespace& in, const CheckpointId& id);
  Maybe<Found> Find(const CheckpointKey& key);
  absl::Status FindIn(const StoredNamespace& in, const CheckpointQuery& query,
                      std::vector<Found>& found);
  absl::StatusOr<std::vector<CheckpointTuple>> Complete(
      std::vector<Found> found);
  absl::Status LoadWrites(const StoredNamespace& in,
                          std::map<CheckpointId, Wanted>& wanted);

  absl::StatusOr<StoredCheckpoint> Apply(const StoredNamespace& in,
                                         const StoredThread& thread,
                                         const NewCheckpoint& made);
  absl::StatusOr<StoredChannel> PutChannel(const StoredNamespace& in,
                                           const StoredThread& thread,
                                           const StoredCheckpoint& base,
                                           const SavedChannel& channel);
  absl::Status PutValue(const StoredNamespace& in, const StoredThread& thread,
                        const std::string& channel, uint64_t version,
                        const StoredValue& value);
  Maybe<StoredValue> FindValue(const StoredNamespace& in,
                               const std::string& channel, uint64_t version);
  absl::Status LoadValues(const StoredNamespace& in, const std::string& channel,
                          uint64_t version, Values& loaded);
  absl::StatusOr<SavedChannel> LoadChannel(const StoredNamespace& in,
                                           const StoredChannel& channel,
                                           Values& loaded);
  absl::StatusOr<std::vector<SavedChannel>> LoadPieces(
      const StoredNamespace& in, const StoredChannel& channel);
  absl::Status LoadPiecesFrom(const StoredNamespace& in,
                              const std::string& channel, uint64_t* next,
                              std::vector<SavedChannel>* pieces);
  absl::Status UnpackPiecesFrom(const StoredNamespace& in,
                                const std::string& channel, uint64_t* next,
                                std::vector<SavedChannel>* pieces);
  absl::Status PutWrite(const StoredNamespace& in, const CheckpointId& id,
                        const PendingWrite& write);

  absl::Status DropRun(const std::string& run_id,
                       std::map<int64_t, StoredNamespace>& touched);
  absl::Status CollectValues(const StoredNamespace& in);
  absl::Status DropIfEmpty(const StoredNamespace& in);
  absl::Status CopyNamespace(const StoredNamespace& from,
                             const StoredNamespace& to);

  Database& db_;
  StoredRuns runs_;
  Packs packs_;
  // Of what is to be told apart or put in order over the life of the database:
  // epochs, and the arrival of writes.
  uint64_t count_ = 0;
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_INTERNAL_STORED_THREADS_H_
