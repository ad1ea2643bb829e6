#include "weir/checkpoint/internal/record.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "tests/checkpoint/waited_calls.h"

namespace weir {
namespace {

using internal::Packer;
using internal::SealRecord;
using internal::Unpacker;

absl::StatusOr<std::string> Unseal(const std::string& record,
                                   std::string_view key) {
  std::string buffer;
  const absl::StatusOr<std::string_view> payload =
      internal::UnsealRecord(record, key, buffer);
  if (!payload.ok()) return payload.status();
  return std::string(*payload);
}

TEST(RecordTest, GivesThePayloadBackUnderItsKeyAlone) {
  for (const std::string& payload :
       {std::string(), std::string("payload"), std::string(1023, 'x'),
        std::string(1024, 'x'), std::string(100000, '\0'), Noise(1024),
        Noise(100000), Noise(1000) + std::string(1000, 'x')}) {
    const std::string record = SealRecord(payload, "key");
    EXPECT_LE(record.size(), payload.size() + 16);
    EXPECT_EQ(*Unseal(record, "key"), payload);
    EXPECT_TRUE(absl::IsDataLoss(Unseal(record, "kez").status()));
    EXPECT_TRUE(absl::IsDataLoss(Unseal(record, "").status()));
  }
}

TEST(RecordTest, WhatIsLongIsCompressedIfThatSavesAnEighth) {
  EXPECT_LT(SealRecord(std::string(1024, 'x'), "key").size(), 100);
  EXPECT_EQ(SealRecord(std::string(1023, 'x'), "key").size(), 1023 + 16);
  EXPECT_EQ(SealRecord(Noise(5000), "key").size(), 5000 + 16);
  EXPECT_EQ(SealRecord(Noise(5000) + std::string(500, 'x'), "key").size(),
            5500 + 16);
  EXPECT_LT(SealRecord(Noise(5000) + std::string(1000, 'x'), "key").size(),
            5200);
  // More than a reader would allocate.
  const std::string large(internal::kMaxCompressedBytes + 1, 'x');
  EXPECT_EQ(SealRecord(large, "key").size(), large.size() + 16);
}

TEST(RecordTest, EachChangedBitAndEachLengthIsFound) {
  for (const std::string& record :
       {SealRecord("some payload", "key"),
        SealRecord(std::string(1500, 'x'), "key")}) {
    for (size_t bit = 0; bit < record.size() * 8; ++bit) {
      std::string changed = record;
      changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ 1 << bit % 8);
      EXPECT_TRUE(absl::IsDataLoss(Unseal(changed, "key").status())) << bit;
    }
    for (size_t size = 0; size < record.size(); ++size) {
      EXPECT_TRUE(
          absl::IsDataLoss(Unseal(record.substr(0, size), "key").status()));
    }
    EXPECT_TRUE(absl::IsDataLoss(Unseal(record + "+", "key").status()));
  }
}

// Records whose checksums hold, though what they hold does not.
TEST(RecordTest, WhatDoesNotDecompressToItsLengthIsDataLoss) {
  const std::string whole = SealRecord(std::string(1500, 'x'), "key");
  const auto sealed = [](std::string framed) {
    return framed + internal::RecordChecksumForTesting(framed, "key");
  };
  std::string framed = whole.substr(0, whole.size() - 8);
  ASSERT_EQ(*Unseal(sealed(framed), "key"), std::string(1500, 'x'));
  for (size_t byte = 4; byte < framed.size(); ++byte) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = framed;
      changed[byte] = static_cast<char>(changed[byte] ^ 1 << bit);
      const absl::StatusOr<std::string> got = Unseal(sealed(changed), "key");
      EXPECT_TRUE(absl::IsDataLoss(got.status()) || got->size() == 1500)
          << byte;
    }
  }
  EXPECT_TRUE(absl::IsDataLoss(
      Unseal(sealed(framed + framed.substr(8)), "key").status()));
  framed.resize(framed.size() - 1);
  EXPECT_TRUE(absl::IsDataLoss(Unseal(sealed(framed), "key").status()));
}

// Two records whose checksums hold, of formats that are yet to come.
TEST(RecordTest, ANewerFormatIsRefusedAndNotTakenForDamage) {
  const std::string format("\x57\x02\x00\x00\x01\x00\x00\x00p", 9);
  const std::string codec("\x57\x01\x02\x00\x01\x00\x00\x00p", 9);
  for (const std::string& framed : {format, codec}) {
    const std::string record =
        framed + internal::RecordChecksumForTesting(framed, "key");
    EXPECT_TRUE(absl::IsFailedPrecondition(Unseal(record, "key").status()));
  }
}

TEST(PackerTest, FieldsComeBackInOrder) {
  Packer out;
  out.Number(0).Number(127).Number(128);
  out.Number(std::numeric_limits<uint64_t>::max());
  out.Signed(0).Signed(-1).Signed(std::numeric_limits<int64_t>::min());
  out.Signed(std::numeric_limits<int64_t>::max());
  out.Text("").Text(std::string("a\0b", 3)).Id({1, 2}).Rest("rest");
  Unpacker in(out.bytes());
  EXPECT_EQ(in.Number(), 0);
  EXPECT_EQ(in.Number(), 127);
  EXPECT_EQ(in.Number(), 128);
  EXPECT_EQ(in.Number(), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(in.Signed(), 0);
  EXPECT_EQ(in.Signed(), -1);
  EXPECT_EQ(in.Signed(), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(in.Signed(), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(in.Text(), "");
  EXPECT_EQ(in.Text(), std::string("a\0b", 3));
  EXPECT_EQ(in.Id(), (CheckpointId{1, 2}));
  EXPECT_EQ(in.Rest(), "rest");
  EXPECT_TRUE(in.done());
}

TEST(UnpackerTest, OtherBytesGiveEmptyFieldsAndNoMore) {
  Unpacker long_text(
      "\x7f"
      "abc");
  EXPECT_EQ(long_text.Text(), "");
  EXPECT_FALSE(long_text.ok());
  EXPECT_EQ(long_text.Number(), 0);
  Unpacker endless(
      std::string_view("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11));
  EXPECT_EQ(endless.Number(), 0);
  EXPECT_FALSE(endless.ok());
  Unpacker many(
      std::string_view("\xff\xff\x03"
                       "ab",
                       5));
  EXPECT_EQ(many.Count(), 0);
  EXPECT_FALSE(many.ok());
  Unpacker short_id("123");
  EXPECT_EQ(short_id.Id(), CheckpointId());
  EXPECT_FALSE(short_id.ok());
}

TEST(IdToBytesTest, BytesSortAsIdsDo) {
  const CheckpointId ids[] = {
      {1, 9}, {2, 0}, {255, 1}, {256, 0}, {uint64_t{1} << 63, 0}};
  for (size_t i = 1; i < 5; ++i) {
    EXPECT_LT(internal::IdToBytes(ids[i - 1]), internal::IdToBytes(ids[i]));
    EXPECT_EQ(internal::IdFromBytes(internal::IdToBytes(ids[i])), ids[i]);
  }
}

}  // namespace
}  // namespace weir
