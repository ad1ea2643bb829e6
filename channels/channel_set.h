#ifndef WEIR_CHANNELS_CHANNEL_SET_H_
#define WEIR_CHANNELS_CHANNEL_SET_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"

#include "weir/channels/channel.h"
#include "weir/export.h"

namespace weir {
inline namespace v0 {

// One channel of a schema.
struct ChannelInfo {
  std::string name;
  std::shared_ptr<const ChannelKind> kind;
};

// ChannelSet: the state of a run: one ChannelState for each channel of a
// schema, and the barrier's rules for all of them together.
//
// Errors:   Apply() passes on what the channel's kind returns.
// Threads:  thread-compatible. During a superstep it is only read, by any
//           worker; the barrier alone changes it.
// Lifetime: the span given to the constructor must outlive the set.
// Cost:     Apply() and EndStep() follow the channels touched, not the schema.
class WEIR_EXPORT ChannelSet {
 public:
  // Every channel at its initial value.
  explicit ChannelSet(absl::Span<const ChannelInfo> schema);

  // The value that nodes read, or null while channel `i` is empty.
  const Value* Read(uint32_t i) const { return states_[i].Read(); }
  const ChannelState& state(uint32_t i) const { return states_[i]; }
  const ChannelState* states() const { return states_.data(); }
  uint32_t size() const { return static_cast<uint32_t>(states_.size()); }

  // Applies one write of the superstep. Call in merge order.
  absl::Status Apply(uint32_t i, Value write, bool overwrite);

  // Ends the writes of a superstep: channels that nothing wrote and that hold a
  // value for one superstep only are cleared.
  void EndStep();

  // Ends writes that are no superstep: no channel is cleared.
  void EndWrites();

  // Tells the channels that react to it that nothing is left to run.
  void Finish();

  // Notes from here on which channels change; for runs that are saved.
  void NoteChanges();
  // The channels that have changed since the last call of ClearChanged(), each
  // once. After NoteChanges().
  const std::vector<uint32_t>& changed() const { return changes_->channels; }
  void ClearChanged();

  // What a checkpoint saves of channel `i`.
  Value Snapshot(uint32_t i) const {
    return schema_[i].kind->Snapshot(states_[i]);
  }
  // Brings channel `i` to what Snapshot() gave. DataLoss if that is not of the
  // channel's type.
  absl::Status Restore(uint32_t i, Value snapshot);

 private:
  void NoteChange(uint32_t i) {
    if (changes_ == nullptr || changes_->has[i]) return;
    changes_->has[i] = true;
    changes_->channels.push_back(i);
  }

  absl::Span<const ChannelInfo> schema_;
  std::vector<ChannelState> states_;
  std::vector<uint32_t> written_;  // Channels with writes in this superstep.
  // Channels that a quiet superstep clears and that may hold something.
  std::vector<uint32_t> transient_;
  std::vector<uint32_t> after_finish_;  // Channels that react to the finish.
  struct Changes {
    std::vector<uint32_t> channels;
    std::vector<bool> has;  // Of each channel.
  };
  std::unique_ptr<Changes> changes_;  // Null: none are noted.
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHANNELS_CHANNEL_SET_H_
