"""Reference image preprocessing in numpy: source pixels -> the model's 224x224 input.

Two resizes, exactly as upstream does them (see docs/model.md):
  1. uint8 antialiased triangle filter, shortest edge to 224, in 22-bit fixed point, rounded to uint8
     after the horizontal and again after the vertical pass (PIL's bilinear);
  2. after normalising, a bicubic (a = -0.75, no antialias) to 224x224 in float32.
"""
import numpy as np

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
RESCALE = 0.00784313725490196


def shortest_edge_size(height, width, edge=224):
    """(height, width) after the shortest edge becomes `edge`; the long edge is truncated."""
    if height <= width:
        return edge, int(edge * width / height)
    return int(edge * height / width), edge


def triangle_taps(n_in, n_out):
    """Per output sample: first input index and int64 weights scaled by 2^22."""
    scale = n_in / n_out
    support = max(scale, 1.0)
    taps = []
    for o in range(n_out):
        center = (o + 0.5) * scale
        lo = max(int(center - support + 0.5), 0)
        hi = min(int(center + support + 0.5), n_in)
        w = np.array([max(0.0, 1.0 - abs((j - center + 0.5) / support)) for j in range(lo, hi)])
        taps.append((lo, np.floor(w / w.sum() * (1 << 22) + 0.5).astype(np.int64)))
    return taps


def resize_rows(image, n_out):
    """Vertical pass: image uint8 [H,W,C] -> uint8 [n_out,W,C]."""
    if image.shape[0] == n_out:
        return image
    out = np.empty((n_out,) + image.shape[1:], np.uint8)
    for o, (lo, w) in enumerate(triangle_taps(image.shape[0], n_out)):
        s = np.tensordot(w, image[lo:lo + len(w)].astype(np.int64), 1)
        out[o] = np.clip((s + (1 << 21)) >> 22, 0, 255)
    return out


def resize_u8(image, height, width):
    """uint8 [H,W,3] -> uint8 [height,width,3], horizontal pass first."""
    return resize_rows(resize_rows(image.transpose(1, 0, 2), width).transpose(1, 0, 2), height)


def normalise(image):
    """uint8 [H,W,3] -> float32 [3,H,W]."""
    x = (image.astype(np.float64) * RESCALE).astype(np.float32) - np.float32(1)
    return np.ascontiguousarray(((x - MEAN) / STD).transpose(2, 0, 1))


def bicubic_taps(n_in, n_out):
    """Indices [n_out,4] and float32 weights [n_out,4], all arithmetic in float32."""
    f, a = np.float32, np.float32(-0.75)
    s = f(n_in) / f(n_out) * (np.arange(n_out, dtype=f) + f(0.5)) - f(0.5)
    i = np.floor(s)
    t = (s - i).astype(f)
    near = lambda x: ((a + f(2)) * x - (a + f(3))) * x * x + f(1)
    far = lambda x: ((a * x - f(5) * a) * x + f(8) * a) * x - f(4) * a
    w = np.stack([far(t + f(1)), near(t), near(f(1) - t), far(f(2) - t)], 1).astype(f)
    return np.clip(i.astype(np.int64)[:, None] + np.arange(-1, 3), 0, n_in - 1), w


def bicubic(planes, height, width):
    """float32 [3,H,W] -> float32 [3,height,width]."""
    if planes.shape[1:] == (height, width):
        return planes
    ix, wx = bicubic_taps(planes.shape[2], width)
    iy, wy = bicubic_taps(planes.shape[1], height)
    rows = sum(planes[:, :, ix[:, k]] * wx[:, k] for k in range(4))
    return sum(rows[:, iy[:, k]] * wy[:, k][:, None] for k in range(4)).astype(np.float32)


def preprocess(image, side=224):
    """uint8 [H,W,3] -> float32 [3,side,side]: what AutoGaze.generate takes."""
    h, w = shortest_edge_size(*image.shape[:2], side)
    return bicubic(normalise(resize_u8(image, h, w)), side, side)


def linear_taps(n_in, n_out):
    """Plain bilinear (half-pixel centres, no antialias): indices [n_out,2], float32 weights [n_out,2]."""
    f = np.float32
    s = np.maximum(f(n_in) / f(n_out) * (np.arange(n_out, dtype=f) + f(0.5)) - f(0.5), f(0))
    i = np.floor(s).astype(np.int64)
    t = (s - i).astype(f)
    return np.stack([i, np.minimum(i + 1, n_in - 1)], 1), np.stack([f(1) - t, t], 1)


def tile_canvas(image, tile=224):
    """uint8 [H,W,3] -> float32 tiles [rows*cols,3,tile,tile] of the grid-resized canvas, row-major."""
    h, w = image.shape[:2]
    rows, cols = -(-h // tile), -(-w // tile)
    planes = normalise(image)
    iy, wy = linear_taps(h, rows * tile)
    ix, wx = linear_taps(w, cols * tile)
    x = sum(planes[:, iy[:, k]] * wy[:, k][:, None] for k in range(2))
    x = sum(x[:, :, ix[:, k]] * wx[:, k] for k in range(2)).astype(np.float32)
    x = x.reshape(3, rows, tile, cols, tile).transpose(1, 3, 0, 2, 4)
    return np.ascontiguousarray(x.reshape(rows * cols, 3, tile, tile))
