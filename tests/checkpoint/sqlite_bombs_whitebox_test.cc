// Records that say they are more than they are, and names that nobody would
// choose: refused or kept, in memory that what is there justifies.

#include <zstd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/checkpoint/temp_folder.h"
#include "tests/checkpoint/waited_calls.h"

#include "weir/checkpoint/internal/packed.h"
#include "weir/checkpoint/internal/record.h"
#include "weir/checkpoint/internal/stored.h"
#include "weir/checkpoint/sqlite_checkpointer.h"

namespace {

// All that was allocated, freed since or not; a count, so relaxed.
std::atomic<size_t> allocated{0};

}  // namespace

void* operator new(size_t size) {
  allocated.fetch_add(size, std::memory_order_relaxed);
  if (void* made = std::malloc(size); made != nullptr) return made;
  throw std::bad_alloc();
}
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  allocated.fetch_add(size, std::memory_order_relaxed);
  return std::malloc(size);
}
void operator delete(void* at) noexcept { std::free(at); }
void operator delete(void* at, size_t) noexcept { std::free(at); }

namespace weir {
namespace internal {
namespace {

constexpr size_t kFew = 100000;

const StoredNamespace kIn{.row = 1, .thread = "t", .ns = ""};
const CheckpointId kId{1, 1};

std::string CheckpointKey() {
  return Packer().Number('c').Text("t").Text("").Id(kId).bytes();
}
std::string ValueKey() {
  return Packer().Number('v').Text("t").Text("").Text("a").Number(1).bytes();
}
std::string WriteKey() {
  return Packer()
      .Number('w')
      .Text("t")
      .Text("")
      .Id(kId)
      .Text("task")
      .Signed(0)
      .Text("")
      .bytes();
}

// Decodes a payload as each kind of record; what that has allocated, beside the
// payload, if that had been compressed.
size_t Decode(const std::string& payload) {
  const std::string checkpoint = SealRecord(payload, CheckpointKey());
  const std::string value = SealRecord(payload, ValueKey());
  const std::string write = SealRecord(payload, WriteKey());
  const size_t before = allocated.load(std::memory_order_relaxed);
  for (const absl::Status& s :
       {DecodeCheckpoint(kIn, kId, checkpoint).status(),
        DecodeValue(kIn, "a", 1, value).status(),
        DecodeWrite(kIn, kId, "task", 0, "", write).status()}) {
    EXPECT_TRUE(s.ok() || absl::IsDataLoss(s)) << s;
  }
  const size_t took = allocated.load(std::memory_order_relaxed) - before;
  const bool compressed = checkpoint.size() < payload.size();
  return took - (compressed ? 3 * payload.size() : 0);
}

// The fields of a checkpoint before the counts in it.
Packer Begin() {
  return Packer().Id({}).Signed(0).Signed(0).Text("loop").Signed(0).Text("");
}

TEST(SqliteBombsTest, WhatIsDeclaredIsNotAllocated) {
  for (const uint64_t declared :
       {uint64_t{1000}, uint64_t{100000000}, uint64_t{1} << 40, ~uint64_t{0}}) {
    // Lengths, and numbers of parents, entries and channels.
    EXPECT_LT(Decode(Packer().Number(declared).bytes()), kFew);
    EXPECT_LT(Decode(Begin().Number(declared).bytes()), kFew);
    EXPECT_LT(Decode(Begin().Number(0).Number(declared).bytes()), kFew);
    EXPECT_LT(Decode(Begin().Number(0).Number(0).Number(declared).bytes()),
              kFew);
    EXPECT_LT(Decode(Begin().Number(1).Number(declared).Rest("x").bytes()),
              kFew);
  }
}

TEST(SqliteBombsTest, ManyEmptyFieldsAreNotManyChannels) {
  const std::string zeros(1 << 20, '\0');
  EXPECT_LT(
      Decode(
          Begin().Number(0).Number(0).Number(zeros.size()).Rest(zeros).bytes()),
      kFew);
  // Entries of a map replace one another.
  const std::string entries =
      Begin().Number(0).Number(zeros.size() / 2).Rest(zeros).bytes();
  EXPECT_LT(Decode(entries), kFew);
}

TEST(SqliteBombsTest, ANumberWithoutAnEndIsRefused) {
  for (const char c : {'\x80', '\xff'}) {
    EXPECT_LT(Decode(std::string(1 << 20, c)), 4 * (1 << 20));
    EXPECT_LT(Decode(Begin().Rest(std::string(1 << 20, c)).bytes()), kFew);
  }
}

// A kilobyte for each byte of it, and more than a reader takes.
std::string Zeros(size_t size, uint32_t declared) {
  std::string payload("\0\1", 2);  // A whole value.
  payload.resize(size);
  std::string framed = SealRecord(payload, ValueKey());
  framed.resize(framed.size() - 8);
  for (size_t i = 0; i < 4; ++i) {
    framed[4 + i] = static_cast<char>(declared >> (8 * i));
  }
  return framed + RecordChecksumForTesting(framed, ValueKey());
}

TEST(SqliteBombsTest, WhatIsCompressedGivesNoMoreThanItsLimit) {
  const auto decode = [](const std::string& record, size_t& took) {
    const size_t before = allocated.load(std::memory_order_relaxed);
    const absl::Status s = DecodeValue(kIn, "a", 1, record).status();
    took = allocated.load(std::memory_order_relaxed) - before;
    return s;
  };
  size_t took = 0;
  constexpr uint32_t kSize = 4000000;
  const std::string bomb = Zeros(kSize, kSize);
  EXPECT_LT(bomb.size(), kSize / 1000);
  EXPECT_TRUE(decode(bomb, took).ok());
  EXPECT_LT(took, 2 * kSize + kFew);  // And the value that is asked for.
  // Other lengths than it has are refused before there is room for them.
  for (const uint32_t declared :
       {uint32_t{0}, kSize - 1, kSize + 1, uint32_t{kMaxCompressedBytes},
        uint32_t{0xffffffff}}) {
    const absl::Status s = decode(Zeros(kSize, declared), took);
    EXPECT_TRUE(absl::IsDataLoss(s)) << s;
    EXPECT_LT(took, kFew) << declared;
  }
  // Frames that go on: more than one, and one that says it is larger.
  std::string more(1 << 20, '\0');
  const size_t frame =
      ZSTD_compress(more.data(), more.size(),
                    std::string(100 << 20, '\0').data(), 100 << 20, 1);
  ASSERT_FALSE(ZSTD_isError(frame));
  for (const uint32_t declared : {uint32_t{100 << 20}, kSize}) {
    std::string framed("\x57\x01\x01\x00", 4);
    for (int i = 0; i < 4; ++i) {
      framed += static_cast<char>(declared >> (8 * i));
    }
    framed += more.substr(0, frame);
    framed += RecordChecksumForTesting(framed, ValueKey());
    const absl::Status s = decode(framed, took);
    EXPECT_TRUE(absl::IsDataLoss(s)) << s;
    EXPECT_LT(took, kFew);
  }
}

// Packs of many empty things.
TEST(SqliteBombsTest, APackIsNoMoreThanItIsToBe) {
  for (const std::string_view kind :
       {kCheckpointPack, std::string_view("ca")}) {
    for (const uint64_t count : {uint64_t{1}, uint64_t{1} << 24}) {
      PackRow row{.kind = std::string(kind),
                  .last = IdToBytes({9, 9}),
                  .first = IdToBytes({0, 0}),
                  .count = count};
      Packer payload;
      if (count == 1) {  // One of very many writes.
        payload.Number(1).Id(kId).Text(
            Begin().Number(0).Number(0).Number(0).bytes());
        payload.Text(
            Packer().Number(1 << 22).Rest(std::string(16 << 20, '\0')).bytes());
      } else {
        payload.Number(count).Rest(std::string(40 << 20, '\0'));
      }
      Packer key;
      key.Number('p').Text("t").Text("").Text(row.kind).Text(row.last);
      key.Text(row.first).Number(row.count).Text(row.runs);
      const std::string record = SealRecord(payload.bytes(), key.bytes());
      EXPECT_LT(record.size(), kFew);
      const size_t before = allocated.load(std::memory_order_relaxed);
      const absl::Status s = kind == kCheckpointPack
                                 ? DecodePack(kIn, row, record).status()
                                 : DecodeValuePack(kIn, row, record).status();
      EXPECT_TRUE(absl::IsDataLoss(s)) << s;
      EXPECT_LT(allocated.load(std::memory_order_relaxed) - before,
                kMaxCompressedBytes + kFew);
    }
  }
}

class SqliteBombsInStoreTest : public testing::Test {
 protected:
  SqliteStore Opened(SqliteOptions options = {}) {
    auto store = SqliteCheckpointer::Open(folder_.File("db"), options);
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }

  const TempFolder folder_;
};

TEST_F(SqliteBombsInStoreTest, NamesMayHoldAnyBytes) {
  const std::string names[] = {std::string("a\0b", 3), "\xff\xfe\xc0\x80",
                               std::string(1 << 20, 'n'), "'; DROP TABLE t"};
  SqliteStore store = Opened();
  for (const std::string& name : names) {
    const Fence fence = OpenThread(*store, name)->fence;
    NewCheckpoint made = NextCheckpoint(1, name);
    made.checkpoint.ns = name;
    made.checkpoint.channels[0].channel = name;
    made.checkpoint.metadata.run_id = name;
    EXPECT_TRUE(PutCheckpoint(*store, fence, std::move(made)).ok());
    NewWrites writes{.ns = name, .checkpoint = {1, 1}};
    writes.writes.push_back(
        {.task_id = name, .task_path = name, .channel = name});
    EXPECT_TRUE(PutTaskWrites(*store, fence, std::move(writes)).ok());
  }
  store = nullptr;
  store = Opened();
  for (const std::string& name : names) {
    const auto got = GetCheckpoint(*store, {.thread = name, .ns = name});
    ASSERT_TRUE(got.ok() && got->has_value()) << got.status();
    const Checkpoint& c = (*got)->checkpoint;
    EXPECT_EQ(c.channels.at(0).channel, name);
    EXPECT_EQ(*c.channels[0].value.bytes(), name);
    EXPECT_EQ(c.metadata.run_id, name);
    EXPECT_EQ((*got)->writes.at(0).task_id, name);
    EXPECT_EQ((*got)->writes[0].task_path, name);
    EXPECT_TRUE(DeleteThread(*store, name).ok());
  }
  EXPECT_TRUE(ListCheckpoints(*store)->empty());
}

TEST_F(SqliteBombsInStoreTest, AHeaderThatIsTooLargeIsRefusedAsAWhole) {
  const SqliteStore store = Opened({.max_header_bytes = 100000});
  const Fence fence = OpenThread(*store, "t")->fence;
  ASSERT_TRUE(PutCheckpoint(*store, fence, NextCheckpoint(1, "v")).ok());
  NewCheckpoint large = NextCheckpoint(2, std::string(1000000, 'v'));
  large.checkpoint.metadata.custom["text"] = std::string(100000, 't');
  const absl::Status s = PutCheckpoint(*store, fence, std::move(large));
  EXPECT_TRUE(absl::IsResourceExhausted(s)) << s;
  EXPECT_TRUE(absl::StrContains(s.message(), "max_header_bytes")) << s;
  EXPECT_EQ(ListCheckpoints(*store)->size(), 1);
  // It grows with the channels that its base has.
  uint64_t last = 1;
  absl::Status full;
  while (full.ok()) {
    NewCheckpoint more = NextCheckpoint(last + 1, "v");
    more.checkpoint.channels[0].channel =
        absl::StrCat(std::string(10000, 'c'), last);
    full = PutCheckpoint(*store, fence, std::move(more));
    if (full.ok()) ++last;
  }
  EXPECT_TRUE(absl::IsResourceExhausted(full)) << full;
  EXPECT_GE(last, 9U);
  EXPECT_EQ(ListCheckpoints(*store)->size(), last);
  EXPECT_TRUE(PutCheckpoint(*store, fence, NextCheckpoint(last + 1, "w")).ok());
}

TEST_F(SqliteBombsInStoreTest, SixteenMebibytesAreTheLimitOtherwise) {
  const SqliteStore store = Opened();
  const Fence fence = OpenThread(*store, "t")->fence;
  NewCheckpoint large = NextCheckpoint(1, "v");
  large.checkpoint.metadata.custom["text"] = std::string(15 << 20, 't');
  EXPECT_TRUE(PutCheckpoint(*store, fence, std::move(large)).ok());
  large = NextCheckpoint(2, "v");
  large.checkpoint.metadata.custom["text"] = std::string(16 << 20, 't');
  EXPECT_TRUE(absl::IsResourceExhausted(
      PutCheckpoint(*store, fence, std::move(large))));
}

}  // namespace
}  // namespace internal
}  // namespace weir
