#ifndef WEIR_GATEWAY_INTERNAL_PAGE_H_
#define WEIR_GATEWAY_INTERNAL_PAGE_H_

#include <string>
#include <string_view>

namespace weir {
inline namespace v0 {
namespace internal {

// The page at "/", page.html as it was when weir was built, with `nonce` in its
// elements that run and style it.
std::string PageText(std::string_view nonce);

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_GATEWAY_INTERNAL_PAGE_H_
