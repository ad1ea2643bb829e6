#ifndef WEIR_RUNTIME_MIGRATION_H_
#define WEIR_RUNTIME_MIGRATION_H_

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "weir/channels/value.h"
#include "weir/export.h"

// What a host says of a graph that has changed under its saved threads.
namespace weir {
inline namespace v0 {

namespace internal {
class SavedBy;
}  // namespace internal

// SavedState: the channels of a checkpoint, for a Migration to change.
//
// Shape:    a channel has what its kind saves: what is read, but for
//           LastValueAfterFinish<T> a std::pair<T, bool>, whether it shows. Of
//           a kind of your own that has a Growth, what is added has to have
//           the bytes of a list, as ready kinds have.
// Errors:   NotFound for a channel that holds nothing. FailedPrecondition for
//           one that holds another type. DataLoss for bytes that are not the
//           type's. Each names the channel.
// Threads:  single-owner.
// Lifetime: of the call that it is given to.
class WEIR_EXPORT SavedState {
 public:
  bool Has(std::string_view channel) const;

  template <class T>
  absl::StatusOr<T> Get(std::string_view channel) const {
    absl::StatusOr<Value> value = Read(channel, TypeOf<T>());
    if (!value.ok()) return value.status();
    return (*std::move(value)).template Take<T>();
  }
  // Fills the channel, which the checkpoint need not have.
  template <class T>
  void Set(std::string_view channel, T value) {
    Write(channel, Value(std::move(value)));
  }
  // Sets the channel to what `convert(const Old&)` makes of what it holds, if
  // it holds anything. What tasks have written to it that is not merged yet is
  // converted as well, where it is an Old; see ConvertWrites(). `convert` is
  // kept until the thread is loaded, and so has to capture by value.
  template <class Old, class F>
  absl::Status Convert(std::string_view channel, F convert) {
    return ConvertValue(channel, TypeOf<Old>(), Wrap<Old>(std::move(convert)));
  }
  // Converts alone what tasks have written to the channel that is not merged
  // yet. Besides Convert() for a channel that is written otherwise than it is
  // read, as an AppendLog<Old> is by an Old.
  template <class Old, class F>
  void ConvertWrites(std::string_view channel, F convert) {
    ConvertWritten(channel, TypeOf<Old>(), Wrap<Old>(std::move(convert)));
  }

 private:
  friend class internal::SavedBy;
  explicit SavedState(internal::SavedBy* of) : of_(of) {}

  template <class Old, class F>
  static std::function<Value(const Value&)> Wrap(F convert) {
    return [convert = std::move(convert)](const Value& old) {
      return Value(convert(*old.As<Old>()));
    };
  }
  absl::StatusOr<Value> Read(std::string_view channel,
                             const internal::ValueType* type) const;
  void Write(std::string_view channel, Value value);
  absl::Status ConvertValue(std::string_view channel,
                            const internal::ValueType* type,
                            std::function<Value(const Value&)> convert);
  void ConvertWritten(std::string_view channel, const internal::ValueType* type,
                      std::function<Value(const Value&)> convert);

  internal::SavedBy* const of_;
};

// Migration: brings what one version of a graph has saved of a thread to what a
// later one takes, wherever the checkpoint is loaded: to run on, to show or
// change its state, to go back to. The store keeps what it has; what is saved
// next is of the new version.
//
//   builder.Compile(
//       {.version = 2,
//        .migrations = {
//            {.from = 0, .to = 1, .nodes = {{"ask", "approve"}, {"log", ""}}},
//            {.from = 1, .to = 2, .values = [](weir::SavedState& state) {
//               return state.Convert<int>("total", [](int cents) {
//                 return absl::StrCat(cents / 100.0);
//               });
//             }}}});
//
// A task keeps its id, and so do its questions and what it has called, when its
// node is renamed. A task of a node that is dropped is not run, and its
// questions are gone; what led to it leads nowhere, and a join does not wait
// for it. Each graph inside another has its own version and migrations. What an
// older weir has saved, which notes no version, counts as of version 0. Once a
// task has ended in the new version, the old one refuses the thread.
//
// Errors:   FailedPrecondition of a thread whose nodes both become one and are
//           both to run; of one that is to go on where a task of a dropped node
//           has ended and is not merged yet, unless it wrote nothing and led
//           nowhere by itself: go on with the graph that saved the thread until
//           the superstep has ended, or rename the node; of a join that has
//           begun and changes, if '+' in the name of a node leaves open whose
//           it is. Compile() refuses with InvalidArgument an old name that a
//           node of the graph has again, if that node or the renamed one has a
//           graph inside or NodeOptions::calls: what is stored of graphs inside
//           is found by the name.
// Threads:  `values` is called by several runs at once.
struct Migration {
  // CompileOptions::version; at most one migration begins at each.
  int from = 0;
  int to = 0;
  // Old names to new ones, all at once; to "": dropped. A node in which a graph
  // of Memory::kOfThread is has to keep its name.
  std::map<std::string, std::string> nodes{};
  std::map<std::string, std::string> channels{};
  // Then changes values, by the channels' new names. Its failure is that of
  // whoever loads.
  std::function<absl::Status(SavedState&)> values{};
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_MIGRATION_H_
