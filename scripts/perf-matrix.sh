#!/bin/bash
# Measures the end-to-end matrix, headless: one summary JSON a case, then aggregate.json and a table.
#   scripts/perf-matrix.sh [--out DIR] [--filter REGEX] [--dry-run] [--frames N] [--warmup N]
#                          [--viewer PROGRAM] [--video FILE] [--software] [-- options for every case]
# Goes on after a failed case; the exit code says whether any failed. What the program at hand does
# not know (FFmpeg, a mask source, a mode) is left out and named. Runs from the source tree and from
# a bundle (scripts/bundle.sh). A software device needs --software.
# Then: scripts/perf-gates.py DIR, scripts/perf-compare.py OLDER-DIR DIR.
set -u
here=$(cd "$(dirname "$0")/.." && pwd)
out=out/matrix filter=. dry=0 frames=600 warmup=60 viewer= video= hardware=--require-hardware
limit=600 # seconds a case
while [ $# -gt 0 ]; do
    case $1 in
    --out | --filter | --frames | --warmup | --viewer | --video)
        [ $# -gt 1 ] || { echo "perf-matrix: $1 needs a value" >&2; exit 1; }
        declare "${1#--}=$2"
        shift ;;
    --dry-run) dry=1 ;;
    --software) hardware= ;;
    --) shift; break ;;
    *) echo "perf-matrix: unknown argument '$1'; see the head of this script" >&2; exit 1 ;;
    esac
    shift
done
common=("$@")
export XDG_CONFIG_HOME=/nonexistent # options of the user's own would be measured, too
for candidate in "$here/build/release/autogaze-viewer" "$here/autogaze-viewer"; do
    [ -z "$viewer" ] && [ -x "$candidate" ] && viewer=$candidate
done
[ -n "$viewer" ] || { echo "perf-matrix: no autogaze-viewer found; build it or give --viewer" >&2; exit 1; }
help=$("$viewer" --help) || { echo "perf-matrix: '$viewer' does not run" >&2; exit 1; }
has() { grep -qw -- "$1" <<<"$help"; }
ffmpeg=0
"$viewer" --list-sources | grep -q '^video .*through FFmpeg' && ffmpeg=1

cases=() skipped=()
add() { cases+=("$*"); } # NAME options...
masks=(autogaze patch-diff)
if has canvas-diff; then masks+=(canvas-diff); else skipped+=(canvas-diff); fi
still=$out/still

# Every source under every mask source.
for size in 1280x720:720p 1920x1080:1080p; do
    wh=${size%:*} p=${size#*:}
    at="--synthetic-size $wh"
    for mask in "${masks[@]}"; do
        for source in pan pulse local-motion checker-pan noise; do
            add "$source-$p-$mask" --source "synthetic-$source" $at --mask-source "$mask"
        done
        add "static-$p-$mask" --source image "$still-$wh.ppm" --mask-source "$mask"
        add "pan-$p-$mask-full-blend" --source synthetic-pan $at --mask-source "$mask" --output full-blend
    done
    # The cost of looking at it: the window with its HUD drawn for every frame; then without HUD and
    # PSNR; then no window at all.
    for source in pan local-motion checker-pan noise; do
        add "$source-$p-hud" --source "synthetic-$source" $at --headless-hud
        add "$source-$p-fixed-budget" --source "synthetic-$source" $at --max-tokens 50 --task-loss off --headless-hud
    done
    add "static-$p-hud" --source image "$still-$wh.ppm" --headless-hud
    add "static-$p-fixed-budget" --source image "$still-$wh.ppm" --max-tokens 50 --task-loss off --headless-hud
    add "redundant-full-frame-$p-hud" --source synthetic-pan $at --force-mask redundant-full-frame --headless-hud
    add "pan-$p-autogaze-no-psnr" --source synthetic-pan $at --no-psnr
    fixed="--source synthetic-pan $at --max-tokens 50 --task-loss off --no-psnr"
    add "pan-$p-fixed-budget-bare" $fixed --headless-hud --hud off
    add "pan-$p-fixed-budget-no-window" $fixed
    # The model's other settings.
    add "pan-$p-autogaze-frames" --source synthetic-pan $at --temporal-context frames
    add "local-motion-$p-autogaze-28db" --source synthetic-local-motion $at --quality-db 28
    add "local-motion-$p-autogaze-full-budget" --source synthetic-local-motion $at --task-loss off
    if has --repair; then
        add "pan-$p-autogaze-repair" --source synthetic-pan $at --repair 33
        add "pan-$p-patch-diff-repair" --source synthetic-pan $at --mask-source patch-diff --repair 33
    fi
    add "pan-threshold0-$p" --source synthetic-pan $at --mask-source patch-diff --patch-diff-threshold 0
    for mask in empty tiny-sparse multiscale dense-grid-64 redundant-full-frame; do
        for geometry in native deduplicated effective; do
            add "stress-$mask-$geometry-$p" --source synthetic-pan $at --force-mask "$mask" --mask-geometry "$geometry"
        done
    done
    if has --dispatch; then
        for path in sparse dense; do
            add "stress-multiscale-native-$p-$path" --source synthetic-pan $at --force-mask multiscale --mask-geometry native --dispatch $path
        done
    fi
    if has --mode; then
        add "tiled-local-motion-$p-autogaze" --mode tiled --source synthetic-local-motion $at
        add "tiled-pan-$p-autogaze" --mode tiled --source synthetic-pan $at
    fi
done
has --dispatch || skipped+=(dispatch)
has --mode || skipped+=(tiled)
add "portrait-720x1280-autogaze" --source synthetic-pan --synthetic-size 720x1280
add "square-1024-autogaze" --source synthetic-pan --synthetic-size 1024x1024
if [ $ffmpeg = 1 ]; then
    add "video-test-1080p-autogaze" --source video "lavfi:testsrc2=size=1920x1080:rate=30"
    [ -n "$video" ] && add "video-file-autogaze" --source video "$video" --loop
else
    skipped+=(video)
fi

selected=()
for c in "${cases[@]}"; do
    [[ ${c%% *} =~ $filter ]] && selected+=("$c")
done
[ ${#selected[@]} -gt 0 ] || { echo "perf-matrix: no case matches '$filter'" >&2; exit 1; }

# A picture that does not move, for the static cases.
make_still() { # WxH
    python3 - "$1" "$still-$1.ppm" <<'PY'
import sys
w, h = map(int, sys.argv[1].split("x"))
rows = bytearray()
for y in range(h):
    for x in range(w):
        k = (x // 24 + y // 24) & 1
        rows += bytes(((x * 255 // w), (y * 255 // h), 60 + 90 * k + ((13 * x ^ 7 * y) & 31)))
with open(sys.argv[2], "wb") as f:
    f.write(b"P6 %d %d 255\n" % (w, h) + rows)
PY
}
if [ $dry = 0 ]; then
    mkdir -p "$out" || exit 1
    rm -f "$out"/*.json # a summary of an earlier run is none of this one
    for wh in 1280x720 1920x1080; do
        [[ ${selected[*]} == *"$still-$wh"* ]] && make_still $wh
    done
fi

failed=() n=0
for c in "${selected[@]}"; do
    n=$((n + 1))
    read -ra words <<<"$c"
    name=${words[0]}
    # shellcheck disable=SC2206 # empty on purpose where it is not wanted
    command=("$viewer" --headless --quiet $hardware --frames "$frames" --warmup-frames "$warmup"
             --perf-summary "$out/$name.json" "${words[@]:1}" "${common[@]}")
    if [ $dry = 1 ]; then
        echo "$name: ${command[*]}"
        continue
    fi
    echo "[$n/${#selected[@]}] $name" >&2
    if timeout $limit "${command[@]}" >"$out/$name.log" 2>&1; then
        grep '^interval' "$out/$name.log" | sed 's/^/    /' >&2
    else
        failed+=("$name")
        rm -f "$out/$name.json"
        echo "    failed: $(tail -n 1 "$out/$name.log")" >&2
    fi
done
# A whole run on hardware also measures composition, and where the dispatch paths cross.
bench=${viewer%viewer}bench
if [ "$filter" = . ] && [ $dry = 0 ] && [ -n "$hardware" ] && [ -x "$bench" ]; then
    echo "[crossover]" >&2
    if ! timeout $limit "$bench" crossover --out "$out/crossover.json" >"$out/crossover.log" 2>&1; then
        failed+=(crossover)
        echo "    failed: $(tail -n 1 "$out/crossover.log")" >&2
    fi
    echo "[compose]" >&2
    if ! timeout $limit "$bench" compose --format json >"$out/compose.json" 2>"$out/compose.log"; then
        failed+=(compose)
        rm -f "$out/compose.json"
        echo "    failed: $(tail -n 1 "$out/compose.log")" >&2
    fi
fi
[ ${#skipped[@]} -gt 0 ] && echo "not measured, this program lacks it: ${skipped[*]}" >&2
[ $dry = 1 ] && exit 0
python3 "$here/scripts/perf-table.py" "$out" "${failed[@]}" >"$out/table.md" && cat "$out/table.md"
if [ ${#failed[@]} -gt 0 ]; then
    echo "failed: ${failed[*]}" >&2
    exit 1
fi
