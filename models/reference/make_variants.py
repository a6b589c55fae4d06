"""Writes small models of other shapes with their golden vectors: run `python3 make_variants.py OUT_DIR`.

Each becomes OUT_DIR/NAME/{config.json,preprocessor_config.json,model.safetensors,vectors.safetensors}, in the form of
make_vectors.py, with fewer frames. Together they leave no dimension at the value that another one has.
Everything is deterministic (numpy PCG64, float32, CPU).
"""
import json
import os
import sys

from autogaze_reference import Config, random_weights, save_safetensors
from make_vectors import config_json, model_vectors, moving_frames, preprocessor_json, tile_vectors

BASE = dict(image_size=32, scales=(8, 16, 32), cells=21, channels=32, patch=8, layers=2, heads=2, kv_heads=2,
            head_dim=16, mlp=64, tokens_per_step=4)

# Name -> what differs from the tiny model, and the seed of its weights.
VARIANTS = {
    # two query heads share a key/value head
    "grouped": (21, dict(heads=4, kv_heads=2, head_dim=8)),
    "grouped-canvas": (22, dict(heads=4, kv_heads=2, head_dim=8, context="canvas")),
    # each trunk block keeps a past of its own
    "depth2": (23, dict(trunk_depth=2, channels=24, head_dim=12)),
    # one id a forward
    "one-a-round": (24, dict(tokens_per_step=1)),
    # grids 2, 3, 6; widths that are no power of two; heads wider than the model; one key/value head; 5x5 taps; no
    # RoPE scaling
    "odd": (25, dict(image_size=24, scales=(8, 12, 24), cells=49, channels=20, patch=4, layers=3, heads=3, kv_heads=1,
                     head_dim=10, mlp=36, tokens_per_step=7, trunk_space=5, rope_factor=0.0, rope_theta=10000.0,
                     rms_eps=1e-6)),
    "odd-canvas": (26, dict(image_size=24, scales=(8, 12, 24), cells=49, channels=20, patch=4, layers=1, heads=3,
                            kv_heads=1, head_dim=10, mlp=36, tokens_per_step=7, context="canvas")),
    # no temporal past, one scale, pointwise trunk
    "still": (27, dict(scales=(32,), cells=16, trunk_time=1, trunk_space=1, tokens_per_step=3)),
    # a longer past than three frames
    "long-past": (28, dict(trunk_time=5, channels=16, heads=1, kv_heads=1, mlp=40, patch=4, scales=(4, 12, 32),
                           cells=74, tokens_per_step=10)),
}


def variant(directory, seed, changes):
    c = Config(**{**BASE, **changes})
    w = random_weights(c, seed)
    os.makedirs(directory, exist_ok=True)
    json.dump(config_json(c, 0.75, 0.02), open(os.path.join(directory, "config.json"), "w"), indent=1)
    json.dump(preprocessor_json(c), open(os.path.join(directory, "preprocessor_config.json"), "w"), indent=1)
    save_safetensors(os.path.join(directory, "model.safetensors"), w)
    m = c.cells * 3 // 4
    cases = {"full_budget": (c.cells, None, 3, False), "budget": (m, None, 8, False),
             "budget_threshold": (m, "0.12", 8, False), "early_stop": (m, "0.5", 8, False),
             "one": (1, None, 3, False), "traced": (m // 2 + 1, "0.06", 4, True)}
    out = model_vectors(c, w, moving_frames(8, c.image_size + 13, seed), cases)
    tile_vectors(c, w, out, seed + 100, budget=m, frames=2)
    save_safetensors(os.path.join(directory, "vectors.safetensors"), out)


if __name__ == "__main__":
    for name, (seed, changes) in VARIANTS.items():
        variant(os.path.join(sys.argv[1], name), seed, changes)
