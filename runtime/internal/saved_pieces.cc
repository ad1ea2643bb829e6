#include "weir/runtime/internal/saved_pieces.h"

#include <optional>
#include <utility>

#include "absl/strings/str_format.h"

#include "weir/channels/internal/wire.h"
#include "weir/runtime/internal/saved_line.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

// A value of so few bytes is put whole: a piece of it would take more room.
constexpr size_t kFewBytes = 64;

// The bytes of what was added, if they are to be put rather than all.
std::optional<std::string> PieceOf(const Growth& growth, const Value& value,
                                   const StoredGrowth& before) {
  const Value added = growth.Added(before.mark, value);
  std::string bytes;
  if (!added.has_value() || !added.Encode(&bytes).ok()) return std::nullopt;
  const size_t pieces = before.piece_bytes + bytes.size();
  if (pieces >= before.whole_bytes ||
      before.whole_bytes + pieces <= kFewBytes) {
    return std::nullopt;
  }
  return bytes;
}

absl::Status Removed(uint64_t version) {
  return absl::UnavailableError(absl::StrFormat(
      "its version %d was removed while it was read; read it again", version));
}

absl::Status AppendedToLater(uint64_t version) {
  return absl::DataLossError(
      absl::StrFormat("its version %d is appended to a later one", version));
}

}  // namespace

void PutGrown(const Growth& growth, SavedChannel* channel,
              StoredGrowth* stored) {
  const StoredGrowth before = std::exchange(*stored, StoredGrowth());
  const auto* value = static_cast<const Value*>(channel->value.shared());
  if (value == nullptr) return;
  StoredGrowth next{.mark = growth.Mark(*value), .version = channel->version};
  if (std::optional<std::string> piece = PieceOf(growth, *value, before)) {
    next.whole_bytes = before.whole_bytes;
    next.piece_bytes = before.piece_bytes + piece->size();
    channel->appended_to = before.version;
    channel->value = SavedValue::FromBytes(*std::move(piece));
  } else {
    std::string whole;
    if (!value->Encode(&whole).ok()) return;
    next.whole_bytes = whole.size();
    channel->value = SavedValue::FromBytes(std::move(whole));
  }
  *stored = std::move(next);
}

void SavedPieces::Note(const Checkpoint& checkpoint) {
  for (const SavedChannel& saved : checkpoint.channels) {
    if (Piece* piece = NotePiece(saved)) piece->wanted = true;
  }
}

void SavedPieces::Note(
    const std::vector<std::vector<SavedChannel>>& histories) {
  for (const std::vector<SavedChannel>& pieces : histories) {
    for (const SavedChannel& saved : pieces) NotePiece(saved);
  }
}

// Null for what is not bytes of a channel that grows.
SavedPieces::Piece* SavedPieces::NotePiece(const SavedChannel& saved) {
  if (saved.value.bytes() == nullptr) return nullptr;
  const std::optional<uint32_t> channel = graph_->FindChannel(saved.channel);
  const bool grows = channel.has_value() &&
                     graph_->channels[*channel].kind->growth() != nullptr;
  // A migration may ask for any.
  if (!grows && graph_->migrations.empty()) return nullptr;
  Piece& piece = channels_[saved.channel][saved.version];
  piece.appended_to = saved.appended_to;
  piece.bytes = saved.value;
  return &piece;
}

std::vector<std::string> SavedPieces::Missing(const Checkpoint& checkpoint) {
  std::vector<std::string> missing;
  for (const SavedChannel& saved : checkpoint.channels) {
    if (saved.appended_to == 0) continue;
    const auto at = channels_.find(saved.channel);
    if (at != channels_.end() && !Complete(at->second, saved.version)) {
      missing.push_back(saved.channel);
    }
  }
  return missing;
}

// Whether all pieces of a version are known. What was found so is not looked at
// again, so that all versions take one pass.
bool SavedPieces::Complete(Pieces& pieces, uint64_t version) {
  std::vector<Piece*> line;
  while (version != 0) {
    const auto at = pieces.find(version);
    if (at == pieces.end() || at->second.appended_to >= version) return false;
    if (at->second.complete) break;
    line.push_back(&at->second);
    version = at->second.appended_to;
  }
  for (Piece* piece : line) piece->complete = true;
  return true;
}

absl::StatusOr<Value> SavedPieces::Load(const SavedChannel& saved,
                                        const ChannelKind& kind,
                                        StoredGrowth* stored) {
  if (kind.growth() == nullptr && saved.appended_to != 0) {
    return absl::DataLossError(absl::StrFormat(
        "it is stored in pieces, which %s does not read; restore it with the "
        "kind of channel that it was stored by",
        std::string(kind.name())));
  }
  if (kind.growth() == nullptr || saved.value.bytes() == nullptr) {
    return internal::Load(saved.value, kind.snapshot_type());
  }
  Pieces& pieces = channels_[saved.channel];
  std::vector<Piece*> line;       // That is not put together, the last first.
  const Piece* before = nullptr;  // The last that is.
  for (uint64_t version = saved.version; version != 0;) {
    const auto at = pieces.find(version);
    if (at == pieces.end()) return Removed(version);
    Piece& piece = at->second;
    if (piece.appended_to >= version) return AppendedToLater(version);
    if (piece.value.has_value()) {
      before = &piece;
      break;
    }
    line.push_back(&piece);
    version = piece.appended_to;
  }
  Value value;
  if (before != nullptr) {
    value = before->value;
    *stored = before->stored;
  }
  for (size_t i = line.size(); i > 0; --i) {
    Piece& piece = *line[i - 1];
    if (absl::Status s = Add(piece, kind, &value, stored); !s.ok()) return s;
    if (!piece.wanted) continue;
    piece.value = value;
    piece.stored = *stored;
  }
  stored->mark = kind.growth()->Mark(value);
  stored->version = saved.version;
  return value;
}

absl::StatusOr<std::string> SavedPieces::Bytes(const SavedChannel& saved) {
  uint64_t count = 0;
  std::vector<std::string_view> elements;  // The last piece first.
  if (saved.appended_to == 0) return *saved.value.bytes();
  const Pieces& pieces = channels_[saved.channel];
  for (uint64_t version = saved.version; version != 0;) {
    const auto at = pieces.find(version);
    if (at == pieces.end()) return Removed(version);
    if (at->second.appended_to >= version) return AppendedToLater(version);
    std::string_view bytes = *at->second.bytes.bytes();
    uint64_t added = 0;
    if (absl::Status s = GetVarint(&bytes, &added); !s.ok()) return s;
    count += added;
    elements.push_back(bytes);
    version = at->second.appended_to;
  }
  std::string all;
  PutVarint(count, &all);
  for (size_t i = elements.size(); i > 0; --i) all.append(elements[i - 1]);
  return all;
}

// Puts `piece` behind `value`, which is absent if the piece is a whole.
absl::Status SavedPieces::Add(const Piece& piece, const ChannelKind& kind,
                              Value* value, StoredGrowth* stored) {
  const size_t bytes = piece.bytes.bytes()->size();
  if (piece.appended_to == 0) {
    absl::StatusOr<Value> whole =
        internal::Load(piece.bytes, kind.snapshot_type());
    if (!whole.ok()) return whole.status();
    *value = *std::move(whole);
    stored->whole_bytes = bytes;
    return absl::OkStatus();
  }
  const absl::StatusOr<Value> added =
      internal::Load(piece.bytes, kind.growth()->added_type());
  if (!added.ok()) return added.status();
  stored->piece_bytes += bytes;
  return kind.growth()->Add(*added, value);
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
