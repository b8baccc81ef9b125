#!/usr/bin/env bash
# Puts libtorch 2.11.0, the one that tch 0.24.0 links, into a cache and prints where it lies.
set -euo pipefail

readonly VERSION=2.11.0
readonly DRIVER=580 # the oldest NVIDIA driver that runs the CUDA 13 inside this libtorch

usage() {
    cat <<'HELP'
Usage: eval "$(scripts/setup-libtorch.sh [--cpu | --cuda])"

Fetches libtorch from the Python package index once, keeps it in a cache, and prints
`export LIBTORCH=...` on stdout; everything else goes to stderr.

  --cpu    only what a CPU needs (download 540 MB, kept 500 MB, 1.1 GB while it works)
  --cuda   all of it, CUDA libraries included (download and kept: several GB)
  (none)   --cuda where nvidia-smi finds a GPU or the CUDA build is here already, else --cpu

LIBTORCH is always the same path, a link to the flavour asked for last: changing flavour needs
no rebuild, and a program built against either runs with the CUDA build. So on a cluster whose
login node has no GPU, say --cuda there. Not needed at all if LIBTORCH names another libtorch 2.11.0.

Environment:
  METAQNN_CACHE   the cache (default ${XDG_CACHE_HOME:-~/.cache}/metaqnn)
  PYTHON          the interpreter whose pip downloads (default python3; any version)
  CC              the C compiler (default cc)
HELP
}

fail() {
    echo "setup-libtorch: $1" >&2
    exit 4
}

say() {
    echo "setup-libtorch: $1" >&2
}

flavour=auto
for argument in "$@"; do
    case $argument in
    --cpu) flavour=cpu ;;
    --cuda) flavour=cuda ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && echo "setup-libtorch: unknown argument \`$argument\`" >&2 && exit 2 ;;
    esac
done

home=~ # the shell knows it even where HOME is not set
cache=${METAQNN_CACHE:-${XDG_CACHE_HOME:-$home/.cache}/metaqnn}
python=${PYTHON:-python3}
compiler=${CC:-cc}
link=$cache/libtorch

[ "$(uname -sm)" = "Linux x86_64" ] ||
    fail "only Linux x86_64 is prepared for (set LIBTORCH to a libtorch $VERSION of your own)"

gpu_driver() {
    nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null | head -n 1
}

if [ "$flavour" = auto ]; then
    driver=$(gpu_driver || true)
    if [ -e "$cache/$VERSION-cuda/complete" ] || [[ $driver =~ ^[0-9]+\. ]]; then
        flavour=cuda
    else
        flavour=cpu
    fi
fi
target=$cache/$VERSION-$flavour

need_tools() {
    command -v "$python" >/dev/null ||
        fail "\`$python\` not found (install Python 3 with pip: apt-get install python3-pip)"
    "$python" -m pip --version >/dev/null 2>&1 ||
        fail "\`$python\` has no pip (apt-get install python3-pip, or $python -m ensurepip --user)"
    command -v "$compiler" >/dev/null ||
        fail "no C compiler \`$compiler\` (apt-get install g++; building metaqnn-torch needs it too)"
}

# A wheel is only an archive here: which Python it is made for does not matter, so that any may download it.
for_any_python=(--only-binary=:all: --implementation cp --python-version 3.12 --abi cp312 --abi none)
pip() {
    "$python" -m pip --disable-pip-version-check "$@" >&2 ||
        fail "pip could not fetch libtorch (see above: network, proxy, or space in \`$cache\`)"
}

# Unpacks what matches one of the shell patterns from the wheels of a folder.
unpack() { # WHEELS INTO PATTERN...
    "$python" - "$@" <<'PY'
import fnmatch, pathlib, sys, zipfile
wheels, into, *patterns = sys.argv[1:]
for wheel in pathlib.Path(wheels).glob("*.whl"):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
                archive.extract(name, into)
PY
}

# libtorch_cpu.so names two small CUDA libraries that it never calls without a GPU;
# the package's metadata says which versions.
cuda_runtime_requirement() { # UNPACKED
    sed -nE 's/^Requires-Dist: cuda-toolkit\[[^]]*\]==([0-9.]+).*/cuda-toolkit[cudart,cupti]==\1/p' \
        "$1/torch-$VERSION.dist-info/METADATA" | head -n 1
}

make_cpu() { # INTO
    local wheels=$1/wheels requirement
    pip download -q --no-cache-dir --no-deps "${for_any_python[@]}" -d "$wheels/torch" "torch==$VERSION"
    unpack "$wheels/torch" "$1" 'torch/lib/libc10.so' 'torch/lib/libtorch_cpu.so' \
        'torch/lib/libgomp.so.1' 'torch/include/*' "torch-$VERSION.dist-info/METADATA"
    requirement=$(cuda_runtime_requirement "$1")
    [ -n "$requirement" ] || fail "torch $VERSION does not say which CUDA runtime it is linked to"
    pip download -q --no-cache-dir "${for_any_python[@]}" -d "$wheels/cuda" "$requirement"
    unpack "$wheels/cuda" "$1" '*/libcudart.so.*' '*/libcupti.so.*'
    rm -rf "$wheels"
    # The package's libtorch.so only names libtorch_cpu and libtorch_cuda: an empty one that names
    # the first alone takes its place.
    "$compiler" -x c -shared -fPIC -o "$1/torch/lib/libtorch.so" /dev/null -Wl,-soname,libtorch.so \
        -L"$1/torch/lib" -Wl,--no-as-needed -l:libtorch_cpu.so -l:libc10.so \
        -Wl,--allow-shlib-undefined -Wl,--disable-new-dtags,-rpath,'$ORIGIN' >&2 ||
        fail "\`$compiler\` could not link libtorch.so"
}

make_cuda() { # INTO
    pip install -q --no-cache-dir --no-warn-conflicts "${for_any_python[@]}" --target "$1" "torch==$VERSION"
}

mkdir -p "$cache" || fail "cannot make the cache \`$cache\` (set METAQNN_CACHE to a folder you may write)"
# The rename below keeps two that run at once from harming each other; the lock only keeps the
# second from downloading too, and where there is none it does.
if command -v flock >/dev/null; then
    exec 9>"$cache/setup-libtorch.lock"
    flock 9 || true
fi

if [ ! -e "$target/complete" ]; then
    need_tools
    say "fetching libtorch $VERSION ($flavour) into \`$cache\`, once"
    aside=$(mktemp -d "$cache/unfinished.XXXXXX")
    trap 'rm -rf "$aside"' EXIT
    "make_$flavour" "$aside"
    # The build script of torch-sys checks its version by this file, which only other packages of libtorch have.
    echo "$VERSION" >"$aside/torch/build-version"
    touch "$aside/complete"
    chmod 755 "$aside"
    mv -T "$aside" "$target" 2>/dev/null || [ -e "$target/complete" ] ||
        fail "cannot move libtorch to \`$target\` (remove that folder)"
fi

if [ "$(readlink "$link" || true)" != "$VERSION-$flavour/torch" ]; then
    ln -s "$VERSION-$flavour/torch" "$link.$$"
    mv -T "$link.$$" "$link"
fi

driver=$(gpu_driver || true)
if [ "$flavour" = cuda ] && [[ $driver =~ ^([0-9]+)\. ]] && [ "${BASH_REMATCH[1]}" -lt "$DRIVER" ]; then
    say "the NVIDIA driver here is $driver; this libtorch sees GPUs from driver $DRIVER on"
fi
printf 'export LIBTORCH=%q\n' "$link"
