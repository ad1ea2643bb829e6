#ifndef WEIR_RUNTIME_STORE_H_
#define WEIR_RUNTIME_STORE_H_

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "weir/channels/value.h"
#include "weir/export.h"

namespace weir {
inline namespace v0 {

// Where in a store an item is: labels from the outermost inwards, such as
// {"users", "7", "memories"}.
using StoreNamespace = std::vector<std::string>;

// What a search asks of an item's value, which must be a record: field names
// and what each field must be. All must match:
//
//   {"kind", Value("fact")}                       equal; numbers of different
//                                                 types compare as numbers
//   {"author", <a record>}                        a record whose fields match
//                                                 those of this one
//   {"tags", <a list>}                            a list of that length, and
//                                                 each element matches
//   {"age", Value(std::map<std::string, int>{{"$gte", 18}, {"$lt", 65}})}
//                                                 operators, all of which hold
//
// The operators are $eq, $ne, $gt, $gte, $lt and $lte. The first two compare
// whole values. The others compare numbers with numbers and strings with
// strings, by their bytes; nothing else matches them. A field that is not there
// counts as null. Records may be of any type that is one: a map from strings, a
// struct with a RecordCodec, a Values, a JSON object.
using StoreFilter = std::map<std::string, Value>;

// An item as a store gives it: a copy, which shares the value.
struct StoreItem {
  StoreNamespace ns{};
  std::string key{};
  Value value{};
  absl::Time created_at{};  // When the key was first put.
  absl::Time updated_at{};  // When this value was.
  // How near the item is to the query; greater is nearer. Only in what a search
  // by similarity gives, and only if the item has vectors.
  std::optional<double> score{};

  // The value as a T, or null if it is of another type.
  template <class T>
  const T* As() const {
    return value.template As<T>();
  }
};

// How an item is put.
struct PutOptions {
  // What of the value a search by similarity can find; by default what the
  // store is told to index, and nothing if this is empty. Paths of fields:
  // "title", "author.name"; "parts[*].text" for each element of a list; "$" for
  // the whole value.
  std::optional<std::vector<std::string>> index{};
  // How long the item lives after it was put or last read. (LangGraph's are
  // numbers of minutes.)
  absl::Duration ttl = absl::InfiniteDuration();
};

// How an item is read.
struct GetOptions {
  bool refresh_ttl = true;  // Whether the item's time to live begins anew.
};

// What is searched for; every field narrows it.
struct SearchOptions {
  // Text that the items found are to be similar to; empty for none. A store
  // that was made without an embedding function ignores it.
  std::string query{};
  StoreFilter filter{};
  size_t limit = 10;
  size_t offset = 0;        // Items found that are passed over.
  bool refresh_ttl = true;  // Of the items given.
};

// Which namespaces are meant; every field narrows it.
struct ListNamespacesOptions {
  // How the namespaces begin and end; a label "*" stands for any one label.
  StoreNamespace prefix{};
  StoreNamespace suffix{};
  // Cuts longer namespaces to so many labels; those that become equal are given
  // once.
  std::optional<size_t> max_depth{};
  size_t limit = 100;
  size_t offset = 0;
};

// The operations of Store::Batch(): as Store::Put() and Delete().
struct PutOp {
  StoreNamespace ns{};
  std::string key{};
  Value value{};  // Absent: the item is deleted.
  PutOptions options{};
};
// As Store::Get().
struct GetOp {
  StoreNamespace ns{};
  std::string key{};
  GetOptions options{};
};
// As Store::Search().
struct SearchOp {
  StoreNamespace prefix{};
  SearchOptions options{};
};
// As Store::ListNamespaces().
struct ListNamespacesOp {
  ListNamespacesOptions options{};
};
using StoreOp = std::variant<PutOp, GetOp, SearchOp, ListNamespacesOp>;

// What one operation gave: the field of its kind is set. A put gives nothing.
struct StoreResult {
  std::optional<StoreItem> item{};           // GetOp
  std::vector<StoreItem> items{};            // SearchOp
  std::vector<StoreNamespace> namespaces{};  // ListNamespacesOp
};

// What a store can do beyond what each must.
struct StoreCapabilities {
  bool ttl = false;
};

// Store: items by namespace and key, kept from one thread to the next: what an
// agent remembers for longer than a conversation. Nodes get theirs from
// NodeContext::store().
//
//   store->Put({"users", "7"}, "diet", Value("vegan"));
//   auto item = store->Get({"users", "7"}, "diet");
//   if (item.ok() && item->has_value()) ... *(*item)->As<std::string>() ...
//
// A store of your own derives from this and writes Execute() and
// capabilities().
//
// Errors:   InvalidNamespace (see ErrorKind) from a put. InvalidArgument for a
//           filter with another operator, or a ttl that is not above zero.
//           Unimplemented for a ttl where capabilities() has none. Unknown if
//           Execute() throws, ResourceExhausted if it throws std::bad_alloc.
//           Each message names the namespace and key, or the operator. Other
//           codes are the store's own. A batch that fails has stored nothing.
// Threads:  thread-safe. Calls block until they are done.
// Ordering: a batch is as if it took place at one moment: its reads see what
//           was there before its puts, and nobody sees a part of its puts.
// Lifetime: must outlive the runs that it is given to.
// Source:   LangGraph's BaseStore.
class WEIR_EXPORT Store {
 public:
  virtual ~Store() = default;

  virtual StoreCapabilities capabilities() const = 0;

  // Stores `value`, in place of what was there; an absent one deletes it. The
  // namespace is not empty, its labels are not empty and have no '.', and the
  // first is not "langgraph".
  [[nodiscard]] absl::Status Put(StoreNamespace ns, std::string key,
                                 Value value, PutOptions options = {});

  // The item, or nothing if there is none.
  [[nodiscard]] absl::StatusOr<std::optional<StoreItem>> Get(
      StoreNamespace ns, std::string key, GetOptions options = {});

  // Deletes the item, if there is one.
  [[nodiscard]] absl::Status Delete(StoreNamespace ns, std::string key);

  // The items whose namespaces begin with `prefix` (all, if it is empty) and
  // that match the filter, by namespace, then key. With a query, those that are
  // most similar to it first, and those that have no vectors last.
  [[nodiscard]] absl::StatusOr<std::vector<StoreItem>> Search(
      StoreNamespace prefix, SearchOptions options = {});

  // The namespaces that have items, sorted.
  [[nodiscard]] absl::StatusOr<std::vector<StoreNamespace>> ListNamespaces(
      ListNamespacesOptions options = {});

  // Does all of `ops` at once, and gives their results in the same order. Of
  // several puts of one key the last is done.
  [[nodiscard]] absl::StatusOr<std::vector<StoreResult>> Batch(
      std::vector<StoreOp> ops);

 private:
  // Does what Batch() says. The operations have been checked for all that is
  // InvalidArgument or Unimplemented.
  virtual absl::StatusOr<std::vector<StoreResult>> Execute(
      std::vector<StoreOp> ops) = 0;
};

// For a store of your own: whether a value matches a filter that Batch() has
// let through, and a namespace the conditions of a list.
WEIR_EXPORT bool Matches(const Value& value, const StoreFilter& filter);
WEIR_EXPORT bool Matches(const StoreNamespace& ns,
                         const ListNamespacesOptions& conditions);

}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_STORE_H_
