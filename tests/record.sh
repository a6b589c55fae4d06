#!/bin/bash
# Recordings of the program as a person makes them: right number of frames, duration and size by
# ffprobe; interrupted and out of room they can be played; several files give one result each.
# Needs ffmpeg with ffprobe and python3; without them it fails.
#     record.sh VIEWER
set -u
viewer=$(readlink -f "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export XDG_CACHE_HOME=$work/cache
failed=0
ok() { echo "ok: $*"; }
bad() { echo "FAIL: $*"; failed=1; }
check() { # check 'what' command...
    local what=$1
    shift
    if "$@"; then ok "$what"; else bad "$what"; fi
}
for tool in ffmpeg ffprobe python3; do
    command -v $tool >/dev/null || { echo "FAIL: this test needs $tool"; exit 1; }
done

# probe FILE: "WIDTHxHEIGHT frames duration in milliseconds", frames counted by decoding
probe() {
    ffprobe -v error -count_frames -select_streams v -of json -show_entries \
        stream=width,height,nb_read_frames:format=duration "$1" | python3 -c '
import json, sys
d = json.load(sys.stdin)
s = d["streams"][0]
print("%dx%d %s %d" % (s["width"], s["height"], s["nb_read_frames"],
                       round(1000 * float(d["format"]["duration"]))))'
}
quick="--headless --quiet --validation --source synthetic-pan --synthetic-size 64x36 --mask-source patch-diff"

# ---- layouts, containers, HUD ----
one() { # one SIZE options...
    local size=$1 file=${@: -1}
    shift
    "$viewer" $quick --frames 30 "$@" >stdout 2>stderr || cat stderr
    check "$* is $size, 30 frames, 1 s" [ "$(probe "$file")" = "$size 30 1000" ]
}
one 192x36 --record panels.mp4
one 192x36 --record panels.mkv
one 64x36 --layout difference --record difference.mp4
one 64x36 --layout wipe --record wipe.mp4
one 128x72 --layout grid --record grid.mp4
one 640x400 --layout grid --window-size 640x400 --record-hud --record hud.mp4
"$viewer" $quick --frames 10 --warmup-frames 5 --record warm.mkv >stdout 2>stderr
check 'frames of the warm-up are recorded, too' [ "$(probe warm.mkv | cut -d' ' -f2)" = 15 ]

# The same numbers whether or not it records.
"$viewer" $quick --frames 30 >plain 2>&1
"$viewer" $quick --frames 30 --record again.mp4 >recorded 2>&1
check 'recording changes no hash' [ "$(grep ^hash plain)" = "$(grep ^hash recorded)" ]
# The last frame, within what the codec loses.
"$viewer" $quick --frames 30 --screenshot last.png >stdout 2>stderr
ffmpeg -v error -i again.mp4 -vf select=eq\(n\\,29\) -frames:v 1 got.png
check 'the last frame is the last picture' python3 - <<'P'
import subprocess, sys
def raw(f):
    return subprocess.run(['ffmpeg', '-v', 'error', '-i', f, '-f', 'rawvideo', '-pix_fmt', 'gray',
                           '-'], stdout=subprocess.PIPE, check=True).stdout
a, b = raw('last.png'), raw('got.png')
d = sum(abs(x - y) for x, y in zip(a, b)) / len(a)
print('mean difference', d)
sys.exit(len(a) != len(b) or d > 4)
P

# ---- several files ----
for name in a b; do
    ffmpeg -v error -f lavfi -i testsrc2=size=96x64:rate=10:duration=1 -pix_fmt yuv420p $name.mp4
done
mkdir other
cp a.mp4 other/a.mkv
"$viewer" --headless --quiet --mask-source patch-diff --screenshot out/s.png --trace out/t.jsonl \
    --perf-summary out/p.json --record out/r.mp4 a.mp4 missing.mp4 b.mp4 other/a.mkv >stdout 2>stderr
check 'a file that is missing: exit 2' [ $? = 2 ]
check 'and one sentence' [ "$(grep -c '^autogaze-viewer: .*missing.mp4' stderr)" = 1 ]
for name in a b a-2; do
    check "$name: all results" ls out/s-$name.png out/t-$name.jsonl out/p-$name.json
    check "$name: recorded" [ "$(probe out/r-$name.mp4)" = '288x64 10 1000' ]
    check "$name: traced" [ "$(wc -l <out/t-$name.jsonl)" = 10 ]
done
check 'nothing else' [ "$(ls out | wc -l)" = 12 ]

# ---- interrupted ----
"$viewer" --headless --quiet --source synthetic-pan --synthetic-size 320x180 --mask-source patch-diff \
    --record int.mp4 >stdout 2>stderr &
pid=$!
for _ in $(seq 100); do [ "$(stat -c %s int.mp4 2>/dev/null || echo 0)" -gt 20000 ] && break; sleep 0.1; done
kill -INT $pid
wait $pid
check 'SIGINT: exit 0' [ $? = 0 ]
frames=$(probe int.mp4 | cut -d' ' -f2)
measured=$(grep -o '[0-9]* measured' stdout | cut -d' ' -f1)
check "SIGINT: all $measured frames are in the file" [ "${frames:-0}" = "$measured" ]
"$viewer" --headless --quiet --source synthetic-noise --synthetic-size 320x180 --mask-source patch-diff \
    --record killed.mp4 >stdout 2>stderr &
pid=$!
for _ in $(seq 300); do [ "$(stat -c %s killed.mp4 2>/dev/null || echo 0)" -gt 3000000 ] && break; sleep 0.1; done
kill -KILL $pid
wait $pid 2>/dev/null
check 'killed: what is there can be played' [ "$(probe killed.mp4 | cut -d' ' -f2)" -gt 30 ]

# ---- no room ----
( ulimit -f 1024; exec "$viewer" --headless --quiet --source synthetic-noise --synthetic-size 320x180 \
    --mask-source patch-diff --frames 200 --record full.mp4 --perf-summary full.json >stdout 2>stderr )
check 'no room: exit 4' [ $? = 4 ]
check 'no room: says what can be played' grep -q 'can be played' stderr
frames=$(probe full.mp4 | cut -d' ' -f2)
check "no room: $frames frames can be played" [ "${frames:-0}" -gt 3 ]
check 'no room: as many as it says' grep -q "after $frames frames" stderr
check 'no room: the run went on' grep -q '200 measured' stdout
check 'no room: and wrote its summary' test -s full.json
"$viewer" $quick --frames 3 --record /dev/full/x.mp4 >stdout 2>stderr
check 'no place: exit 4' [ $? = 4 ]
"$viewer" $quick --frames 3 --record movie.avi >stdout 2>stderr
check 'not a name to record to: exit 1' [ $? = 1 ]
check 'and says which are' grep -q '.mp4 or .mkv' stderr
"$viewer" $quick --frames 3 --export-gaze gaze.npz >stdout 2>stderr
check 'no model, no gaze: exit 1' [ $? = 1 ]
check 'with a sentence' grep -q 'no model' stderr
exit $failed
