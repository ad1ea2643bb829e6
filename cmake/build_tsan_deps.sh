#!/usr/bin/env bash
# Builds Debian's Abseil and oneTBB with -fsanitize=thread, once, into a cache folder, and prints that folder on the
# last line. Takes one to four minutes on two cores; called again, it returns at once.
#
#   [CXX=g++] cmake/build_tsan_deps.sh
set -euo pipefail

cxx=${CXX:-g++}
# The source package and version behind an installed package, as `name=version`.
source_of() { dpkg-query -W -f '${source:Package}=${source:Version}' "$1"; }
abseil=$(source_of libabsl-dev)
onetbb=$(source_of libtbb-dev)
compiler=$(echo __VERSION__ | "$cxx" -E -P -x c++ - | tr -c '[:alnum:].\n' '-' | sed 's/^-*//; s/-*$//')
recipe=$(sha256sum "${BASH_SOURCE[0]}" | cut -c 1-8)

cache=${XDG_CACHE_HOME:-$HOME/.cache}/weir
prefix=$cache/tsan-$compiler-${abseil/=/-}-${onetbb/=/-}-$recipe
mkdir -p "$cache"
exec 9> "$prefix.lock"
flock 9
if [[ -d "$prefix" ]]; then
  echo "$prefix"
  exit 0
fi

work=$(mktemp -d)
trap 'status=$?; ((status)) && tail -n 50 "$work/log" >&2; rm -rf "$work"; exit $status' EXIT
exec 3> "$work/log"
echo "building $abseil and $onetbb by $cxx with -fsanitize=thread" >&2

# apt works here on a copy of the machine's entries that asks for sources, with lists of its own.
mkdir -p "$work"/{sources.list.d,lists/partial,cache/archives/partial,src}
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*; do
  case $file in
    *.list) sed -nE 's/^[[:space:]]*deb(-src)?[[:space:]]/deb-src /p' "$file" 2>&3 || true ;;
    *.sources) sed -E 's/^Types:.*/Types: deb-src/' "$file" > "$work/sources.list.d/${file##*/}" ;;
  esac
done | sort -u > "$work/sources.list"
apt=(apt-get -q -o Acquire::Retries=3 -o APT::Sandbox::User=root
     -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts="$work/sources.list.d"
     -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache")
# Any source without source packages may fail; `source` below tells whether the two needed are there.
"${apt[@]}" update >&3 2>&1 || true
for package in "$abseil" "$onetbb"; do
  # The installed version leaves the archive when a newer one comes; both are built whole, so any version serves.
  (cd "$work/src" && { "${apt[@]}" source "$package" || "${apt[@]}" source "${package%=*}"; }) >&3 2>&1
done

# build <source package> <cmake option>...
# As C++17: in C++20 the constructor of an atomic writes, and ThreadSanitizer reports that write in Abseil's Mutex.
build() {
  local sources=("$work/src/${1%=*}"-*/)
  cmake -S "${sources[0]}" -B "$work/build" -G Ninja --install-prefix "$work/prefix" \
    -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_COMPILER="$cxx" \
    -DCMAKE_CXX_STANDARD=17 -DBUILD_SHARED_LIBS=OFF "${@:2}"
  cmake --build "$work/build" --target install
  rm -rf "$work/build"
}
build "$abseil" -DCMAKE_CXX_FLAGS=-fsanitize=thread -DABSL_PROPAGATE_CXX_STD=ON -DBUILD_TESTING=OFF >&3 2>&1
build "$onetbb" -DTBB_SANITIZE=thread -DTBB_TEST=OFF -DTBB_STRICT=OFF -DTBBMALLOC_BUILD=OFF \
  -DTBB_DISABLE_HWLOC_AUTOMATIC_SEARCH=ON >&3 2>&1

# In two moves: the cache may be on another file system, and what has the final name must be whole.
rm -rf "$prefix.new"
mv "$work/prefix" "$prefix.new"
mv "$prefix.new" "$prefix"
echo "$prefix"
