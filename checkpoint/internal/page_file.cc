#include "weir/checkpoint/internal/page_file.h"

#include <sqlite3.h>

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"

#include "weir/checkpoint/internal/database.h"
#include "weir/checkpoint/internal/log_format.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

constexpr size_t kDatabaseHeader = 100;

}  // namespace

absl::StatusOr<std::unique_ptr<PageFile>> PageFile::Open(
    const std::string& path, const std::string& vfs) {
  sqlite3_vfs* below = sqlite3_vfs_find(vfs.empty() ? nullptr : vfs.c_str());
  if (below == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrFormat("SQLite has no VFS '%s'", vfs));
  }
  std::unique_ptr<PageFile> made(new PageFile());
  if (absl::Status s = made->Begin(path, below); !s.ok()) return s;
  if (absl::Status s = made->CheckHeader(path); !s.ok()) return s;
  return made;
}

absl::Status PageFile::Begin(const std::string& path, sqlite3_vfs* vfs) {
  file_ = VfsFile::Open(vfs, path, SQLITE_OPEN_MAIN_DB);
  if (file_ == nullptr) {
    return absl::NotFoundError(
        absl::StrFormat("there is no file '%s' that can be read", path));
  }
  const std::optional<std::string> header = file_->Read(0, kDatabaseHeader);
  const uint32_t said = header ? BigEndian(*header, 16, 2) : 0;
  // The least that is no power of two any more after a changed bit.
  if (said >= 512 && (said & (said - 1)) == 0) page_bytes_ = said;
  if (said == 1) page_bytes_ = 65536;
  log_ = VfsFile::Open(vfs, path + "-wal", SQLITE_OPEN_WAL);
  if (log_ != nullptr) ReadLog();
  return absl::OkStatus();
}

// Whether and whose it is, and how many pages it has.
absl::Status PageFile::CheckHeader(const std::string& path) {
  present_ = static_cast<uint32_t>(
      std::min<int64_t>(file_->Size() / static_cast<int64_t>(page_bytes_),
                        std::numeric_limits<uint32_t>::max()));
  for (const auto& [page, at] : frames_) present_ = std::max(present_, page);
  const std::optional<std::string> first = Read(1);
  count_ = committed_ != 0 ? committed_ : present_;
  if (!first) {
    if (AnyPageIsOurs()) return absl::OkStatus();
    return Database::NotOurs(path, "it has no page that weir has written");
  }
  const bool counted = BigEndian(*first, 24) == BigEndian(*first, 92);
  if (committed_ == 0 && counted) count_ = BigEndian(*first, 28);
  present_ = std::min(present_, count_);
  return Database::CheckHeader(path, *first);
}

bool PageFile::AnyPageIsOurs() const {
  constexpr uint32_t kLookAt = 20;
  for (uint32_t page = 2; page <= std::min(present_, kLookAt); ++page) {
    if (Read(page)) return true;
  }
  return false;
}

std::optional<std::string> PageFile::Read(uint32_t number) const {
  if (number == 0 || number > present_) return std::nullopt;
  const auto frame = frames_.find(number);
  if (frame != frames_.end()) return log_->Read(frame->second, page_bytes_);
  const int64_t at =
      static_cast<int64_t>(number - 1) * static_cast<int64_t>(page_bytes_);
  std::optional<std::string> page = file_->Read(at, page_bytes_);
  if (page && !CheckedPages::IsWhole(*page, number)) return std::nullopt;
  return page;
}

bool PageFile::IsBlank(uint32_t number) const {
  const int64_t at =
      static_cast<int64_t>(number - 1) * static_cast<int64_t>(page_bytes_);
  const std::optional<std::string> page = file_->Read(at, page_bytes_);
  return page && page->find_first_not_of('\0') == std::string::npos;
}

void PageFile::ReadLog() {
  const std::optional<std::string> begin = log_->Read(0, kLogHeaderBytes);
  if (!begin) return;
  const std::optional<LogHeader> header = LogHeader::Parse(*begin);
  if (!header || header->page != page_bytes_) {
    log_damaged_ = log_->Size() > static_cast<int64_t>(kLogHeaderBytes);
    return;
  }
  const auto frame_bytes =
      static_cast<int64_t>(kFrameHeaderBytes + page_bytes_);
  LogSums sums = header->sums;
  absl::flat_hash_map<uint32_t, int64_t> since;  // Of the transaction.
  int64_t at = kLogHeaderBytes;
  for (; at + frame_bytes <= log_->Size(); at += frame_bytes) {
    const auto frame = log_->Read(at, static_cast<size_t>(frame_bytes));
    if (!frame || !header->IsOfThisLog(*frame)) break;
    sums = header->AddFrame(sums, *frame);
    if (sums != LogSums::At(*frame, 16)) break;
    since[BigEndian(*frame, 0)] = at + static_cast<int64_t>(kFrameHeaderBytes);
    const uint32_t pages = BigEndian(*frame, 4);
    if (pages == 0) continue;
    committed_ = pages;
    for (const auto& [page, place] : since) frames_[page] = place;
    since.clear();
  }
  cut_frames_ = static_cast<uint32_t>(since.size());
  CountCutFrames(at, *header);
}

// What is behind the last good frame, of the same log: those of an older one
// have other salts.
void PageFile::CountCutFrames(int64_t at, const LogHeader& header) {
  const auto frame_bytes =
      static_cast<int64_t>(kFrameHeaderBytes + page_bytes_);
  for (bool first = true; at + frame_bytes <= log_->Size();
       at += frame_bytes, first = false) {
    const std::optional<std::string> frame = log_->Read(at, kFrameHeaderBytes);
    if (!frame || !header.IsOfThisLog(*frame)) {
      // A changed bit in the salts of one frame does not hide those behind it.
      if (!first) return;
      continue;
    }
    ++cut_frames_;
    if (!first && BigEndian(*frame, 4) != 0) log_damaged_ = true;
  }
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
