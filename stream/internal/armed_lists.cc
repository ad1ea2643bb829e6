#include "weir/stream/internal/armed_lists.h"

#include <cassert>
#include <utility>

namespace weir {
inline namespace v0 {

WakeChain::~WakeChain() {
  while (Waiter* waiter = Pop()) waiter->Wake();
}

void WakeChain::WakeNext() && noexcept {
  if (Waiter* waiter = Pop()) waiter->WakeWith(std::move(*this));
}

Waiter* WakeChain::Pop() noexcept {
  while (first_ != nullptr) {
    // Read first: once not listed, the node may be pushed again.
    internal::ArmedNode* const node = std::exchange(first_, first_->next);
    node->listed.exchange(false, std::memory_order_acq_rel);
    Waiter* const waiter =
        node->waiter.exchange(nullptr, std::memory_order_acq_rel);
    node->Unref();
    if (waiter != nullptr) return waiter;
  }
  return nullptr;
}

namespace internal {

ArmedLists::~ArmedLists() {
  // Relaxed: nobody else uses the log any more.
  for (ArmedList* list = &first_; list != nullptr;) {
    ArmedNode* node = list->head.load(std::memory_order_relaxed);
    while (node != nullptr) std::exchange(node, node->next)->Unref();
    node = list->idle;
    while (node != nullptr) std::exchange(node, node->next_idle)->Unref();
    ArmedList* const done = list;
    list = list->next.load(std::memory_order_relaxed);
    if (done != &first_) delete done;
  }
}

ArmedNode* ArmedLists::Adopt(const void* group) {
  const absl::MutexLock lock(&mutex_);
  ArmedList* const list = ListOf(group);
  if (list->idle == nullptr) return new ArmedNode(list);
  return std::exchange(list->idle, list->idle->next_idle);
}

void ArmedLists::Return(ArmedNode* node) {
  assert(node->waiter.load(std::memory_order_relaxed) == nullptr);
  const absl::MutexLock lock(&mutex_);
  node->next_idle = std::exchange(node->list->idle, node);
}

void ArmedLists::Push(ArmedNode* node, Waiter* waiter) {
  node->waiter.store(waiter, std::memory_order_release);
  if (node->listed.exchange(true, std::memory_order_acq_rel)) return;
  node->refs.fetch_add(1, std::memory_order_relaxed);  // It holds one.
  std::atomic<ArmedNode*>& head = node->list->head;
  node->next = head.load(std::memory_order_relaxed);
  while (!head.compare_exchange_weak(
      node->next, node, std::memory_order_release, std::memory_order_relaxed)) {
  }
}

void ArmedLists::WakeAll() {
  for (ArmedList* list = &first_; list != nullptr;
       list = list->next.load(std::memory_order_acquire)) {
    WakeChain chain(list->head.exchange(nullptr, std::memory_order_acquire));
    if (list->group != nullptr) std::move(chain).WakeNext();
  }
}

ArmedList* ArmedLists::ListOf(const void* group) {
  ArmedList* list = &first_;
  while (list->group != group) {
    // Relaxed: only written under mutex_.
    ArmedList* const next = list->next.load(std::memory_order_relaxed);
    if (next == nullptr) {
      list->next.store(new ArmedList(group), std::memory_order_release);
    }
    list = list->next.load(std::memory_order_relaxed);
  }
  return list;
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
