#!/usr/bin/env bash
# Plays a video again and again for some minutes without a window, every frame composed with
# patch-diff, and looks at what may not grow: resident memory, allocations on the frame path. Frame ids
# must increase strictly and no frame may come twice. Exits with 0 only when all of it holds.
#
# Usage: scripts/soak.sh [options] [MINUTES]
#   MINUTES             how long it plays (10); memory is compared between a tenth of that and the end
#   --build DIR         build folder with autogaze-viewer (build/release)
#   --video FILE        what to play; default: 1920x1080 at 60 frames a second, made with ffmpeg
#   --out DIR           where summary and memory samples go (build/soak)
#   --mask-source NAME  patch-diff
#
# Environment:
#   AUTOGAZE_SOAK_GPU   device, as --gpu takes it; unset: the best one
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

minutes=10 dir=$root/build/release video='' out=$root/build/soak mask=patch-diff
while [ $# -gt 0 ]; do
    case $1 in
    --build) dir=$(readlink -f -- "$2"); shift ;;
    --video) video=$(readlink -f -- "$2"); shift ;;
    --out) out=$2; shift ;;
    --mask-source) mask=$2; shift ;;
    -*) die "unknown option $1" ;;
    *) minutes=$1 ;;
    esac
    shift
done
viewer=$dir/autogaze-viewer
[ -x "$viewer" ] || die "there is no $viewer: build first"
mkdir -p "$out"
out=$(readlink -f -- "$out")
if [ -z "$video" ]; then
    video=$out/1080p60.mp4
    command -v ffmpeg >/dev/null || die 'ffmpeg is missing: name a --video'
    [ -s "$video" ] || quiet "$out/ffmpeg.log" ffmpeg -nostdin -y -f lavfi \
        -i testsrc2=size=1920x1080:rate=60:duration=5 -pix_fmt yuv420p -c:v libx264 \
        -preset veryfast -g 60 "$video"
fi

seconds=$(awk "BEGIN { print int($minutes * 60) }")
say "playing $video for $seconds s"
"$viewer" --headless --quiet --no-lockstep --loop --mask-source "$mask" --warmup-frames 60 \
    ${AUTOGAZE_SOAK_GPU:+--gpu "$AUTOGAZE_SOAK_GPU"} --perf-summary "$out/summary.json" \
    --trace "$out/trace.jsonl" "$video" >"$out/table.txt" 2>"$out/errors.txt" &
pid=$!
trap 'kill $pid 2>/dev/null || true' EXIT
: >"$out/memory.txt"
start=$SECONDS
while [ $((SECONDS - start)) -lt "$seconds" ]; do
    sleep 2
    rss=$(awk '/^VmRSS/ { print $2 }' /proc/$pid/status 2>/dev/null) ||
        die "the program ended early: $(tail -n 3 "$out/errors.txt")"
    echo "$((SECONDS - start)) $rss" >>"$out/memory.txt"
done
kill -INT $pid
status=0
wait $pid || status=$?
trap - EXIT
[ $status -eq 0 ] || die "exit code $status: $(tail -n 3 "$out/errors.txt")"

python3 - "$out" "$seconds" <<'P'
import json, sys

out, seconds = sys.argv[1], int(sys.argv[2])
summary = json.load(open(f'{out}/summary.json'))
samples = [tuple(map(int, line.split())) for line in open(f'{out}/memory.txt')]


def resident(at):  # KiB: the median of the samples around a time
    near = sorted(kib for t, kib in samples if abs(t - at) <= max(6, seconds / 20))
    return near[len(near) // 2]


ids, pts, wraps = [], [], 0
for line in open(f'{out}/trace.jsonl'):
    row = json.loads(line)
    wraps += bool(pts) and row['pts_ms'] < pts[-1]
    ids.append(row['frame'])
    pts.append(row['pts_ms'])
early, late = resident(seconds / 10), resident(seconds)
checks = [
    ('memory at a tenth and at the end, MiB', f'{early / 1024:.1f} {late / 1024:.1f}',
     late <= early * 1.02 + 2048),
    ('buffers of ours made while measuring', summary['transfers']['allocations'],
     summary['transfers']['allocations'] == 0),
    ('heap allocations of ours while measuring', summary['transfers']['host_allocations'],
     summary['transfers']['host_allocations'] == 0),
    ('ids strictly increase', f'{len(ids)} frames', all(a < b for a, b in zip(ids, ids[1:]))),
    ('frames that came twice', summary['mask']['duplicate_inferences'],
     summary['mask']['duplicate_inferences'] == 0 and len(set(ids)) == len(ids)),
    ('the video began anew', wraps, wraps > 0),
    ('frames dropped', summary['source']['dropped'], summary['source']['dropped'] == 0),
]
for what, value, ok in checks:
    print(f"{'ok' if ok else 'FAIL':5}{what}: {value}")
print(f"     device: {summary['device']['name']}"
      f"{' (software)' if summary['device']['software'] else ''}, "
      f"{summary['frames_a_second']:.1f} frames a second")
sys.exit(0 if all(ok for _, _, ok in checks) else 1)
P
