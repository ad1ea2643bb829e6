#ifndef WEIR_CHANNELS_APPEND_LOG_H_
#define WEIR_CHANNELS_APPEND_LOG_H_

#include <algorithm>
#include <atomic>
#include <cassert>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "weir/channels/channel.h"
#include "weir/channels/codec.h"
#include "weir/channels/internal/refusals.h"
#include "weir/channels/internal/wire.h"
#include "weir/channels/internal/written.h"
#include "weir/export.h"

namespace weir {
inline namespace v0 {

// AppendLog: a list that grows at its end, with the semantics of a value: a
// copy is a list of its own, but shares the elements.
//
// Shape:    chunks of 8 elements, then 16 and so on up to 1,024 (or 16 KiB),
//           each of which knows the one before it. A copy is a pointer and a
//           size. The copy that first appends behind the shared elements does
//           so in place; one that comes later copies the last chunk.
// Cost:     copy O(1); Append() O(1); operator[] O(log chunks); a pass from
//           begin() to end() O(size). Nothing is allocated but chunks.
// Threads:  thread-compatible. Copies of one log are independent: each may be
//           read, appended to and dropped by its own worker.
// Lifetime: references to elements live as long as any log that has them.
// Source:   the chunks' `jump` pointers are those of E. Myers, "An applicative
//           random-access stack" (1983).
template <class T>
class WEIR_EXPORT AppendLog {
 public:
  class const_iterator;
  using value_type = T;
  using iterator = const_iterator;

  AppendLog() = default;
  AppendLog(std::initializer_list<T> elements)
      : AppendLog(elements.begin(), elements.end()) {}
  template <std::input_iterator It>
  AppendLog(It first, It last) {
    for (; first != last; ++first) Append(*first);
  }

  AppendLog(const AppendLog& other) noexcept
      : tail_(other.tail_), size_(other.size_) {
    if (tail_ != nullptr) tail_->Ref();
  }
  AppendLog(AppendLog&& other) noexcept
      : tail_(std::exchange(other.tail_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  AppendLog& operator=(AppendLog other) noexcept {
    std::swap(tail_, other.tail_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~AppendLog() { Chunk::Unref(tail_); }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  const T& operator[](size_t i) const {
    assert(i < size_);
    const Chunk* chunk = tail_->Find(i);
    return chunk->slots()[i - chunk->start];
  }
  const T& back() const {
    assert(size_ > 0);
    return tail_->slots()[size_ - 1 - tail_->start];
  }
  const_iterator begin() const { return const_iterator(tail_, size_); }
  const_iterator end() const { return const_iterator(size_); }

  void Append(const T& element) { Append(T(element)); }
  void Append(T&& element) {
    if (tail_ == nullptr || !tail_->Append(size_ - tail_->start, element)) {
      AppendToNewChunk(element);
    }
    ++size_;
  }

  // How many elements this has at its beginning that are the very ones of
  // `base`, as the chunk tells that `base` ends in: all of them, or, if that
  // was copied, those before it, or none.
  size_t SharedWith(const AppendLog& base) const {
    if (base.size_ == 0 || base.size_ > size_) return 0;
    const Chunk* chunk = tail_->Find(base.size_ - 1);
    if (chunk == base.tail_) return base.size_;
    return chunk->prev == base.tail_->prev ? chunk->start : 0;
  }

  // Drops all elements but the first `size`. What they hold may be freed only
  // when elements are next appended in their place.
  void Truncate(size_t size) {
    if (size >= size_) return;
    if (size == 0) {
      *this = AppendLog();
      return;
    }
    Chunk* tail = tail_->Find(size - 1);
    tail->Ref();
    Chunk::Unref(std::exchange(tail_, tail));
    size_ = size;
  }

  friend bool operator==(const AppendLog& a, const AppendLog& b) requires
      std::equality_comparable<T> {
    if (a.size_ != b.size_) return false;
    return a.tail_ == b.tail_ || std::equal(a.begin(), a.end(), b.begin());
  }

 private:
  struct Chunk;

  // Makes a chunk for one more element: behind the last one if that is full,
  // in place of it if another log has appended to it.
  void AppendToNewChunk(T& element) {
    AppendLog next;  // Owns the chunk should copying an element throw.
    if (tail_ == nullptr) {
      next.tail_ = Chunk::New(nullptr, 0, Chunk::kMinSlots);
    } else if (size_ - tail_->start == tail_->capacity) {
      next.tail_ = Chunk::New(tail_, size_,
                              std::min(2 * tail_->capacity, Chunk::kMaxSlots));
    } else {
      next.tail_ = Chunk::New(tail_->prev, tail_->start, tail_->capacity);
      for (size_t i = 0; i < size_ - tail_->start; ++i) {
        T copy(tail_->slots()[i]);
        next.tail_->Append(i, copy);
      }
    }
    next.tail_->Append(size_ - next.tail_->start, element);
    std::swap(tail_, next.tail_);
  }

  Chunk* tail_ = nullptr;  // Holds the last element; null while empty.
  size_t size_ = 0;
};

// A chunk's elements follow it in memory. Chunks before the last of a log are
// full.
template <class T>
struct alignas(std::max(alignof(T), alignof(void*))) AppendLog<T>::Chunk {
  static constexpr uint32_t kMinSlots = 8;
  static constexpr uint32_t kMaxSlots =
      std::clamp<uint32_t>(uint32_t{16384} / sizeof(T), kMinSlots, 1024);

  static Chunk* New(Chunk* prev, size_t start, uint32_t capacity) {
    void* memory = ::operator new(sizeof(Chunk) + capacity * sizeof(T),
                                  std::align_val_t(alignof(Chunk)));
    return ::new (memory) Chunk(prev, start, capacity);
  }

  Chunk(Chunk* before, size_t first, uint32_t slot_count)
      : prev(before), start(first), capacity(slot_count) {
    if (prev == nullptr) return;
    prev->Ref();
    depth = prev->depth + 1;
    // Two jumps of the same length in a row make one of twice that.
    Chunk* far = prev->jump;
    jump = prev->depth - far->depth == far->depth - far->jump->depth ? far->jump
                                                                     : prev;
  }

  // Relaxed: whoever copies a reference already holds one.
  void Ref() noexcept { refs.fetch_add(1, std::memory_order_relaxed); }

  // A loop, since the chain may be long. Release publishes this owner's use of
  // the chunk to the owner that frees it; acquire is that owner's side.
  static void Unref(Chunk* chunk) noexcept {
    while (chunk != nullptr &&
           chunk->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      Chunk* prev = chunk->prev;
      chunk->DestroyFrom(0);
      chunk->~Chunk();
      ::operator delete(chunk, std::align_val_t(alignof(Chunk)));
      chunk = prev;
    }
  }

  // The chunk of this chain that holds element `i` of the log, which does not
  // come after this chunk.
  Chunk* Find(size_t i) {
    Chunk* chunk = this;
    while (chunk->start > i) {
      chunk = chunk->jump->start > i ? chunk->jump : chunk->prev;
    }
    return chunk;
  }

  // Moves `element` into the slot `offset`, the first that the caller's log
  // does not have. False if there is none or another log has taken it.
  bool Append(size_t offset, T& element) {
    if (offset == capacity || !Claim(static_cast<uint32_t>(offset))) {
      return false;
    }
    Unclaim unclaim{this, static_cast<uint32_t>(offset)};
    ::new (static_cast<void*>(slots() + offset)) T(std::move(element));
    unclaim.chunk = nullptr;
    return true;
  }

  bool Claim(uint32_t offset) {
    // Acquire pairs with the release in Unref(): with one reference left, to
    // the caller's log, what longer logs put here is theirs no more.
    if (refs.load(std::memory_order_acquire) == 1) {
      if (claimed.load(std::memory_order_relaxed) > offset) {
        DestroyFrom(offset);
      }
      claimed.store(offset + 1, std::memory_order_relaxed);
      return true;
    }
    // Relaxed: decides who owns the slot, and publishes nothing. A reader of
    // the slot has its log from the worker that filled it.
    return claimed.compare_exchange_strong(offset, offset + 1,
                                           std::memory_order_relaxed,
                                           std::memory_order_relaxed);
  }

  // Gives a slot back whose element could not be made. Nobody can have claimed
  // the next one: that takes a log that has this one.
  struct Unclaim {
    ~Unclaim() {
      if (chunk != nullptr) {
        chunk->claimed.store(offset, std::memory_order_relaxed);
      }
    }
    Chunk* chunk;
    uint32_t offset;
  };

  // Requires that no log has the elements from `offset` on.
  void DestroyFrom(uint32_t offset) noexcept {
    const uint32_t end = claimed.load(std::memory_order_relaxed);
    if (offset < end) std::destroy(slots() + offset, slots() + end);
    claimed.store(offset, std::memory_order_relaxed);
  }

  T* slots() { return std::launder(reinterpret_cast<T*>(this + 1)); }
  const T* slots() const {
    return std::launder(reinterpret_cast<const T*>(this + 1));
  }

  // Fixed after construction.
  Chunk* const prev;        // Owned.
  const size_t start;       // The index of the first slot's element in the log.
  const uint32_t capacity;  // Slots.
  uint32_t depth = 0;       // The number of chunks before this one.
  Chunk* jump = this;       // An earlier chunk, or the first one itself.

  // Logs that end here and chunks that follow this one.
  std::atomic<uint32_t> refs{1};
  // Slots that hold or are about to hold an element; logs of different lengths
  // end here. Moved on by Claim(), which says why relaxed is enough.
  std::atomic<uint32_t> claimed{0};
};

template <class T>
class AppendLog<T>::const_iterator {
 public:
  using iterator_category = std::forward_iterator_tag;
  using value_type = T;
  using difference_type = ptrdiff_t;
  using pointer = const T*;
  using reference = const T&;

  const_iterator() = default;

  const T& operator*() const { return *at_; }
  const T* operator->() const { return at_; }
  const_iterator& operator++() {
    ++index_;
    if (++at_ == chunk_end_ && index_ < size_) Enter();
    return *this;
  }
  const_iterator operator++(int) {
    const_iterator before = *this;
    ++*this;
    return before;
  }
  friend bool operator==(const const_iterator& a, const const_iterator& b) {
    return a.index_ == b.index_;
  }

 private:
  friend class AppendLog;
  const_iterator(Chunk* tail, size_t size) : tail_(tail), size_(size) {
    if (size_ > 0) Enter();
  }
  explicit const_iterator(size_t end) : index_(end) {}

  // Finds the chunk of the element at `index_`.
  void Enter() {
    const Chunk* chunk = tail_->Find(index_);
    at_ = chunk->slots() + (index_ - chunk->start);
    chunk_end_ = chunk->slots() +
                 std::min<size_t>(chunk->capacity, size_ - chunk->start);
  }

  Chunk* tail_ = nullptr;
  size_t size_ = 0;
  size_t index_ = 0;
  const T* at_ = nullptr;
  const T* chunk_end_ = nullptr;
};

template <HasCodec T>
struct Codec<AppendLog<T>> : internal::ListCodec<AppendLog<T>, T> {
  static absl::Status Decode(std::string_view* in, AppendLog<T>* log) {
    *log = AppendLog<T>();
    return internal::DecodeEach<T>(in, [log](T element) {
      log->Append(std::move(element));
      return true;
    });
  }
};

namespace internal {

// Of a List that is an AppendLog<T> or has one, and befriends this.
template <class List, class T>
class LogGrowth final : public Growth {
 public:
  Value Mark(const Value& snapshot) const override {
    const auto* list = snapshot.As<List>();
    return list == nullptr ? Value() : Value(Log(*list));
  }
  Value Added(const Value& mark, const Value& snapshot) const override {
    const auto* before = mark.As<AppendLog<T>>();
    const auto* list = snapshot.As<List>();
    if (before == nullptr || list == nullptr) return Value();
    const AppendLog<T>& log = Log(*list);
    if (!BeginsWith(log, *before)) return Value();
    AppendLog<T> added;
    for (size_t i = before->size(); i < log.size(); ++i) added.Append(log[i]);
    return Value(std::move(added));
  }
  const ValueType* added_type() const override {
    return &ValueTypeOf<AppendLog<T>>::kType;
  }
  absl::Status Add(const Value& added, Value* snapshot) const override {
    const auto* log = added.As<AppendLog<T>>();
    auto* list = snapshot->Mutable<List>();
    if (log == nullptr) return WrongSnapshot(added, added_type()->name);
    if (list == nullptr) {
      return WrongSnapshot(*snapshot, ValueTypeOf<List>::kType.name);
    }
    for (const T& one : *log) list->Append(one);
    return absl::OkStatus();
  }

 private:
  // Elements to compare at most: those of a chunk, which is copied when two
  // logs append behind it, as that of a node may that was given this one.
  static constexpr size_t kCompared = 1024;

  static bool BeginsWith(const AppendLog<T>& log, const AppendLog<T>& base) {
    if (log.size() < base.size()) return false;
    const size_t shared = log.SharedWith(base);
    if (base.size() - shared > kCompared) return false;
    for (size_t i = shared; i < base.size(); ++i) {
      if (!HaveSameBytes(log[i], base[i])) return false;
    }
    return true;
  }
  // What is stored is to be the same; == may see less.
  static bool HaveSameBytes(const T& a, const T& b) {
    if constexpr (HasCodec<T>) {
      std::string bytes[2];
      Codec<T>::Encode(a, &bytes[0]);
      Codec<T>::Encode(b, &bytes[1]);
      return !Nesting::TakeRefusal() && bytes[0] == bytes[1];
    } else {
      return false;
    }
  }
  static const AppendLog<T>& Log(const List& list) {
    if constexpr (std::same_as<List, AppendLog<T>>) {
      return list;
    } else {
      return list.messages_;
    }
  }
};

template <class List, class T>
inline constexpr LogGrowth<List, T> kLogGrowth{};

template <class T>
class AppendLogKind final : public ChannelKind {
 public:
  std::string_view name() const override { return "AppendLog"; }
  const ValueType* read_type() const override {
    return &ValueTypeOf<AppendLog<T>>::kType;
  }
  void Init(ChannelState& state) const override {
    state.value = Value(AppendLog<T>());
  }

  absl::StatusOr<bool> Apply(ChannelState& state, Value write,
                             bool overwrite) const override {
    // A log is what a graph inside another is given and gives back.
    const auto* whole = write.As<AppendLog<T>>();
    if (whole == nullptr && !CarriesWritten<T>(write)) {
      return WrongType(write, TypeName<T>());
    }
    if (overwrite && state.overwritten) return SecondOverwrite();
    if (state.overwritten) return false;  // Writes after an Overwrite are void.
    state.overwritten = overwrite;
    if (overwrite) state.value = Value(AppendLog<T>());
    if (whole != nullptr && state.value.As<AppendLog<T>>()->empty()) {
      state.value = std::move(write);  // Its structure is shared.
      return true;
    }
    AppendLog<T>& log = *state.value.template Mutable<AppendLog<T>>();
    if (whole != nullptr) {
      for (const T& one : *whole) log.Append(one);
      return true;
    }
    ForEachWritten<T>(std::move(write),
                      [&log](T one) { log.Append(std::move(one)); });
    return true;
  }

  const Growth* growth() const override { return &kLogGrowth<AppendLog<T>, T>; }
};

}  // namespace internal

// AppendLogChannel<T>(): a list that starts empty and grows by each write, in
// merge order: by a T, or by the elements of a std::vector<T> or, where a T may
// itself be a list (nlohmann::json), of such a list, or of an AppendLog<T>. An
// Overwrite with any of these replaces it. A store of bytes is given only what
// is new.
template <class T>
ChannelDef<AppendLog<T>, OneOrMany<T>> AppendLogChannel() {
  return {std::make_shared<internal::AppendLogKind<T>>()};
}

}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHANNELS_APPEND_LOG_H_
