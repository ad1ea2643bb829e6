#include "weir/channels/channel_set.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <utility>

namespace weir {
inline namespace v0 {

ChannelSet::ChannelSet(absl::Span<const ChannelInfo> schema)
    : schema_(schema), states_(schema.size()) {
  // Most runs write some. No more memory is taken for a few than for one.
  written_.reserve(std::min<size_t>(schema_.size(), 6));
  for (uint32_t i = 0; i < schema_.size(); ++i) {
    schema_[i].kind->Init(states_[i]);
    if (schema_[i].kind->reacts_to_finish()) after_finish_.push_back(i);
    if (schema_[i].kind->clears_when_quiet() && Read(i) != nullptr) {
      transient_.push_back(i);
    }
  }
}

absl::Status ChannelSet::Apply(uint32_t i, Value write, bool overwrite) {
  ChannelState& state = states_[i];
  absl::StatusOr<bool> changed =
      schema_[i].kind->Apply(state, std::move(write), overwrite);
  if (!changed.ok()) return std::move(changed).status();
  if (*changed) NoteChange(i);
  if (state.writes++ == 0) written_.push_back(i);
  return absl::OkStatus();
}

void ChannelSet::NoteChanges() {
  changes_ = std::make_unique<Changes>();
  changes_->has.resize(states_.size());
}

void ChannelSet::ClearChanged() {
  for (uint32_t i : changes_->channels) changes_->has[i] = false;
  changes_->channels.clear();
}

absl::Status ChannelSet::Restore(uint32_t i, Value snapshot) {
  const ChannelKind& kind = *schema_[i].kind;
  states_[i] = ChannelState();
  if (absl::Status s = kind.Restore(states_[i], std::move(snapshot)); !s.ok()) {
    return s;
  }
  // What the next superstep without a write clears.
  if (kind.clears_when_quiet() && states_[i].value.has_value()) {
    transient_.push_back(i);
  }
  return absl::OkStatus();
}

void ChannelSet::EndStep() {
  // A channel written now is not quiet; one that was filled before and not
  // written now is cleared and leaves the list.
  for (uint32_t i : transient_) {
    if (states_[i].writes == 0 && schema_[i].kind->Quiet(states_[i])) {
      NoteChange(i);
    }
  }
  transient_.clear();
  EndWrites();
}

void ChannelSet::EndWrites() {
  for (uint32_t i : written_) {
    states_[i].writes = 0;
    states_[i].overwritten = false;
    if (schema_[i].kind->clears_when_quiet()) transient_.push_back(i);
  }
  written_.clear();
}

void ChannelSet::Finish() {
  for (uint32_t i : after_finish_) {
    if (schema_[i].kind->Finish(states_[i])) NoteChange(i);
  }
}

}  // namespace v0
}  // namespace weir
