#ifndef WEIR_RUNTIME_INTERNAL_REF_H_
#define WEIR_RUNTIME_INTERNAL_REF_H_

#include <atomic>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace weir {
inline namespace v0 {
namespace internal {

// The count of a T that is owned through Ref<T>.
template <class T>
class RefCounted {
 public:
  RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;

  // Relaxed: whoever adds a reference already holds one.
  void AddRef() const { refs_.fetch_add(1, std::memory_order_relaxed); }
  // Release publishes this owner's use to the owner that deletes; acquire is
  // that owner's side.
  void DropRef() const {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      delete static_cast<const T*>(this);
    }
  }

 private:
  mutable std::atomic<uint32_t> refs_{1};  // Owners; a new object has one.
};

// Ref<T>: shared ownership of a RefCounted<T>, one pointer wide.
template <class T>
class Ref {
 public:
  Ref() = default;
  // Takes over the reference that a new object is born with.
  static Ref Adopt(T* object) { return Ref(object); }
  // Adds a reference.
  static Ref Share(T* object) {
    object->AddRef();
    return Ref(object);
  }

  Ref(const Ref& other) : object_(other.object_) {
    if (object_ != nullptr) object_->AddRef();
  }
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  template <class U>
  requires std::is_convertible_v<U*, T*>
  // NOLINTNEXTLINE(google-explicit-constructor): as a pointer converts
  Ref(Ref<U> other)
  noexcept : object_(other.release()) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_ != nullptr) object_->DropRef();
  }

  T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }
  T* release() { return std::exchange(object_, nullptr); }

 private:
  explicit Ref(T* object) : object_(object) {}

  T* object_ = nullptr;
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_REF_H_
