#include "weir/checkpoint/internal/saved_nodes.h"

#include <algorithm>
#include <iterator>

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

// Spares lines of few channels most of the merging.
constexpr uint32_t kSlack = 8;

constexpr size_t kFewPieces = 16;  // As many are sorted one by one.

const std::string& NameOf(const NodeRef<Piece>& piece) {
  return piece->channel.channel;
}

bool Earlier(const NodeRef<Piece>& a, const NodeRef<Piece>& b) {
  return NameOf(a) < NameOf(b);
}

void EraseRemoved(Pieces& pieces) {
  const auto removed = [](const NodeRef<Piece>& p) { return p->removed; };
  pieces.erase(std::remove_if(pieces.begin(), pieces.end(), removed),
               pieces.end());
}

// Of pieces with one name the first stays; then they are in order. If they are
// all channels, there is no need to know which are removed.
void Settle(Pieces& pieces, bool all) {
  const auto unordered = [](const NodeRef<Piece>& a, const NodeRef<Piece>& b) {
    return !Earlier(a, b);
  };
  if (std::adjacent_find(pieces.begin(), pieces.end(), unordered) !=
      pieces.end()) {
    if (pieces.size() <= kFewPieces) {
      // std::stable_sort() takes memory.
      for (auto at = pieces.begin(); at != pieces.end(); ++at) {
        std::rotate(std::upper_bound(pieces.begin(), at, *at, Earlier), at,
                    std::next(at));
      }
    } else {
      std::stable_sort(pieces.begin(), pieces.end(), Earlier);
    }
    const auto same = [](const NodeRef<Piece>& a, const NodeRef<Piece>& b) {
      return NameOf(a) == NameOf(b);
    };
    pieces.erase(std::unique(pieces.begin(), pieces.end(), same), pieces.end());
  }
  if (all) {
    EraseRemoved(pieces);
  }
}

// Whether `pieces` tell of every channel of `others`. Both are by name.
bool Cover(const Pieces& pieces, const Pieces& others) {
  auto at = pieces.begin();
  for (const NodeRef<Piece>& other : others) {
    while (at != pieces.end() && NameOf(*at) != NameOf(other)) ++at;
    if (at == pieces.end()) return false;
    ++at;
  }
  return true;
}

bool AreThoseOf(const Circumstances& common, const Checkpoint& checkpoint) {
  const CheckpointMetadata& metadata = checkpoint.metadata;
  return common.ns == checkpoint.ns && common.source == metadata.source &&
         common.run_id == metadata.run_id &&
         common.parents == metadata.parents && common.custom == metadata.custom;
}

void AppendLine(const Node* node, Pieces& pieces) {
  for (; node != nullptr; node = node->before.get()) {
    pieces.insert(pieces.end(), node->pieces.begin(), node->pieces.end());
  }
}

}  // namespace

std::shared_ptr<const Circumstances> TakeCircumstances(Checkpoint& checkpoint,
                                                       const Node* like) {
  if (like != nullptr && AreThoseOf(*like->header.common, checkpoint)) {
    return like->header.common;
  }
  CheckpointMetadata& metadata = checkpoint.metadata;
  return std::make_shared<Circumstances>(
      Circumstances{.ns = std::move(checkpoint.ns),
                    .source = std::move(metadata.source),
                    .run_id = std::move(metadata.run_id),
                    .parents = std::move(metadata.parents),
                    .custom = std::move(metadata.custom)});
}

void PutOn(Node& node, const NodeRef<Node>& base) {
  Settle(node.pieces, /*all=*/!base);
  // Nothing is left to see of a base that is covered; most often one step's
  // channels are those of the step before.
  const NodeRef<Node>* on = &base;
  while (*on && Cover(node.pieces, (*on)->pieces)) on = &(*on)->before;
  if (*on) {
    const auto changes = static_cast<uint32_t>(node.pieces.size());
    const uint32_t since = (*on)->since + std::max(changes, 1U);
    if (since <= (*on)->whole + kSlack) {
      node.before = *on;
      node.whole = (*on)->whole;
      node.since = since;
      return;
    }
    AppendLine(on->get(), node.pieces);
    Settle(node.pieces, /*all=*/true);
  } else {
    EraseRemoved(node.pieces);
  }
  node.whole = static_cast<uint32_t>(node.pieces.size());
}

void PutWhole(Node& node, const Node& base) {
  AppendLine(&base, node.pieces);
  PutOn(node, {});
}

Checkpoint MakeCheckpoint(const Node& node) {
  const NodeHeader& header = node.header;
  Checkpoint checkpoint{.ns = header.common->ns,
                        .id = header.id,
                        .parent = header.parent,
                        .created_at = header.created_at,
                        .metadata = {.source = header.common->source,
                                     .step = header.step,
                                     .run_id = header.common->run_id,
                                     .parents = header.common->parents,
                                     .custom = header.common->custom}};
  Pieces pieces;
  pieces.reserve(node.whole + node.since);
  AppendLine(&node, pieces);
  Settle(pieces, /*all=*/true);
  checkpoint.channels.reserve(pieces.size());
  for (const NodeRef<Piece>& piece : pieces) {
    checkpoint.channels.push_back(piece->channel);
  }
  return checkpoint;
}

NodeRef<Piece> FindChannel(const Node& node, const std::string& channel) {
  for (const Node* n = &node; n != nullptr; n = n->before.get()) {
    const auto at =
        std::partition_point(n->pieces.begin(), n->pieces.end(),
                             [&channel](const NodeRef<Piece>& piece) {
                               return NameOf(piece) < channel;
                             });
    if (at == n->pieces.end() || NameOf(*at) != channel) continue;
    return (*at)->removed ? NodeRef<Piece>() : *at;
  }
  return {};
}

NodeRef<Node> Rebase(const Node& node, const ChangedNodes& changed) {
  const NodeRef<Node>* base = &node.before;
  auto at = changed.find(base->get());
  if (!*base || at == changed.end()) return {};
  NodeRef<Node> rebased(new Node{.header = node.header, .pieces = node.pieces});
  Pieces& pieces = rebased->pieces;
  while (at != changed.end() && !at->second) {
    pieces.insert(pieces.end(), (*base)->pieces.begin(), (*base)->pieces.end());
    base = &(*base)->before;
    at = *base ? changed.find(base->get()) : changed.end();
  }
  PutOn(*rebased, at == changed.end() ? *base : at->second);
  return rebased;
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
