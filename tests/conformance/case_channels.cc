#include "tests/conformance/case_channels.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <unordered_map>
#include <utility>

#include "weir/channels/any_value.h"
#include "weir/channels/channel.h"
#include "weir/channels/ephemeral.h"
#include "weir/channels/last_value.h"
#include "weir/channels/messages.h"
#include "weir/channels/reducer.h"
#include "weir/channels/topic.h"
#include "weir/channels/untracked.h"

namespace weir::conformance {
namespace {

using ReduceOp = std::function<json(json value, const json& write)>;

json Add(const json& value, const json& write) {
  return value.get<int64_t>() + write.get<int64_t>();
}

json Concat(const json& value, const json& write) {
  return value.get<std::string>() + write.get<std::string>();
}

json Append(json value, const json& write) {
  if (write.is_array()) {
    value.insert(value.end(), write.begin(), write.end());
  } else {
    value.push_back(write);
  }
  return value;
}

json Max(const json& value, const json& write) {
  return std::max(value, write);
}

json Min(const json& value, const json& write) {
  return std::min(value, write);
}

json Merge(json value, const json& write) {
  value.update(write);
  return value;
}

json Union(json value, const json& write) {
  for (const json& element : write) {
    if (std::find(value.begin(), value.end(), element) == value.end()) {
      value.push_back(element);
    }
  }
  return value;
}

ReduceOp FindReduceOp(const std::string& name) {
  static const std::unordered_map<std::string, ReduceOp> ops = {
      {"add", Add}, {"concat", Concat}, {"append", Append}, {"max", Max},
      {"min", Min}, {"merge", Merge},   {"union", Union}};
  auto found = ops.find(name);
  if (found == ops.end()) throw std::invalid_argument("no op '" + name + "'");
  return found->second;
}

ChannelDef<json> Binop(const Spec& channel) {
  ReduceOp op = FindReduceOp(channel.at("op").get<std::string>());
  if (!channel.contains("default")) {
    return Reducer<json>(std::move(op), kStartEmpty);
  }
  return Reducer<json>(std::move(op), json(channel["default"]));
}

}  // namespace

void AddChannel(StateGraph& builder, const std::string& name,
                const Spec& channel, bool is_private) {
  auto add = [&](auto def) {
    if (is_private) {
      builder.AddPrivateChannel(name, std::move(def));
    } else {
      builder.AddChannel(name, std::move(def));
    }
  };
  const auto type = channel.at("type").get<std::string>();
  const bool guard = channel.value("guard", true);
  if (type == "last_value") return add(LastValue<json>());
  if (type == "binop") return add(Binop(channel));
  if (type == "messages") return add(Messages<json>());
  if (type == "topic")
    return add(Topic<json>(channel.value("accumulate", false)));
  if (type == "ephemeral") return add(Ephemeral<json>(guard));
  if (type == "any_value") return add(AnyValue<json>());
  if (type == "untracked") return add(Untracked<json>(guard));
  throw std::invalid_argument("no channel type '" + type + "'");
}

}  // namespace weir::conformance
