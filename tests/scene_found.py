# How many of scene.py's squares were updated where they stand, and what that took: from the squares
# and a trace. The first frame is whole and does not count.
# Usage: scene_found.py SQUARES.json TRACE.jsonl
import json
import sys

squares = json.load(open(sys.argv[1]))
rows = [json.loads(line) for line in open(sys.argv[2])][1:]
found = total = 0
means = dict.fromkeys(('gaze_ratio', 'psnr_db', 'model_psnr_db', 'tokens'), 0)
for row in rows:
    cells = [c['rect'] for c in row['cells']]
    for x0, y0, x1, y1 in squares[row['sequence']]:
        near = [c for c in cells if c[0] < x1 and c[2] > x0 and c[1] < y1 and c[3] > y0]
        covered = sum(any(c[0] <= x < c[2] and c[1] <= y < c[3] for c in near)
                      for y in range(y0, y1) for x in range(x0, x1))
        found += covered > 0.9 * (x1 - x0) * (y1 - y0)
        total += 1
    for key in means:
        means[key] += row[key] / len(rows)
print('%.1f %% of %d squares found; %.2f %% of the pixels updated; %.1f dB on screen, %.1f dB to the '
      'model; %.0f tokens a frame' % (100 * found / total, total, 100 * means['gaze_ratio'],
                                      means['psnr_db'], means['model_psnr_db'], means['tokens']))
