// The frame of records, and the fields in them.

#include "weir/checkpoint/internal/record.h"

#include <string>
#include <string_view>

#include "tests/fuzz/fuzz.h"

namespace weir {
namespace {

using internal::Packer;
using internal::SealRecord;
using internal::Unpacker;
using internal::UnsealRecord;

constexpr std::string_view kKey = "key";

void Unseal(const std::string& record) {
  std::string buffer;
  const auto payload = UnsealRecord(record, kKey, buffer);
  if (!payload.ok()) return RequireRefusal(payload.status());
  // What is compressed has many forms.
  const std::string again = SealRecord(*payload, kKey);
  std::string unsealed;
  Require(again == record || again[2] != 0 || record[2] != 0,
          "one payload, two records");
  Require(*UnsealRecord(again, kKey, unsealed) == *payload, "another payload");
  RequireRefusal(UnsealRecord(record, "another key", unsealed).status());
}

// Fields as `order` says, each packed again as it was read.
void Unpack(Bytes& order, std::string_view bytes) {
  Unpacker from(bytes);
  Packer read;
  while (from.ok() && !order.empty()) {
    switch (order.Byte() % 6) {
      case 0:
        read.Number(from.Number());
        break;
      case 1:
        read.Signed(from.Signed());
        break;
      case 2:
        read.Text(from.Text());
        break;
      case 3:
        read.Id(from.Id());
        break;
      case 4:
        Require(from.Count() <= bytes.size(), "more fields than bytes");
        break;
      default:
        read.Rest(from.Rest());
    }
  }
  Require(read.bytes().size() <= bytes.size() + 16 + 10, "more was read");
}

}  // namespace

std::vector<std::string> Seeds() {
  const std::string fields =
      Packer().Number(300).Signed(-5).Text("text").Id({1, 2}).bytes();
  const std::string sealed = SealRecord(fields, kKey);
  const std::string compressed = SealRecord(std::string(1500, 'x'), kKey);
  return {std::string("\0", 1) + sealed, std::string("\1", 1) + sealed,
          std::string("\0", 1) + compressed,
          std::string("\1", 1) + compressed.substr(0, compressed.size() - 8),
          std::string("\2\4\0\1\2\3", 6) + fields};
}

}  // namespace weir

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  weir::Bytes input(data, size);
  const int how = input.Byte() % 3;
  if (how == 0) {
    weir::Unseal(std::string(input.Rest()));
  } else if (how == 1) {  // Past the checksum.
    std::string framed(input.Rest());
    framed += weir::internal::RecordChecksumForTesting(framed, weir::kKey);
    weir::Unseal(framed);
  } else {
    weir::Bytes order(data, 0);
    const std::string_view ops = input.Take(input.Byte());
    order = {reinterpret_cast<const uint8_t*>(ops.data()), ops.size()};
    weir::Unpack(order, input.Rest());
  }
  return 0;
}
