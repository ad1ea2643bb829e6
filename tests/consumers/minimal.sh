#!/usr/bin/env bash
# Measures the program of a new user, minimal.cc, with an installed weir that is an archive: how long g++ takes for it
# (the best of five), its size, and the memory it takes to run it.
#
#   tests/consumers/minimal.sh [PREFIX]
set -euo pipefail
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
prefix=$(realpath "${1:-$here/../../build/consumers/static}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name weir.pc)")
export PKG_CONFIG_PATH

# Small itself: a process begins with what its parent had.
gcc -O1 -x c -o measure - <<'END'
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char** argv) {
  if (fork() == 0) return execvp(argv[1], argv + 1), 127;
  struct rusage used;
  int status;
  wait4(-1, &status, 0, &used);
  double seconds = used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
  printf("%.2f %ld\n", seconds, used.ru_maxrss);
  return argc < 2 || status != 0;
}
END

# Processor time: what else the machine does hardly counts.
read -r -a flags <<< "$(pkg-config --cflags weir)"
seconds=$(for _ in 1 2 3 4 5; do ./measure "${CXX:-g++}" -std=c++20 -O2 "${flags[@]}" -c "$here/minimal.cc"; done |
  sort -n | head -1 | cut -d ' ' -f 1)
read -r -a flags <<< "$(pkg-config --libs weir)"
"${CXX:-g++}" minimal.o "${flags[@]}" -o minimal
strip minimal
bytes=$(stat -c %s minimal)
kib=$(./measure ./minimal | cut -d ' ' -f 2)
echo "minimal program: compiled in $seconds s of processor time; $bytes bytes stripped; $kib KiB at its peak"
