#include "tests/conformance/expression.h"

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <unordered_map>

namespace weir::conformance {
namespace {

constexpr char kPacket[] = "__packet__";
constexpr char kOverwrite[] = "__overwrite__";

json At(const json& container, const json& key) {
  if (container.is_object() && key.is_string()) {
    auto found = container.find(key.get<std::string>());
    if (found != container.end()) return *found;
  }
  if (container.is_array() && key.is_number_integer()) {
    const auto i = key.get<int64_t>();
    if (i >= 0 && static_cast<size_t>(i) < container.size()) {
      return container[static_cast<size_t>(i)];
    }
  }
  return nullptr;
}

bool Has(const json& container, const json& x) {
  if (container.is_object()) return container.contains(x.get<std::string>());
  return std::find(container.begin(), container.end(), x) != container.end();
}

// The numbers of a list of expressions, folded from left to right.
template <class F>
json Fold(Scope& scope, const Spec& operands, F f) {
  auto total = scope.Eval(operands.at(0)).get<int64_t>();
  for (size_t i = 1; i < operands.size(); ++i) {
    total = f(total, scope.Eval(operands[i]).get<int64_t>());
  }
  return total;
}

// `f` of the values of two expressions.
template <class F>
json Two(Scope& scope, const Spec& operands, F f) {
  const json a = scope.Eval(operands.at(0));
  const json b = scope.Eval(operands.at(1));
  return f(a, b);
}

bool IsTrue(Scope& scope, const Spec& condition) {
  return scope.Eval(condition).get<bool>();
}

// Whether some condition has the value `deciding`; stops at the first.
bool AnyIs(Scope& scope, const Spec& conditions, bool deciding) {
  return std::any_of(conditions.begin(), conditions.end(),
                     [&](const Spec& condition) {
                       return IsTrue(scope, condition) == deciding;
                     });
}

json Str(Scope& scope, const Spec& parts) {
  std::string text;
  for (const Spec& part : parts) {
    const json value = scope.Eval(part);
    text += value.is_string() ? value.get<std::string>() : value.dump();
  }
  return text;
}

json Concat(Scope& scope, const Spec& lists) {
  json all = json::array();
  for (const Spec& list : lists) {
    for (const json& element : scope.Eval(list)) all.push_back(element);
  }
  return all;
}

json Range(Scope& scope, const Spec& size) {
  json list = json::array();
  const auto n = scope.Eval(size).get<int64_t>();
  for (int64_t i = 0; i < n; ++i) list.push_back(i);
  return list;
}

json Object(Scope& scope, const Spec& fields) {
  json object = json::object();
  for (const auto& [name, expr] : fields.items()) {
    object[name] = scope.Eval(expr);
  }
  return object;
}

// {"map": [list, "v", E]}: `take(element, value of E)` for each element.
template <class F>
void ForEach(Scope& scope, const Spec& operands, F take) {
  const json list = scope.Eval(operands.at(0));
  const auto variable = operands.at(1).get<std::string>();
  Scope inner = scope;
  for (const json& element : list) {
    inner.Bind(variable, element);
    take(element, inner.Eval(operands.at(2)));
  }
}

json Map(Scope& scope, const Spec& operands) {
  json out = json::array();
  ForEach(scope, operands,
          [&out](const json&, json value) { out.push_back(std::move(value)); });
  return out;
}

json Filter(Scope& scope, const Spec& operands) {
  json out = json::array();
  ForEach(scope, operands, [&out](const json& element, const json& keep) {
    if (keep.get<bool>()) out.push_back(element);
  });
  return out;
}

json Len(const json& value) {
  return value.is_string() ? value.get_ref<const std::string&>().size()
                           : value.size();
}

json Sum(const json& list) {
  int64_t sum = 0;
  for (const json& number : list) sum += number.get<int64_t>();
  return sum;
}

json Sort(json list) {
  std::sort(list.begin(), list.end());
  return list;
}

json Packet(Scope& scope, const Spec& operands) {
  json node_and_input = json::array();
  node_and_input.push_back(scope.Eval(operands.at(0)));
  node_and_input.push_back(scope.Eval(operands.at(1)));
  return {{kPacket, std::move(node_and_input)}};
}

using Operator = json (*)(Scope& scope, const Spec& x);

Operator FindOperator(const std::string& name) {
  static const std::unordered_map<std::string, Operator> operators = {
      {"lit", [](Scope&, const Spec& x) { return json(x); }},
      {"input", [](Scope& s, const Spec&) { return s.input(); }},
      {"get", [](Scope& s, const Spec& x) { return At(s.input(), s.Eval(x)); }},
      {"var", [](Scope& s, const Spec& x) { return s.variable(x); }},
      {"obj", Object},
      {"at", [](Scope& s, const Spec& x) { return Two(s, x, At); }},
      {"add",
       [](Scope& s, const Spec& x) { return Fold(s, x, std::plus<>()); }},
      {"sub",
       [](Scope& s, const Spec& x) { return Fold(s, x, std::minus<>()); }},
      {"mul",
       [](Scope& s, const Spec& x) { return Fold(s, x, std::multiplies<>()); }},
      {"mod",
       [](Scope& s, const Spec& x) { return Fold(s, x, std::modulus<>()); }},
      {"str", Str},
      {"concat", Concat},
      {"len", [](Scope& s, const Spec& x) { return Len(s.Eval(x)); }},
      {"sum", [](Scope& s, const Spec& x) { return Sum(s.Eval(x)); }},
      {"range", Range},
      {"sort", [](Scope& s, const Spec& x) { return Sort(s.Eval(x)); }},
      {"has", [](Scope& s, const Spec& x) { return Two(s, x, Has); }},
      {"eq",
       [](Scope& s, const Spec& x) { return Two(s, x, std::equal_to<>()); }},
      {"ne", [](Scope& s,
                const Spec& x) { return Two(s, x, std::not_equal_to<>()); }},
      {"lt", [](Scope& s, const Spec& x) { return Two(s, x, std::less<>()); }},
      {"le",
       [](Scope& s, const Spec& x) { return Two(s, x, std::less_equal<>()); }},
      {"gt",
       [](Scope& s, const Spec& x) { return Two(s, x, std::greater<>()); }},
      {"ge", [](Scope& s,
                const Spec& x) { return Two(s, x, std::greater_equal<>()); }},
      {"and",
       [](Scope& s, const Spec& x) { return json(!AnyIs(s, x, false)); }},
      {"or", [](Scope& s, const Spec& x) { return json(AnyIs(s, x, true)); }},
      {"not", [](Scope& s, const Spec& x) { return json(!IsTrue(s, x)); }},
      {"if",
       [](Scope& s, const Spec& x) {
         return s.Eval(IsTrue(s, x.at(0)) ? x.at(1) : x.at(2));
       }},
      {"map", Map},
      {"filter", Filter},
      {"send", Packet},
      {"overwrite",
       [](Scope& s, const Spec& x) {
         return json{{kOverwrite, s.Eval(x)}};
       }},
      {"count",
       [](Scope& s, const Spec& x) {
         return json(s.counters().Count(s.Eval(x)));
       }},
  };
  auto found = operators.find(name);
  if (found == operators.end()) {
    throw std::invalid_argument("no operator '" + name + "'");
  }
  return found->second;
}

void AddTargets(const json& value, std::vector<Target>* out) {
  if (value.is_array()) {
    for (const json& element : value) AddTargets(element, out);
  } else if (value.is_object()) {
    const json& packet = value.at(kPacket);
    out->emplace_back(
        Send(packet.at(0).get<std::string>(), Value(packet.at(1))));
  } else {
    out->emplace_back(value.get<std::string>());
  }
}

}  // namespace

int64_t Counters::Count(const std::string& name) {
  absl::MutexLock lock(&mutex_);
  return ++counts_[name];
}

json Counters::ToJson() const {
  absl::MutexLock lock(&mutex_);
  return counts_;
}

json Scope::Eval(const Spec& expr) {
  if (expr.is_array()) {
    json list = json::array();
    for (const Spec& element : expr) list.push_back(Eval(element));
    return list;
  }
  if (!expr.is_object()) return expr;
  const auto only = expr.begin();
  return FindOperator(only.key())(*this, only.value());
}

std::vector<Target> ToTargets(const json& value) {
  std::vector<Target> targets;
  AddTargets(value, &targets);
  return targets;
}

}  // namespace weir::conformance
