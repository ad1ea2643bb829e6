#include <cstdio>
#include <string>
#include <string_view>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

// Runs the tests of a program that many files are compiled into, as GoogleTest
// does; with --file=runtime/runs_test.cc only those of that file.
int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  std::string_view file = argc > 1 ? argv[1] : "";
  if (file.empty()) return RUN_ALL_TESTS();
  constexpr std::string_view kFile = "--file=";
  if (argc > 2 || file.substr(0, kFile.size()) != kFile) {
    std::fprintf(stderr, "%s: unknown argument '%s'\n", argv[0],
                 argv[argc - 1]);
    return 2;
  }
  file.remove_prefix(kFile.size());

  std::string names;
  const testing::UnitTest& all = *testing::UnitTest::GetInstance();
  for (int i = 0; i < all.total_test_suite_count(); ++i) {
    const testing::TestSuite& suite = *all.GetTestSuite(i);
    for (int j = 0; j < suite.total_test_count(); ++j) {
      const testing::TestInfo& test = *suite.GetTestInfo(j);
      if (!absl::EndsWith(test.file(), "_test.cc")) {
        std::fprintf(stderr,
                     "%s: who includes it must be a program of its own, or "
                     "its tests are those of no file\n",
                     test.file());
        return 2;
      }
      if (!absl::EndsWith(test.file(), absl::StrCat("/", std::string(file)))) {
        continue;
      }
      absl::StrAppend(&names, ":", suite.name(), ".", test.name());
    }
  }
  if (names.empty()) {
    std::fprintf(stderr, "no test is of a file '%s'\n",
                 std::string(file).c_str());
    return 1;
  }
  testing::GTEST_FLAG(filter) = names.substr(1);
  return RUN_ALL_TESTS();
}
