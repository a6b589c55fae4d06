# A still picture full of fine detail, over which small bright squares move: raw RGB24 frames, and the
# squares of each frame (x0, y0, x1, y1) in FILE.json.
# Usage: scene.py WIDTH HEIGHT FRAMES SQUARES SIZE FILE
import json
import random
import sys

w, h, frames, objects, size = map(int, sys.argv[1:6])
path = sys.argv[6]
random.seed(7)
rows = []
for y in range(216):
    grain = random.randbytes(w)
    row = bytearray()
    for x in range(w):
        v = 84 + 40 * ((x // 24 + y // 36) % 2) + 24 * (x % 6 < 2 and y % 9 < 4) + grain[x] % 25
        row += bytes((v, v * 19 // 20, v * 17 // 20 + 10))
    rows.append(bytes(row))
still = b''.join(rows[y % 216] for y in range(h))
squares = []
for _ in range(objects):
    colour = bytes(random.choice(((255, 60, 60), (60, 255, 90), (255, 240, 80), (90, 120, 255))))
    squares.append((random.randrange(w - size), random.randrange(h - size),
                    random.choice((-1, 1)) * random.uniform(0.4, 0.8) * size,
                    random.choice((-1, 1)) * random.uniform(0.4, 0.8) * size, colour))
places = []
with open(path, 'wb') as f:
    for t in range(frames):
        picture, now = bytearray(still), []
        for x, y, dx, dy, colour in squares:
            x, y = int(x + dx * t) % (w - size), int(y + dy * t) % (h - size)
            for row in range(y, y + size):
                picture[3 * (row * w + x):3 * (row * w + x + size)] = colour * size
            now.append((x, y, x + size, y + size))
        f.write(picture)
        places.append(now)
with open(path + '.json', 'w') as f:
    json.dump(places, f)
