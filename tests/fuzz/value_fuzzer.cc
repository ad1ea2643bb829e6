// Values: by their codecs, and with the names of their types.

#include "weir/channels/value.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_graph.h"

#include "weir/channels/codec.h"
#include "weir/channels/internal/type_table.h"

namespace weir {
namespace {

template <class T>
void Decode(std::string_view bytes) {
  Value value;
  const absl::Status read = internal::DecodeAll(TypeOf<T>(), bytes, &value);
  if (!read.ok()) return RequireRefusal(read);
  std::string first;
  Require(value.Encode(&first).ok(), "a value that was read has no bytes");
  Value again;
  Require(internal::DecodeAll(TypeOf<T>(), first, &again).ok(),
          "what was encoded does not decode");
  std::string second;
  Require(again.Encode(&second).ok() && first == second,
          "another value came back");
  (void)value.ToJson();
}

void DecodeNamed(std::string_view bytes) {
  const internal::TypeTable& types = *FuzzedGraph().names->types;
  Value value;
  std::string_view rest = bytes;
  const absl::Status read = types.Decode(&rest, &value);
  if (!read.ok()) return RequireRefusal(read);
  std::string first;
  Require(types.Encode(value, &first).ok(), "a value that was read");
  (void)value.ToJson();
}

using Readers = void (*)(std::string_view);
constexpr Readers kReaders[] = {
    &DecodeNamed,
    &Decode<bool>,
    &Decode<int8_t>,
    &Decode<int16_t>,
    &Decode<uint32_t>,
    &Decode<int64_t>,
    &Decode<float>,
    &Decode<double>,
    &Decode<std::string>,
    &Decode<None>,
    &Decode<std::vector<std::string>>,
    &Decode<std::vector<std::vector<bool>>>,
    &Decode<std::map<std::string, std::vector<int>>>,
    &Decode<std::unordered_map<int, std::string>>,
    &Decode<std::optional<std::optional<int>>>,
    &Decode<std::vector<std::pair<std::string, double>>>,
    &Decode<Parcel>,
    &Decode<std::vector<Parcel>>,
};

}  // namespace

std::vector<std::string> Seeds() {
  const Value values[] = {
      Value(5),
      Value(true),
      Value("text"),
      Value(1.5),
      Value(None()),
      Value(std::vector<std::string>{"a", "b"}),
      Value(Parcel{"ann", 5, {{"bob", 6}}, {{"n", 1.5}, {"m", {}}}})};
  std::vector<std::string> seeds;
  for (const Value& value : values) {
    std::string bytes;
    (void)value.Encode(&bytes);
    for (size_t i = 1; i < std::size(kReaders); ++i) {
      seeds.push_back(static_cast<char>(i) + bytes);
    }
    std::string named(1, '\0');
    (void)FuzzedGraph().names->types->Encode(value, &named);
    seeds.push_back(std::move(named));
  }
  return seeds;
}

}  // namespace weir

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  weir::Bytes input(data, size);
  const size_t reader = input.Byte() % std::size(weir::kReaders);
  weir::kReaders[reader](input.Rest());
  return 0;
}
