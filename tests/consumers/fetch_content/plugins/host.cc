// A host of two plug-ins that know nothing of each other, each with a weir of
// its own inside: both run graphs at once. Run it as
// `plugins_host FIRST SECOND`, with `one` at the end where they share one weir.

#include <dlfcn.h>

#include <cstdio>
#include <cstring>
#include <thread>

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const void* weirs[2];
  bool right[2] = {true, true};
  {
    std::jthread callers[2];
    for (int i = 0; i < 2; ++i) {
      void* plugin = dlopen(argv[1 + i], RTLD_NOW | RTLD_LOCAL);
      if (plugin == nullptr) {
        std::fprintf(stderr, "%s\n", dlerror());
        return 1;
      }
      using Sum = int (*)(int);
      using Where = const void* (*)();
      const Sum sum_to = reinterpret_cast<Sum>(dlsym(plugin, "SumTo"));
      weirs[i] = reinterpret_cast<Where>(dlsym(plugin, "WeirOf"))();
      callers[i] = std::jthread([sum_to, &ok = right[i]] {
        for (int n = 1; n <= 100; ++n) ok &= sum_to(n) == n * (n + 1) / 2;
      });
    }
  }
  const bool one = argc > 3 && std::strcmp(argv[3], "one") == 0;
  if ((weirs[0] == weirs[1]) != one) {
    std::fprintf(stderr, "the plug-ins have %s\n",
                 one ? "a weir each" : "one weir");
    return 1;
  }
  std::printf("sums: %s, %s\n", right[0] ? "right" : "wrong",
              right[1] ? "right" : "wrong");
  return right[0] && right[1] ? 0 : 1;
}
