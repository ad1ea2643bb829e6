#include "weir/runtime/store.h"

#include <algorithm>
#include <array>
#include <compare>
#include <cstdint>
#include <string_view>
#include <utility>

#include "absl/strings/str_format.h"

#include "weir/channels/internal/json_text.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/internal/node_body.h"
#include "weir/runtime/internal/scalar.h"

namespace weir {
inline namespace v0 {
namespace {

constexpr std::string_view kWildcard = "*";
constexpr std::string_view kReserved = "langgraph";
constexpr std::array<std::string_view, 6> kOperators = {"$eq",  "$ne", "$gt",
                                                        "$gte", "$lt", "$lte"};

// ["users", "7"]
std::string Text(const StoreNamespace& ns) {
  std::string text = "[";
  for (const std::string& label : ns) {
    if (text.size() > 1) text.append(", ");
    internal::AppendJsonString(label, &text);
  }
  text.push_back(']');
  return text;
}

absl::Status CheckNamespace(const StoreNamespace& ns, const std::string& key) {
  const auto refused = [&](const std::string& why) {
    return internal::MakeError(
        ErrorKind::kInvalidNamespace, absl::StatusCode::kInvalidArgument,
        absl::StrFormat("item '%s' cannot be put in namespace %s: %s", key,
                        Text(ns), why));
  };
  if (ns.empty()) return refused("it is empty");
  for (const std::string& label : ns) {
    if (label.empty()) return refused("one of its labels is empty");
    if (label.find('.') != label.npos) {
      return refused(absl::StrFormat("its label '%s' has a '.'", label));
    }
  }
  if (ns.front() == kReserved) {
    return refused(
        absl::StrFormat("its first label is '%s', which is taken", kReserved));
  }
  return absl::OkStatus();
}

bool IsOperator(std::string_view name) { return name.starts_with('$'); }

// Of one operator and what it compares with.
absl::Status CheckOperator(const std::string& field, std::string_view name,
                           const Value& operand) {
  if (std::ranges::find(kOperators, name) == kOperators.end()) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "the filter of field '%s' has the operator '%s'; there are $eq, $ne, "
        "$gt, $gte, $lt and $lte",
        field, name));
  }
  if (name == "$eq" || name == "$ne") return absl::OkStatus();
  const std::optional<internal::Scalar> scalar = internal::ScalarOf(operand);
  if (!scalar.has_value() || std::holds_alternative<None>(*scalar) ||
      std::holds_alternative<bool>(*scalar)) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "the filter of field '%s' has the operator '%s' with %s; it takes a "
        "number or a string",
        field, name, internal::Shown(operand)));
  }
  return absl::OkStatus();
}

absl::Status CheckCondition(const std::string& field, const Value& condition) {
  absl::Status status;
  bool has_operators = false;
  condition.ForEachField([&](std::string_view name, const Value&) {
    has_operators = has_operators || IsOperator(name);
  });
  condition.ForEachField([&](std::string_view name, const Value& part) {
    if (!status.ok()) return;
    status = has_operators
                 ? CheckOperator(field, name, part)
                 : CheckCondition(absl::StrFormat("%s.%s", field, name), part);
  });
  condition.ForEachElement([&](const Value& element) {
    if (status.ok()) status = CheckCondition(field, element);
  });
  return status;
}

absl::Status CheckFilter(const StoreFilter& filter) {
  for (const auto& [field, condition] : filter) {
    if (IsOperator(field)) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "the filter has the operator '%s' where the name of a field belongs",
          field));
    }
    if (absl::Status s = CheckCondition(field, condition); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status CheckPut(const PutOp& put, const StoreCapabilities& can) {
  if (!put.value.has_value()) return absl::OkStatus();
  if (absl::Status s = CheckNamespace(put.ns, put.key); !s.ok()) return s;
  const absl::Duration ttl = put.options.ttl;
  if (ttl <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "item '%s' of namespace %s is put with a ttl of %s; it must be above "
        "zero",
        put.key, Text(put.ns), absl::FormatDuration(ttl)));
  }
  if (ttl < absl::InfiniteDuration() && !can.ttl) {
    return absl::UnimplementedError(absl::StrFormat(
        "item '%s' of namespace %s is put with a ttl, and this store keeps "
        "items until they are deleted; leave PutOptions::ttl out",
        put.key, Text(put.ns)));
  }
  return absl::OkStatus();
}

absl::Status CheckOps(const std::vector<StoreOp>& ops,
                      const StoreCapabilities& can) {
  for (const StoreOp& op : ops) {
    absl::Status status;
    if (const auto* put = std::get_if<PutOp>(&op)) status = CheckPut(*put, can);
    if (const auto* search = std::get_if<SearchOp>(&op)) {
      status = CheckFilter(search->options.filter);
    }
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

std::vector<Value> Elements(const Value& list) {
  std::vector<Value> elements;
  list.ForEachElement(
      [&elements](Value element) { elements.push_back(std::move(element)); });
  return elements;
}

size_t FieldCount(const Value& record) {
  size_t count = 0;
  record.ForEachField([&count](std::string_view, const Value&) { ++count; });
  return count;
}

// Whether the two are equal as JSON would be, whatever their types.
bool Equal(const Value& a, const Value& b) {
  if (a.is_record() || b.is_record()) {
    if (!a.is_record() || !b.is_record()) return false;
    bool equal = FieldCount(a) == FieldCount(b);
    a.ForEachField([&](std::string_view name, const Value& field) {
      if (!equal) return;
      const Value other = b.Field(name);
      equal = other.has_value() && Equal(field, other);
    });
    return equal;
  }
  if (a.is_list() || b.is_list()) {
    if (!a.is_list() || !b.is_list()) return false;
    return std::ranges::equal(Elements(a), Elements(b), Equal);
  }
  const std::optional<internal::Scalar> x = internal::ScalarOf(a);
  const std::optional<internal::Scalar> y = internal::ScalarOf(b);
  if (x.has_value() != y.has_value()) return false;
  return x.has_value() ? std::is_eq(internal::Compare(*x, *y)) : a == b;
}

bool MatchesOperator(const Value& value, std::string_view name,
                     const Value& operand) {
  if (name == "$eq") return Equal(value, operand);
  if (name == "$ne") return !Equal(value, operand);
  const std::optional<internal::Scalar> x = internal::ScalarOf(value);
  const std::optional<internal::Scalar> y = internal::ScalarOf(operand);
  if (!x.has_value() || !y.has_value()) return false;
  const std::partial_ordering order = internal::Compare(*x, *y);
  if (name == "$gt") return std::is_gt(order);
  if (name == "$gte") return std::is_gteq(order);
  if (name == "$lt") return std::is_lt(order);
  return std::is_lteq(order);
}

bool MatchesCondition(const Value& value, const Value& condition) {
  if (condition.is_record()) {
    bool any_operator = false;
    bool all = true;
    condition.ForEachField([&](std::string_view name, const Value& part) {
      if (!all) return;
      if (IsOperator(name)) {
        any_operator = true;
        all = MatchesOperator(value, name, part);
      } else {
        all = MatchesCondition(value.Field(name), part);
      }
    });
    return all && (any_operator || value.is_record());
  }
  if (condition.is_list()) {
    return value.is_list() &&
           std::ranges::equal(Elements(value), Elements(condition),
                              MatchesCondition);
  }
  return Equal(value, condition);
}

bool FitsLabel(const std::string& wanted, const std::string& label) {
  return wanted == kWildcard || wanted == label;
}

// The one result of a batch of one.
absl::StatusOr<StoreResult> Only(
    absl::StatusOr<std::vector<StoreResult>> results) {
  if (!results.ok()) return results.status();
  return std::move(results->front());
}

}  // namespace

bool Matches(const Value& value, const StoreFilter& filter) {
  return std::ranges::all_of(filter, [&value](const auto& part) {
    return value.is_record() &&
           MatchesCondition(value.Field(part.first), part.second);
  });
}

bool Matches(const StoreNamespace& ns,
             const ListNamespacesOptions& conditions) {
  const StoreNamespace& prefix = conditions.prefix;
  const StoreNamespace& suffix = conditions.suffix;
  if (ns.size() < std::max(prefix.size(), suffix.size())) return false;
  return std::equal(prefix.begin(), prefix.end(), ns.begin(), FitsLabel) &&
         std::equal(suffix.rbegin(), suffix.rend(), ns.rbegin(), FitsLabel);
}

absl::Status Store::Put(StoreNamespace ns, std::string key, Value value,
                        PutOptions options) {
  std::vector<StoreOp> ops;
  ops.emplace_back(PutOp{.ns = std::move(ns),
                         .key = std::move(key),
                         .value = std::move(value),
                         .options = std::move(options)});
  return Batch(std::move(ops)).status();
}

absl::StatusOr<std::optional<StoreItem>> Store::Get(StoreNamespace ns,
                                                    std::string key,
                                                    GetOptions options) {
  std::vector<StoreOp> ops;
  ops.emplace_back(
      GetOp{.ns = std::move(ns), .key = std::move(key), .options = options});
  absl::StatusOr<StoreResult> result = Only(Batch(std::move(ops)));
  if (!result.ok()) return result.status();
  return std::move(result->item);
}

absl::Status Store::Delete(StoreNamespace ns, std::string key) {
  return Put(std::move(ns), std::move(key), Value());
}

absl::StatusOr<std::vector<StoreItem>> Store::Search(StoreNamespace prefix,
                                                     SearchOptions options) {
  std::vector<StoreOp> ops;
  ops.emplace_back(
      SearchOp{.prefix = std::move(prefix), .options = std::move(options)});
  absl::StatusOr<StoreResult> result = Only(Batch(std::move(ops)));
  if (!result.ok()) return result.status();
  return std::move(result->items);
}

absl::StatusOr<std::vector<StoreNamespace>> Store::ListNamespaces(
    ListNamespacesOptions options) {
  std::vector<StoreOp> ops;
  ops.emplace_back(ListNamespacesOp{.options = std::move(options)});
  absl::StatusOr<StoreResult> result = Only(Batch(std::move(ops)));
  if (!result.ok()) return result.status();
  return std::move(result->namespaces);
}

absl::StatusOr<std::vector<StoreResult>> Store::Batch(
    std::vector<StoreOp> ops) {
  const size_t count = ops.size();
  try {
    if (absl::Status s = CheckOps(ops, capabilities()); !s.ok()) return s;
    absl::StatusOr<std::vector<StoreResult>> results = Execute(std::move(ops));
    if (results.ok() && results->size() != count) {
      return absl::InternalError(
          absl::StrFormat("the store gave %d results for %d operations",
                          results->size(), count));
    }
    return results;
  } catch (...) {
    const absl::Status thrown = internal::CurrentException();
    return absl::Status(thrown.code(), absl::StrFormat("the store threw: %s",
                                                       thrown.message()));
  }
}

}  // namespace v0
}  // namespace weir
