// The records of the rows of checkpoints, behind a checksum that is right.

#include "weir/checkpoint/internal/stored.h"

#include <string>
#include <string_view>
#include <vector>

#include "tests/fuzz/fuzz.h"

#include "weir/checkpoint/internal/packed.h"
#include "weir/checkpoint/internal/record.h"

namespace weir {
namespace internal {
namespace {

const StoredNamespace kIn{.row = 1, .thread = "t", .ns = "a:b"};
const CheckpointId kId{3, 4};

// The reverse of Put() for each kind: sealed as its row's.
std::string Key(uint64_t table) { return Packer().Number(table).bytes(); }
std::string KeyIn(uint64_t table) {
  return Packer().Number(table).Text("t").Text("a:b").bytes();
}
std::string CheckpointKey() { return KeyIn('c') + Packer().Id(kId).bytes(); }
std::string ValueKey() {
  return KeyIn('v') + Packer().Text("ch").Number(7).bytes();
}
std::string WriteKey() {
  return KeyIn('w') +
         Packer().Id(kId).Text("task").Signed(-3).Text(":run").bytes();
}

// What decodes, encodes to what decodes to the same.
template <class Decode, class Encode>
void Check(std::string_view payload, const std::string& key, Decode decode,
           Encode encode) {
  const auto read = decode(SealRecord(payload, key));
  if (!read.ok()) return RequireRefusal(read.status());
  const std::string bytes = encode(*read);
  const auto again = decode(bytes);
  Require(again.ok(), "what was encoded does not decode");
  Require(encode(*again) == bytes, "another record came back");
}

void Thread(std::string_view payload) {
  Check(
      payload, Key('t') + Packer().Signed(1).Text("t").bytes(),
      [](std::string_view r) { return DecodeThread(1, "t", r); },
      [](const StoredThread& t) { return EncodeThread(t); });
}
void Header(std::string_view payload) {
  Check(
      payload, CheckpointKey(),
      [](std::string_view r) { return DecodeCheckpoint(kIn, kId, r); },
      [](const StoredCheckpoint& c) {
        for (const StoredChannel& channel : c.channels) {
          Require(c.Find(channel.name) == &channel, "a channel is not found");
        }
        return EncodeCheckpoint(kIn, c);
      });
}
void OfChannel(std::string_view payload) {
  Check(
      payload, ValueKey(),
      [](std::string_view r) { return DecodeValue(kIn, "ch", 7, r); },
      [](const StoredValue& v) { return EncodeValue(kIn, "ch", 7, v); });
}
void OfTask(std::string_view payload) {
  Check(
      payload, WriteKey(),
      [](std::string_view r) {
        return DecodeWrite(kIn, kId, "task", -3, ":run", r);
      },
      [](const StoredWrite& w) { return EncodeWrite(kIn, kId, w); });
}
void OfDatabase(std::string_view payload) {
  Check(
      payload, Key('n') + Packer().Text("sessions").bytes(),
      [](std::string_view r) { return DecodeNumber("sessions", r); },
      [](uint64_t n) { return EncodeNumber("sessions", n); });
}

// Of packs the row is fixed but for its number, which is the payload's.
PackRow RowOf(std::string_view payload, std::string_view kind) {
  const uint64_t count = Unpacker(payload).Number();
  if (kind != kCheckpointPack) {
    return {.kind = std::string(kind),
            .last = VersionToBytes(9),
            .first = VersionToBytes(1),
            .count = count};
  }
  return {.kind = std::string(kind),
          .last = IdToBytes({9, 9}),
          .first = IdToBytes({1, 1}),
          .count = count,
          .runs = Packer().Text("run").bytes()};
}
std::string KeyOf(const PackRow& row) {
  Packer key;
  key.Text(row.kind).Text(row.last).Text(row.first).Number(row.count);
  return KeyIn('p') + key.Text(row.runs).bytes();
}
void OfPack(std::string_view payload) {
  const PackRow row = RowOf(payload, kCheckpointPack);
  const auto read = DecodePack(kIn, row, SealRecord(payload, KeyOf(row)));
  if (!read.ok()) return RequireRefusal(read.status());
  if (read->empty()) return;
  PackRow again;
  const std::string record = EncodePack(kIn, *read, again);
  const auto decoded = DecodePack(kIn, again, record);
  Require(decoded.ok() && decoded->size() == read->size(),
          "what was encoded does not decode");
  PackRow third;
  Require(EncodePack(kIn, *decoded, third) == record,
          "another record came back");
}
void OfValuePack(std::string_view payload) {
  const PackRow row = RowOf(payload, ValuePackOf("ch"));
  const auto read = DecodeValuePack(kIn, row, SealRecord(payload, KeyOf(row)));
  if (!read.ok()) return RequireRefusal(read.status());
  if (read->empty()) return;
  PackRow again;
  const std::string record = EncodePack(kIn, "ch", *read, again);
  const auto decoded = DecodeValuePack(kIn, again, record);
  Require(decoded.ok(), "what was encoded does not decode");
  PackRow third;
  Require(EncodePack(kIn, "ch", *decoded, third) == record,
          "another record came back");
}

std::string Payload(const std::string& record) {
  return record.substr(8, record.size() - 16);
}

}  // namespace
}  // namespace internal

std::vector<std::string> Seeds() {
  using namespace internal;  // NOLINT(google-build-using-namespace)
  StoredCheckpoint checkpoint;
  checkpoint.header.id = kId;
  checkpoint.header.parent = {1, 2};
  checkpoint.header.created_at = absl::FromUnixNanos(1700000000123456789);
  checkpoint.header.metadata = {.source = "loop", .step = 5, .run_id = "run"};
  checkpoint.header.metadata.parents[""] = {2, 3};
  checkpoint.header.metadata.custom["user"] = "\"ann\"";
  checkpoint.channels = {{"a", 1, StoredChannel::kNothing},
                         {"b", 2, StoredChannel::kInline, "value"},
                         {"c", 3, StoredChannel::kApart}};
  StoredWrite write;
  write.write.task_path = "path";
  write.write.channel = "ch";
  write.write.value = SavedValue::FromBytes("value");
  write.place = 5;
  write.arrival = 6;
  StoredCheckpoint next = checkpoint;
  next.header.id = {4, 5};
  const std::vector<PackedCheckpoint> checkpoints = {
      {checkpoint, {write, write}}, {next, {}}};
  const std::vector<PackedValue> values = {
      {6, {0, SavedValue::FromBytes("whole")}},
      {7, {6, SavedValue::FromBytes("value")}}};
  PackRow row;
  return {std::string("\0", 1) + Payload(EncodeThread({1, "t", 5, 6, 7})),
          "\1" + Payload(EncodeCheckpoint(kIn, checkpoint)),
          "\2" + Payload(EncodeValue(kIn, "ch", 7,
                                     {6, SavedValue::FromBytes("value")})),
          "\3" + Payload(EncodeWrite(kIn, kId, write)),
          "\4" + Payload(EncodeNumber("sessions", 300)),
          "\5" + Payload(EncodePack(kIn, checkpoints, row)),
          "\6" + Payload(EncodePack(kIn, "ch", values, row))};
}

}  // namespace weir

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr void (*kKinds[])(std::string_view) = {
      &weir::internal::Thread,     &weir::internal::Header,
      &weir::internal::OfChannel,  &weir::internal::OfTask,
      &weir::internal::OfDatabase, &weir::internal::OfPack,
      &weir::internal::OfValuePack};
  weir::Bytes input(data, size);
  const size_t kind = input.Byte() % std::size(kKinds);
  kKinds[kind](input.Rest());
  return 0;
}
