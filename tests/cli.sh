#!/bin/bash
# The program as a person meets it: wrong arguments, missing and broken files, unwritable outputs,
# interruption. Every mistake gets one sentence on standard error and the exit code of --help; no
# file is left half-written.
set -u
viewer=$1
source=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export XDG_CACHE_HOME=$work/cache
failed=0

# expect CODE 'TEXT' args...: exit code, and one line on standard error that contains TEXT.
expect() {
    local code=$1 text=$2
    shift 2
    timeout 60 "$viewer" "$@" >stdout 2>stderr
    local got=$?
    if [ $got != "$code" ]; then
        echo "FAIL: $* -> exit $got, expected $code"; sed 's/^/    /' stderr; failed=1
    elif [ "$code" != 0 ] && ! grep -q -- "$text" stderr; then
        echo "FAIL: $* -> does not say '$text':"; sed 's/^/    /' stderr; failed=1
    elif [ "$code" = 0 ] && [ -n "$text" ] && ! grep -q -- "$text" stdout; then
        echo "FAIL: $* -> standard output does not say '$text'"; sed 's/^/    /' stdout; failed=1
    elif [ "$code" != 0 ] && [ "$(grep -c '^autogaze-viewer: ' stderr)" != 1 ]; then
        echo "FAIL: $* -> more than one sentence:"; sed 's/^/    /' stderr; failed=1
    else
        echo "ok: $* -> $got: $(tail -n 1 stderr)"
    fi
    if ls ./*.part* out/*.part* >/dev/null 2>&1; then
        echo "FAIL: $* left a temporary file"; failed=1; rm -f ./*.part* out/*.part*
    fi
}
quick="--headless --quiet --source synthetic-pan --synthetic-size 64x36 --frames 2"

# ---- usage ----
expect 0 'usage: autogaze-viewer' --help
expect 0 'autogaze-viewer [0-9]' --version
expect 0 'open-gaze' --list-models
expect 0 '' --list-gpus
expect 0 'synthetic-pan' --list-sources
expect 1 'did you mean --headless' --headles
expect 1 'is not one of' --mask-source gaze
expect 1 'needs a value' --frames
expect 1 'whole number' --headless --frames ten
expect 1 'same threshold' $quick --quality-db 30 --task-loss 0.5

# ---- inputs ----
printf 'this is no video\n' >notes.txt
cp notes.txt notes.mp4
: >empty.mp4
mkdir folder
ffmpeg -v error -y -f lavfi -i testsrc2=size=160x120:rate=10:duration=2 -pix_fmt yuv420p -g 5 \
    clip.mp4 || { echo 'FAIL: ffmpeg (Debian package ffmpeg) is needed to make a clip'; exit 1; }
head -c 600 clip.mp4 >cut.mp4
expect 2 'missing.mp4' --headless --quiet missing.mp4
expect 2 'notes.mp4' --headless --quiet notes.mp4
expect 2 'notes.txt' --headless --quiet notes.txt
expect 2 'empty.mp4' --headless --quiet empty.mp4
mkdir no-media
expect 2 'without videos' --headless --quiet no-media
expect 2 'no file fits' --headless --quiet 'missing-*.mp4'
expect 2 'no camera /dev/video99' --headless --quiet --source camera --camera-device /dev/video99
expect 2 '/dev/null' --headless --quiet --source camera --camera-device /dev/null
expect 0 '' --list-cameras
mkfifo silent
expect 2 'silent' --headless --quiet silent # nobody ever writes: an end after five seconds
expect 2 'cut.mp4' --headless --quiet cut.mp4
expect 2 'folder' --headless --quiet folder
expect 1 'unknown source\|is not\|not one of\|source' --headless --source synthetic-pam

# ---- models ----
mkdir empty-model broken-model contradiction
expect 2 'empty-model' $quick --model empty-model
expect 2 'no-such-model' $quick --model no-such-model
cp "$source"/models/open-gaze/*.json broken-model
expect 2 'model.safetensors' $quick --model broken-model
head -c 5000 "$source/models/open-gaze/model.safetensors" >broken-model/model.safetensors
expect 2 'model.safetensors' $quick --model broken-model
cp "$source"/models/open-gaze/* contradiction
sed -i 's/"eos_token_id": 265/"eos_token_id": 264/' contradiction/config.json
expect 2 'eos_token_id' $quick --model contradiction
AUTOGAZE_MODEL_DIR=$work/nowhere expect 2 'nowhere' $quick --model nvidia
expect 1 'RMSE' $quick --model "$source/fixtures/tiny" --quality-db 30

# ---- devices ----
expect 3 'no-such-gpu' $quick --gpu no-such-gpu
if [ -z "${AUTOGAZE_TEST_GPU:-}" ] && "$viewer" --list-gpus | grep -q '^0:.*software'; then
    expect 3 'software' $quick --require-hardware
fi
VK_DRIVER_FILES=/dev/null VK_ICD_FILENAMES=/dev/null expect 3 'Vulkan' $quick

# ---- outputs ----
expect 4 '/proc/none' $quick --screenshot /proc/none/x.png
expect 4 '/proc/none' $quick --perf-summary /proc/none/x.json
expect 4 '/proc/none' $quick --trace /proc/none/x.jsonl
expect 4 'directory' $quick --screenshot folder
expect 4 'No space' $quick --perf-summary /dev/full
expect 4 'No space' $quick --trace /dev/full
expect 0 '^present ' $quick --headless-hud
expect 0 'hash of the last output image' $quick --screenshot out/deep/s.png --perf-summary out/s.json --trace out/t.jsonl
python3 - <<'P' || failed=1
import json, struct
s = json.load(open('out/s.json'))
assert s['frames'] == 2 and s['complete'] and s['schema'] == 2, s
assert s['timing_ms']['dominant_stage'], s['timing_ms']
rows = [json.loads(l) for l in open('out/t.jsonl')]
assert [r['sequence'] for r in rows] == [0, 1], rows
assert rows[0]['keyframe'] and not rows[1]['keyframe']
assert len(rows[1]['ids']) == len(rows[1]['losses'])
png = open('out/deep/s.png', 'rb').read()
assert struct.unpack('>II', png[16:24]) == (3 * 64, 36)
P

expect 0 'limit of 3 reached in' --headless --quiet --source synthetic-pan --synthetic-size 320x180 \
    --frames 4 --mask-source patch-diff --repair 33 --repair-cells 3 --trace r.jsonl --perf-summary r.json
expect 0 'chunks begun' --headless --quiet --source synthetic-pan --synthetic-size 64x36 --frames 9 \
    --model "$source/fixtures/tiny" --frames-per-clip 3 --trace chunks.jsonl --perf-summary chunks.json
python3 - <<'P' || failed=1
import json
rows = [json.loads(l) for l in open('r.jsonl')]
assert 'repaired' not in rows[0] and rows[0]['keyframe'], rows[0]
for r in rows[1:]:
    assert r['chosen'] + len(r['repaired']) == len(r['cells']) == r['selected'], r
    assert set(r['repaired']) <= {c['id'] for c in r['cells']}, r
    assert r['psnr_db'] >= 33 or r['repair_limited'] and len(r['repaired']) == 3, r
m = json.load(open('r.json'))['mask']
assert m['repair_db'] == 33 and m['repair_cells'] == 3, m
assert m['repair_limited_frames'] == sum(r['repair_limited'] for r in rows[1:]) > 0, m
assert m['repaired_cells']['samples'] == 3, m
starts = [json.loads(l)['chunk_start'] for l in open('chunks.jsonl')]
assert [i for i, s in enumerate(starts) if s] == [0, 3, 6], starts
assert json.load(open('chunks.json'))['mask']['chunk_starts'] == sum(starts), starts
P

# ---- a run to the end of a video, and one that is interrupted ----
expect 0 '20 measured' --headless --quiet clip.mp4
"$viewer" --headless --quiet --source synthetic-pan --synthetic-size 320x180 \
    --perf-summary int.json --trace int.jsonl --screenshot int.png >stdout 2>stderr &
pid=$!
sleep 4
kill -INT $pid
wait $pid
code=$?
if [ $code != 0 ] || ! grep -q '"complete":[[:space:]]*false' int.json || [ ! -s int.png ] || ! tail -n 1 int.jsonl | grep -q '}$'; then
    echo "FAIL: SIGINT: exit $code"; cat stderr; ls -l; failed=1
else
    echo "ok: SIGINT ends in order, summary and trace written"
fi
exit $failed
