#!/bin/sh
# Tiled gaze on a scene of fine detail and small moving squares: at the same quality it finds what
# realtime misses, and updates less of the picture for it. Also what the outputs say about tiles.
# Usage: tiled.sh VIEWER SOURCE_DIR
set -u
viewer=$1
source=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0

check() { # text, command...
    text=$1
    shift
    if "$@"; then echo "ok: $text"; else echo "FAIL: $text"; bad=1; fi
}
above() { # a > b
    awk "BEGIN { exit !($1 > $2) }"
}

python3 "$source/tests/scene.py" 1280 720 5 24 10 "$work/scene.rgb" || exit 1
for mode in realtime tiled; do
    "$viewer" --headless --quiet - --raw 1280x720:rgb24 --mode $mode --backend cpu --quality-db 45 \
        --trace "$work/$mode.jsonl" --perf-summary "$work/$mode.json" <"$work/scene.rgb" \
        >"$work/$mode.txt" || { cat "$work/$mode.txt"; exit 1; }
    python3 "$source/tests/scene_found.py" "$work/scene.rgb.json" "$work/$mode.jsonl" >"$work/$mode.found"
    echo "$mode: $(cat "$work/$mode.found")"
done
number() { # mode, word
    awk -v n="$2" '{ print $n }' "$work/$1.found"
}
check 'tiled finds most of the squares' above "$(number tiled 1)" 80
check 'realtime misses some of those' above "$(number tiled 1)" "$(number realtime 1) + 10"
check 'tiled updates fewer pixels' above "$(number realtime 7)" "$(number tiled 7) * 2"
check 'tiled looks better' above "$(number tiled 13)" "$(number realtime 13) + 5"

cat >"$work/read.py" <<'END'
import json
import sys
for line in open(sys.argv[1]):
    row = json.loads(line)
    tiles = row['tiles']
    assert (tiles['cols'], tiles['rows']) == (6, 4)
    assert len(tiles['slots']) == 24 and sum(tiles['slots']) == row['slots'] == len(row['ids'])
    assert sum(tiles['rounds']) == row['rounds']
    for c in row['cells']:
        x0, y0, x1, y1 = c['rect']
        column, line_ = c['tile'] # its rectangle lies in its tile, but for whole pixels
        assert x0 >= column * 1280 // 6 - 1 and x1 <= -(-(column + 1) * 1280 // 6) + 1, c
        assert y0 >= line_ * 720 // 4 - 1 and y1 <= -(-(line_ + 1) * 720 // 4) + 1, c
mask = json.load(open(sys.argv[2]))['mask']
assert (mask['mode'], mask['tiles'], mask['tile_columns'], mask['tile_rows']) == ('tiled', 24, 6, 4)
END
check 'trace and summary name the tiles' python3 "$work/read.py" "$work/tiled.jsonl" "$work/tiled.json"
exit $bad
