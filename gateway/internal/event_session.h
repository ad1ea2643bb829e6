#ifndef WEIR_GATEWAY_INTERNAL_EVENT_SESSION_H_
#define WEIR_GATEWAY_INTERNAL_EVENT_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "weir/gateway/internal/http_server.h"

namespace weir {
inline namespace v0 {
namespace internal {

// The last frames of a stream that ends with `status`: none if the run ended
// so, which has told it itself.
std::string LastFrames(const absl::Status& status);
// Whether a stream that ends so is cut, for its client to come back.
bool EndsByShutdown(const absl::Status& status);
// Why a client that does not keep up gets no more.
absl::Status Lagged(int64_t last_id, size_t unsent);
// The same of one who kept up too late.
absl::Status NotRejoined(const absl::Status& status);

// EventSession: one client that reads a stream: formats what comes as frames,
// and lets the stream go where the client leaves or does not keep up.
//
// Stream is RunStream or ThreadStream, Record what it reads. `Wire` has
// Append(const Record&, std::string* frames) and, for what is said at the end,
// End(const Stream&, std::string* frames).
//
// Threads:  the stream's calls come one by one on workers, those of the
//           exchange on an I/O thread.
// Lifetime: the exchange holds it until the answer has ended.
template <class Stream, class Record, class Wire>
class EventSession final
    : public std::enable_shared_from_this<EventSession<Stream, Record, Wire>> {
 public:
  struct Options {
    std::string heartbeat{};
    absl::Duration every{};
    size_t max_unsent_bytes = 0;
    // A stream that goes on after the event of this id, for a client that has
    // caught up; it may wait. Null where what is missed is lost.
    std::function<absl::StatusOr<Stream>(int64_t last_id)> rejoin{};
    // Told if the client leaves before the end; it may wait. May be null.
    std::function<void()> left{};
    // Runs what may wait.
    std::function<void(HttpServer::Job)> post{};
  };

  EventSession(std::shared_ptr<HttpExchange> exchange, Wire wire,
               Options options)
      : exchange_(std::move(exchange)),
        wire_(std::move(wire)),
        options_(std::move(options)) {}

  void Start(Stream stream, HttpResponse head) {
    const auto self = this->shared_from_this();
    exchange_->Watch([self] { self->Left(); }, [self] { self->Sent(); });
    exchange_->Begin(std::move(head), options_.heartbeat, options_.every);
    Listen(std::move(stream));
  }

 private:
  void Listen(Stream stream) {
    // Shared: who lets it go may do so before this is through.
    const auto listens = std::make_shared<Stream>(std::move(stream));
    uint64_t number = 0;
    {
      absl::MutexLock lock(&mutex_);
      if (gone_) return;
      last_id_ = listens->last_event_id();
      stream_ = listens;
      number = ++streams_;
    }
    const std::weak_ptr<EventSession> weak = this->weak_from_this();
    listens->Listen(
        [weak, number](const Record& record) {
          if (const auto self = weak.lock()) self->OnEvent(number, record);
        },
        [weak, number](const absl::Status& status) {
          if (const auto self = weak.lock()) self->OnEnd(number, status);
        });
  }

  // A stream that was let go may still tell something.
  void OnEvent(uint64_t number, const Record& record) {
    {
      absl::MutexLock lock(&mutex_);
      if (stream_ == nullptr || number != streams_) return;
      last_id_ = stream_->last_event_id();
    }
    frames_.clear();
    wire_.Append(record, &frames_);
    if (frames_.empty()) return;
    exchange_->Write(frames_);
    const size_t unsent = exchange_->unsent();
    if (unsent <= options_.max_unsent_bytes) return;
    if (options_.rejoin == nullptr) {
      Release();
      Finish(Lagged(last_id(), unsent));
      return;
    }
    Release(/*waits=*/true);
    // It may all have been sent meanwhile.
    if (exchange_->unsent() == 0) Sent();
  }

  void OnEnd(uint64_t number, const absl::Status& status) {
    {
      absl::MutexLock lock(&mutex_);
      if (stream_ == nullptr || number != streams_) return;
      frames_.clear();
      wire_.End(*stream_, &frames_);
    }
    if (!frames_.empty()) exchange_->Write(frames_);
    Finish(status);
  }

  void Finish(const absl::Status& status) {
    if (EndsByShutdown(status)) return exchange_->Cut();
    const std::string frames = LastFrames(status);
    if (!frames.empty()) exchange_->Write(frames);
    exchange_->End();
  }

  // All that was written has been sent.
  void Sent() {
    {
      absl::MutexLock lock(&mutex_);
      if (!std::exchange(waits_, false)) return;
    }
    options_.post([self = this->shared_from_this()] {
      absl::StatusOr<Stream> stream = self->options_.rejoin(self->last_id());
      if (stream.ok()) {
        self->Listen(*std::move(stream));
      } else {
        self->Finish(NotRejoined(stream.status()));
      }
    });
  }

  void Left() {
    options_.post([self = this->shared_from_this()] {
      {
        absl::MutexLock lock(&self->mutex_);
        self->gone_ = true;
      }
      self->Release();
      if (self->options_.left != nullptr) self->options_.left();
    });
  }

  // Lets the stream go: with `waits`, until Sent(), which may bring the next
  // one before this one is quite gone.
  void Release(bool waits = false) {
    std::shared_ptr<Stream> stream;
    absl::MutexLock lock(&mutex_);
    waits_ = waits;
    stream = std::move(stream_);
  }

  int64_t last_id() {
    absl::MutexLock lock(&mutex_);
    return last_id_;
  }

  const std::shared_ptr<HttpExchange> exchange_;
  Wire wire_;           // Of the stream's calls.
  std::string frames_;  // Likewise.
  const Options options_;

  absl::Mutex mutex_;
  std::shared_ptr<Stream> stream_ ABSL_GUARDED_BY(mutex_);
  uint64_t streams_ ABSL_GUARDED_BY(mutex_) = 0;  // So many so far.
  int64_t last_id_ ABSL_GUARDED_BY(mutex_) = -1;
  bool waits_ ABSL_GUARDED_BY(mutex_) = false;  // For Sent().
  bool gone_ ABSL_GUARDED_BY(mutex_) = false;   // The client.
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_GATEWAY_INTERNAL_EVENT_SESSION_H_
