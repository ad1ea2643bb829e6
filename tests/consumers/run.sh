#!/usr/bin/env bash
# Builds and runs hosts of weir, a line for each, and ends at the first that fails: hosts that find an installed weir by
# CMake and by pkg-config, archives and shared libraries; and hosts that build weir as a part of themselves.
#
#   tests/consumers/run.sh
#
# Installs build/release and build/tidy where they are, and otherwise what it builds itself. All else is in
# build/consumers.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
hosts=$PWD/tests/consumers
work=$PWD/build/consumers
mkdir -p "$work"
export CXX=${CXX:-g++} CMAKE_GENERATOR=Ninja CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
command -v ccache > /dev/null && export CMAKE_CXX_COMPILER_LAUNCHER=ccache

# step <what> <command>...: in a shell of its own, ended by any failure; what it says is shown then.
step() {
  local start=$SECONDS
  ("${@:2}") > "$work/log" 2>&1 &
  wait $! || { cat "$work/log"; echo "FAILED  $1"; exit 1; }
  echo "ok  $1, $((SECONDS - start)) s"
}

# install_weir <kind> <build folder> <its BUILD_SHARED_LIBS>
install_weir() {
  local build=build/$2 shared
  shared=$(sed -n 's/^BUILD_SHARED_LIBS:.*=//p' "$build/CMakeCache.txt") || shared=none
  if [[ "${shared:-OFF}" != "$3" ]]; then
    build=$work/weir-$1
    cmake -S . -B "$build" -DBUILD_SHARED_LIBS="$3" -DWEIR_BUILD_TESTS=OFF -DWEIR_GATEWAY=ON
  fi
  cmake --build "$build" --target weir_channels weir_checkpoint weir_stream weir_runtime weir-cli \
    $(sed -n 's/^WEIR_GATEWAY:.*=ON$/weir_gateway/p' "$build/CMakeCache.txt")
  rm -rf "${work:?}/$1"
  cmake --install "$build" --prefix "$work/$1"
  "$work/$1/bin/weir" --help
}

# fresh <folder>: an empty one to work in.
fresh() {
  rm -rf "${work:?}/$1"
  mkdir -p "$work/$1"
  cd "$work/$1"
}

by_cmake() {
  fresh "find_package-$1"
  cmake -S "$hosts/find_package" -B . -DCMAKE_BUILD_TYPE=Debug -DCMAKE_PREFIX_PATH="$work/$1"
  cmake --build .
  ./app
  ./store_test
}

by_pkg_config() {
  fresh "pkg_config-$1"
  PKG_CONFIG_PATH=$(dirname "$(find "$work/$1" -name weir.pc)") make -f "$hosts/pkg_config/Makefile" "${@:2}"
  ./app
}

protobuf() {
  fresh "protobuf-$1"
  cmake -S "$hosts/protobuf" -B . -DCMAKE_BUILD_TYPE=Debug -DCMAKE_PREFIX_PATH="$work/$1"
  cmake --build .
  ./orders
}

gateway() {
  fresh "gateway-$1"
  cmake -S "$hosts/gateway" -B . -DCMAKE_BUILD_TYPE=Debug -DCMAKE_PREFIX_PATH="$work/$1"
  cmake --build .
  python3 "$hosts/../examples/check_serve.py" ./serve
}

# A type of values is one thing for a program and for the library, unless it is the library's alone: visible in it.
visible_types() {
  fresh visible_types
  nm -C "$work"/shared/lib/libweir_*.so > symbols
  grep -q "ValueTypeOf<int>" symbols
  ! grep -E " [bdr] weir::v0::internal::ValueTypeOf<" symbols | grep -v "ValueTypeOf<weir::v0::internal::"
}

# The working tree as a repository of its own, so that what is not committed is tested, too.
repository() {
  rm -rf "$work/weir.git"
  git init -q -b main "$work/weir.git"
  git -c safe.directory='*' ls-files -coz --exclude-standard | tar -c --null -T - --ignore-failed-read | tar -xC "$work/weir.git"
  cd "$work/weir.git"
  git add .
  git -c user.name=weir -c user.email=weir@localhost commit -q -m "what is to be tested"
}

# From archives to shared libraries weir is only linked anew: this folder is kept. Compiled as few files, as a host may.
fetched() {
  cmake -S "$hosts/fetch_content" -B "$work/fetch_content" \
    -DWEIR_REPOSITORY="file://$work/weir.git" -DWEIR_COMMIT="$(git -C "$work/weir.git" rev-parse HEAD)" \
    -DBUILD_SHARED_LIBS="$1" -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DCMAKE_UNITY_BUILD=ON \
    -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG=-O0
  cmake --build "$work/fetch_content"
  cd "$work/fetch_content"
  rm -f app.db*
  ./app
  plugins/plugins_host plugins/libfirst.so plugins/libsecond.so "$2"
}

step "install, static" install_weir static release OFF
step "install, shared" install_weir shared tidy ON
for kind in static shared; do
  step "find_package, $kind" by_cmake $kind
  step "pkg-config, $kind" by_pkg_config $kind
  step "pkg-config --static, without RTTI, $kind" by_pkg_config $kind STATIC=--static CXXFLAGS=-fno-rtti
  step "Protobuf messages, $kind" protobuf $kind
  step "gateway, $kind" gateway $kind
done
step "types of values, shared" visible_types
step "repository" repository
step "FetchContent, static; two plug-ins with a weir each" fetched OFF each
step "FetchContent, shared; two plug-ins with one weir" fetched ON one
