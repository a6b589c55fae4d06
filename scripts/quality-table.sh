#!/bin/bash
# What each mask source makes of the same frames, as a Markdown table:
#     scripts/quality-table.sh [VIEWER [CLIP ...]]
# Five generated clips (still camera with moving objects, slow pan, cut; checker-pan and noise, of
# which every pixel changes in every frame) and those given; 1280x720, FRAMES (120) frames each,
# lock-step. VIEWER_OPTIONS: more options for every run, e.g. "--backend vulkan --require-hardware".
# Both PSNRs and the gaze ratio are over frames that are no keyframes; identical pictures enter no
# mean. Fails if a frame with --repair 33 has less than 32.5 dB and its limit was not reached.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
viewer=${1:-$here/../build/release/autogaze-viewer}
shift $(($# > 0))
frames=${FRAMES:-120}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME=$work/cache
"$here/../tests/make_clip.sh" "$work/clip.mp4" # 0-4 s still, 4-8 s pan, cut at 8 s

sources=(
    "open-gaze|--mask-source autogaze --model open-gaze"
    "open-gaze, context frames|--mask-source autogaze --model open-gaze --temporal-context frames"
    "open-gaze, repair 33|--mask-source autogaze --model open-gaze --repair 33"
    "patch-diff|--mask-source patch-diff"
    "canvas-diff|--mask-source canvas-diff"
)
clips=(
    "still camera|$work/clip.mp4"
    "pan|$work/clip.mp4 --start 4"
    "cut|$work/clip.mp4 --start 7"
    "checker-pan|--source synthetic-checker-pan"
    "noise|--source synthetic-noise"
)
for clip in "$@"; do
    clips+=("$(basename "$clip")|$clip")
done

n=0
for clip in "${clips[@]}"; do
    for source in "${sources[@]}"; do
        n=$((n + 1))
        # shellcheck disable=SC2086
        "$viewer" --headless --quiet --lockstep --frames "$frames" ${clip#*|} ${source#*|} \
            --trace "$work/$n.jsonl" --perf-summary "$work/$n.json" ${VIEWER_OPTIONS:-} \
            > "$work/$n.txt" || { cat "$work/$n.txt" >&2; exit 1; }
        printf '%s|%s|%s\n' "$n" "${clip%%|*}" "${source%%|*}" >> "$work/runs"
    done
done

python3 - "$work" << 'P'
import json, sys
work, failed = sys.argv[1], []


def db(rows, key):
    v = [r[key] for r in rows if r[key] is not None]
    if not v:
        return 'inf', 'inf'
    same = len(rows) - len(v)
    return f'{sum(v) / len(v):.1f}' + (f' ({same} inf)' if same else ''), f'{min(v):.1f}'


print('| clip | mask source | screen PSNR mean | min | model PSNR mean | min | gaze % | '
      'cells a frame | repaired | limit reached | chunks |')
print('| --- | --- ' + '| ---: ' * 9 + '|')
for line in open(f'{work}/runs'):
    n, clip, source = line.rstrip('\n').split('|')
    every = [json.loads(l) for l in open(f'{work}/{n}.jsonl')]
    rows = [r for r in every if not r['keyframe']]
    repair = 'repaired' in rows[0]
    for r in rows:
        if repair and not r['repair_limited'] and (r['psnr_db'] or 99) < 32.5:
            failed.append(f'{clip}, {source}, frame {r["frame"]}: {r["psnr_db"]} dB')
    mean = lambda v: sum(v) / len(v)
    print('|', clip, '|', source, '|', ' | '.join([
        *db(rows, 'psnr_db'), *db(rows, 'model_psnr_db'),
        f'{100 * mean([r["gaze_ratio"] for r in rows]):.1f}',
        f'{mean([r["selected"] for r in rows]):.1f}',
        f'{mean([len(r["repaired"]) for r in rows]):.1f}' if repair else '-',
        f'{sum(r["repair_limited"] for r in rows)} of {len(rows)}' if repair else '-',
        str(sum(r.get('chunk_start', False) for r in rows)) if 'frames' in source else '-']), '|')
first = json.load(open(f'{work}/1.json'))
print(f'\nDevice: {first["device"]["name"]}{" [SOFTWARE]" if first["device"]["software"] else ""}, '
      f'model on {first["mask"]["backend"]}; revision {first["git_revision"][:12]}.')
if failed:
    print('\nbelow 32.5 dB without having reached the limit:', *failed, sep='\n')
    sys.exit(1)
P
