#!/bin/bash
# Measures the end-to-end matrix, headless: one summary JSON a case, then aggregate.json and a table.
#   scripts/perf-matrix.sh [--out DIR] [--filter REGEX] [--dry-run] [--frames N] [--warmup N]
#                          [--viewer PROGRAM] [-- options for every case]
# Goes on after a failed case; the exit code says whether any failed. Sizes are 720p and 1080p; mask
# sources autogaze and patch-diff; stress masks x geometry; a software device needs --software.
set -u
here=$(cd "$(dirname "$0")/.." && pwd)
out=out/matrix filter=. dry=0 frames=300 warmup=30 viewer= hardware=--require-hardware
while [ $# -gt 0 ]; do
    case $1 in
    --out) out=$2; shift ;;
    --filter) filter=$2; shift ;;
    --frames) frames=$2; shift ;;
    --warmup) warmup=$2; shift ;;
    --viewer) viewer=$2; shift ;;
    --dry-run) dry=1 ;;
    --software) hardware= ;;
    --) shift; break ;;
    *) echo "perf-matrix: unknown argument '$1'; see the head of this script" >&2; exit 1 ;;
    esac
    shift
done
common=("$@")
for candidate in "$here/build/release/autogaze-viewer" "$here/autogaze-viewer"; do
    [ -z "$viewer" ] && [ -x "$candidate" ] && viewer=$candidate
done
[ -n "$viewer" ] || { echo "perf-matrix: no autogaze-viewer found; build it or give --viewer" >&2; exit 1; }

cases=()
add() { cases+=("$*"); } # NAME options...
for size in 1280x720:720p 1920x1080:1080p; do
    wh=${size%:*} p=${size#*:}
    for source in pan pulse local-motion checker-pan noise; do
        for mask in autogaze patch-diff; do
            add "$source-$p-$mask" --source "synthetic-$source" --synthetic-size "$wh" --mask-source "$mask"
        done
    done
    add "pan-$p-autogaze-no-psnr" --source synthetic-pan --synthetic-size "$wh" --no-psnr
    add "pan-$p-autogaze-frames" --source synthetic-pan --synthetic-size "$wh" --temporal-context frames
    add "pan-$p-fixed-budget" --source synthetic-pan --synthetic-size "$wh" --max-tokens 50 --task-loss off
    add "local-motion-$p-fixed-budget" --source synthetic-local-motion --synthetic-size "$wh" --max-tokens 50 --task-loss off
    add "pan-threshold0-$p" --source synthetic-pan --synthetic-size "$wh" --mask-source patch-diff --patch-diff-threshold 0
    for mask in empty tiny-sparse multiscale dense-grid-64 redundant-full-frame; do
        for geometry in native deduplicated effective; do
            add "stress-$mask-$geometry-$p" --source synthetic-pan --synthetic-size "$wh" --force-mask "$mask" --mask-geometry "$geometry"
        done
    done
done
add "portrait-720x1280-autogaze" --source synthetic-pan --synthetic-size 720x1280
add "square-1024-autogaze" --source synthetic-pan --synthetic-size 1024x1024

selected=()
for c in "${cases[@]}"; do
    [[ ${c%% *} =~ $filter ]] && selected+=("$c")
done
mkdir -p "$out"
failed=() n=0
for c in "${selected[@]}"; do
    n=$((n + 1))
    read -ra words <<<"$c"
    name=${words[0]}
    command=("$viewer" --headless --quiet $hardware --frames "$frames" --warmup-frames "$warmup"
             --perf-summary "$out/$name.json" "${words[@]:1}" "${common[@]}")
    if [ $dry = 1 ]; then
        echo "${command[*]}"
        continue
    fi
    echo "[$n/${#selected[@]}] $name" >&2
    if ! timeout 600 "${command[@]}" >"$out/$name.log" 2>&1; then
        failed+=("$name")
        echo "    failed: $(tail -n 1 "$out/$name.log")" >&2
    fi
done
[ $dry = 1 ] && exit 0
python3 "$here/scripts/perf-table.py" "$out" >"$out/table.md" && cat "$out/table.md"
if [ ${#failed[@]} -gt 0 ]; then
    echo "failed: ${failed[*]}" >&2
    exit 1
fi
