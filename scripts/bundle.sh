#!/usr/bin/env bash
# Puts the headless program, the libraries it needs beyond libc and the default model into one
# folder: copy it to any x86-64 machine with a Vulkan driver (and a libc as new as the one named at
# the end) and run. There is no window and no FFmpeg in it: synthetic sources, raw frames and still
# images.
#
# Usage: scripts/bundle.sh [FOLDER]     (default: out/bundle)
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

out=${1:-$root/out/bundle}
"$root/scripts/setup.sh"
build bundle "autogaze-viewer autogaze-bench"

mkdir -p "$out/lib" "$out/models" || die "$out cannot be made"
for program in autogaze-viewer autogaze-bench; do
    install -s -m 755 "$root/build/bundle/$program" "$out/"
done
cp -R "$root/models/open-gaze" "$out/models/"
cp -R "$root/fixtures" "$out/"
cp "$root/LICENSE" "$out/"
mkdir -p "$out/scripts" && cp "$root"/scripts/perf-* "$out/scripts/"

# The Vulkan loader is opened at run time, so ldd does not list it.
libraries=("$(cc -print-file-name=libvulkan.so.1)")
while read -r name _ path _; do
    case $name in
        linux-vdso.* | */ld-linux* | libc.so.* | libm.so.* | libdl.so.* | libpthread.so.* | librt.so.*) ;;
        *) libraries+=("$path") ;;
    esac
done < <(ldd "$out/autogaze-viewer" "$out/autogaze-bench" | grep '=>')
for library in "${libraries[@]}"; do
    [ -e "$library" ] || die "the library '$library' was not found"
    cp -L "$library" "$out/lib/"
done

libc=$(objdump -T "$out"/autogaze-* "$out"/lib/* | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -n 1)
say "$out ($(du -sh "$out" | cut -f1), needs glibc ${libc#GLIBC_}): copy it, then"
say "    ./autogaze-viewer --headless --frames 300 --screenshot screenshot.png"
say "    ./autogaze-bench verify fixtures/tiny"
say "    scripts/perf-matrix.sh --out matrix && scripts/perf-gates.py matrix    (needs python3)"
