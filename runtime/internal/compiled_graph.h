#ifndef WEIR_RUNTIME_INTERNAL_COMPILED_GRAPH_H_
#define WEIR_RUNTIME_INTERNAL_COMPILED_GRAPH_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"

#include "weir/channels/channel_set.h"
#include "weir/channels/values.h"
#include "weir/checkpoint/checkpoint.h"
#include "weir/runtime/internal/node_body.h"
#include "weir/runtime/migration.h"
#include "weir/runtime/policy.h"

// What StateGraph::Compile() makes of a builder: names have become indices.
// Everything here is immutable once compiled and shared by all runs.
namespace weir {
inline namespace v0 {
namespace internal {

// Where a router or a goto leads, besides the indices of nodes.
inline constexpr uint32_t kToEnd = ~uint32_t{0};
inline constexpr uint32_t kToUnknown = ~uint32_t{0} - 1;

struct CompiledBranch {
  std::string name;
  std::shared_ptr<const RouterBody> router;
  // Empty: answers are nodes. Else label to node, or kToEnd.
  absl::flat_hash_map<std::string, uint32_t> path_map;
  // The declared targets; absent: anywhere.
  std::optional<std::vector<uint32_t>> destinations;
  // The channels that the router reads, as CompiledNode::readable; absent: as
  // its node.
  std::optional<std::vector<bool>> readable;
};

// A node's part in a join: which one, and as which of its sources.
struct JoinSource {
  uint32_t join;
  uint32_t source;
};

struct CompiledJoin {
  std::string name;
  uint32_t target;
  uint32_t sources;
};

struct NodePolicies {
  std::vector<RetryPolicy> retry;
  TimeoutPolicy timeout;
  std::optional<CachePolicy> cache;
  std::shared_ptr<const NodeBody> error_handler;
  std::string handler_name;  // "__error_handler__" and the node's.
};

// What is wrong with policies; `where` names whose they are.
std::vector<std::string> PolicyMistakes(const std::string& where,
                                        const std::vector<RetryPolicy>& retries,
                                        const TimeoutPolicy& timeout);

// One channel that a graph and a graph inside it share.
struct SharedChannel {
  uint32_t outer;
  uint32_t inner;
};

// Names of nodes at which runs stop, "*" for all.
using StopNodes = std::vector<std::string>;

struct CompiledGraph;

struct CompiledNode {
  std::string name;
  std::shared_ptr<const NodeBody> body;  // Or a graph; the start has none.
  std::shared_ptr<const CompiledGraph> graph;
  std::vector<SharedChannel> graph_input;
  std::vector<SharedChannel> graph_output;

  std::vector<uint32_t> edges;    // Sorted node indices.
  std::vector<JoinSource> joins;  // That this node is a source of.
  std::vector<CompiledBranch> branches;

  std::vector<uint32_t> led_by_joins;  // Joins whose target this is.
  bool defer = false;
  std::vector<std::shared_ptr<const CompiledGraph>> calls;  // As declared.
  // The channels that the node reads: a bit for each channel, or absent for all
  // there are.
  std::optional<std::vector<bool>> readable;
  // Null for a node with none, which most are.
  std::shared_ptr<const NodePolicies> policies;
  std::optional<std::vector<uint32_t>> destinations;  // Of its commands.
  std::vector<std::string> triggers;                  // For events; sorted.
};

struct CompiledGraph {
  std::string name;
  uint32_t schema = 0;
  std::shared_ptr<const ChannelNames> names;
  std::vector<ChannelInfo> channels;
  std::vector<bool> in_state;
  std::vector<bool> in_input;
  std::vector<bool> in_output;
  bool has_private = false;     // Whether in_state misses some channel.
  bool has_unsaved = false;     // Whether some channel is not saved.
  uint32_t quiet_channels = 0;  // That a quiet superstep clears.
  absl::flat_hash_map<std::string, uint32_t> channel_index;

  // Sorted by name, so that the order of indices is the order of merging.
  std::vector<CompiledNode> nodes;
  CompiledNode start;
  std::vector<CompiledJoin> joins;
  std::vector<uint32_t> node_of_ordinal;
  absl::flat_hash_map<std::string, uint32_t> node_index;

  // What threads are saved by, and how it comes from what saved them before.
  int version = 0;
  uint64_t fingerprint = 0;
  std::vector<Migration> migrations;    // In the order of Migration::from.
  std::vector<std::string> type_names;  // Of what channels save; may be "".
  SavedValue saved_graph;               // kGraphChannel.

  std::shared_ptr<Cache> cache;
  bool strict = false;
  Memory memory = Memory::kOfTask;
  StopNodes interrupt_before;
  StopNodes interrupt_after;

  std::optional<uint32_t> FindChannel(std::string_view channel) const {
    auto it =
        channel_index.find(absl::string_view(channel.data(), channel.size()));
    if (it == channel_index.end()) return std::nullopt;
    return it->second;
  }

  // For messages.
  std::string NameOf(const NodeRef& ref) const {
    if (ref.id().schema() == 0) return ref.name();
    const uint32_t node = Resolve(ref);
    if (node < nodes.size()) return nodes[node].name;
    return "a node of another graph";
  }

  // The node that this is the name of, or once was; null if there is none. Of
  // nodes with graphs inside no name is both; see MigrationMistakes().
  const CompiledNode* FindNode(const std::string& node) const {
    auto it = node_index.find(node);
    if (it != node_index.end()) return &nodes[it->second];
    std::string now = node;
    for (const Migration& migration : migrations) {
      const auto renamed = migration.nodes.find(now);
      if (renamed != migration.nodes.end()) now = renamed->second;
    }
    it = node_index.find(now);
    return it == node_index.end() ? nullptr : &nodes[it->second];
  }

  // The node's index, kToEnd, or kToUnknown.
  uint32_t Resolve(const NodeRef& ref) const {
    if (ref.id().schema() != 0) {
      // A node may have been added after this graph was compiled.
      return ref.id().schema() == schema &&
                     ref.id().ordinal() < node_of_ordinal.size()
                 ? node_of_ordinal[ref.id().ordinal()]
                 : kToUnknown;
    }
    if (ref.name() == kEnd) return kToEnd;
    auto it = node_index.find(ref.name());
    return it == node_index.end() ? kToUnknown : it->second;
  }
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_COMPILED_GRAPH_H_
