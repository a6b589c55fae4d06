"""Writes golden vectors: run `python3 make_vectors.py OUT_DIR [MODEL_DIR]`.

Without MODEL_DIR: OUT_DIR/tiny and OUT_DIR/tiny-canvas (small random models with their vectors, one of each
temporal context) and OUT_DIR/preprocess.safetensors.
With MODEL_DIR: OUT_DIR/<name of MODEL_DIR>.safetensors, vectors of that model on a synthetic clip.
Everything is deterministic (numpy PCG64, float32, CPU).
"""
import json
import os
import sys

import numpy as np
import torch

from autogaze_reference import AutoGaze, Config, Stream, load_config, load_safetensors, random_weights, save_safetensors
from preprocess_reference import normalise, preprocess, resize_u8, shortest_edge_size, tile_canvas

torch.set_num_threads(2)


def config_json(c, ratio, task_loss):
    """config.json in the official nesting."""
    n = c.cells
    return {
        "model_type": "autogaze", "scales": "+".join(map(str, c.scales)), "num_vision_tokens_each_frame": n,
        "max_num_frames": 16, "attn_mode": "sdpa", "use_flash_attn": False, "temporal_context": c.context,
        "gazing_ratio_config": {"sample_strategy_during_inference": "fixed", "fixed": {"gazing_ratio": ratio}},
        "gazing_ratio_each_frame_config": {"sample_strategy_during_inference": "uniform"},
        "has_task_loss_requirement_during_inference": True,
        "task_loss_requirement_config": {"sample_strategy_during_inference": "fixed",
                                         "fixed": {"task_loss_requirement": task_loss}},
        "gaze_model_config": {
            "input_img_size": c.image_size, "num_vision_tokens_each_frame": n, "attn_mode": "sdpa",
            "vision_model_config": {"hidden_dim": c.channels, "out_dim": c.channels, "depth": c.trunk_depth,
                                    "kernel_size": c.patch, "temporal_patch_size": 1,
                                    "trunk_temporal_kernel_size": c.trunk_time,
                                    "trunk_spatial_kernel_size": c.trunk_space},
            "connector_config": {"hidden_dim": c.channels, "num_tokens": (c.image_size // c.patch) ** 2},
            "gaze_decoder_config": {
                "model_type": "llama", "vocab_size": n + 1, "eos_token_id": n, "hidden_size": c.channels,
                "intermediate_size": c.mlp, "num_hidden_layers": c.layers, "num_attention_heads": c.heads,
                "num_key_value_heads": c.kv_heads, "head_dim": c.head_dim, "hidden_act": "silu",
                "rms_norm_eps": c.rms_eps, "rope_theta": c.rope_theta, "attention_bias": False, "mlp_bias": False,
                "max_position_embeddings": 131072, "num_multi_token_pred": c.tokens_per_step,
                "rope_scaling": {"rope_type": "llama3", "factor": c.rope_factor, "low_freq_factor": c.rope_low,
                                 "high_freq_factor": c.rope_high,
                                 "original_max_position_embeddings": c.rope_original} if c.rope_factor else None}}}


def preprocessor_json(c):
    """preprocessor_config.json in the official form."""
    return {"image_processor_type": "AutoGazeImageProcessor", "do_resize": True,
            "size": {"shortest_edge": c.image_size}, "resample": 2, "do_center_crop": False, "do_rescale": True,
            "rescale_factor": 0.00784313725490196, "offset": True, "do_normalize": True,
            "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}


def moving_frames(t, side, seed):
    """uint8 [t,side,side,3]: a smooth random background, one moving square, a scene cut at 2/3."""
    rng = np.random.Generator(np.random.PCG64(seed))
    out = np.empty((t, side, side, 3), np.uint8)
    low = rng.integers(0, 256, (2, 8, 8, 3)).astype(np.uint8)
    texture = rng.integers(0, 256, (side, side, 3)).astype(np.uint8)
    for i in range(t):
        f = resize_u8(low[int(i >= 2 * t // 3)], side, side).copy()
        s = side // 4
        y, x = (3 + i * side // 24) % (side - s), (5 + i * side // 10) % (side - s)
        f[y:y + s, x:x + s] = texture[:s, :s]
        out[i] = f
    return out


def run(model, frames, max_tokens, task_loss, prefix, out, trace=False):
    """One generation case; adds its tensors to `out` under `prefix`. A threshold given as a string
    is a quantile of the losses predicted without one, so that stops fall in different rounds."""
    steps = [] if trace else None
    if isinstance(task_loss, str):
        free = model.generate(torch.from_numpy(frames), max_tokens, None)["losses"]
        task_loss = float(np.float32(round(float(free.float().quantile(float(task_loss))), 4)))
    g = model.generate(torch.from_numpy(frames), max_tokens, task_loss, trace=steps)
    out[prefix + "gazing_pos"] = g["gazing_pos"].to(torch.int64)
    out[prefix + "if_padded"] = g["if_padded"].to(torch.uint8)
    out[prefix + "counts"] = g["counts"].to(torch.int64)
    out[prefix + "losses"] = g["losses"].float()
    if model.c.context == "canvas":
        out[prefix + "vision"] = g["vision"][:2] if model.c.image_size > 64 else g["vision"]
        out[prefix + "canvas"] = g["stream"].canvas
    out[prefix + "params"] = torch.tensor([float(max_tokens), float("nan") if task_loss is None else task_loss])
    for i, s in enumerate(steps or []):
        for k in ("positions", "valid", "hidden", "logits", "losses", "picked", "emitted"):
            v = s[k]
            out[f"{prefix}forward{i:03d}.{k}"] = v.to(torch.uint8) if v.dtype == torch.bool else v
        out[f"{prefix}forward{i:03d}.cached"] = torch.tensor([s["cached"]])


def model_vectors(c, weights, u8, budgets):
    """All vectors of one model: input, vision tokens, traced and plain generations, streaming."""
    model, out = AutoGaze(c, weights), {}
    frames = np.stack([preprocess(f, c.image_size) for f in u8])
    out["source"] = u8
    keep = len(frames) if c.image_size <= 64 else 2     # big tensors of the first frames only
    out["frames"] = frames[:keep]
    if c.context == "frames":                  # in closed loop the tokens depend on what was chosen
        stream = Stream()
        out["vision"] = model.vision(torch.from_numpy(frames), stream)[:keep]
        out["conv_past"] = torch.stack(stream.conv)
    for name, (m, tl, n, tr) in budgets.items():
        run(model, frames[:n], m, tl, name + ".", out, tr)
    m, _, n, _ = budgets["budget_threshold"]
    tl = float(out["budget_threshold.params"][1])
    s, pos = Stream(), []
    for t in range(n):                        # the same clip, one frame a call
        pos.append(model.generate(torch.from_numpy(frames[t:t + 1]), m, tl, stream=s)["gazing_pos"])
    out["stream.gazing_pos"] = torch.cat(pos)
    return out


def tile_vectors(c, weights, out, seed, budget=15, frames=5):
    """Grid-resized tiles of a non-multiple frame size (rows x cols streams, each on its own), and the
    square target-scales form: 2x2 tiles whose per-scale masks are stitched."""
    model, t = AutoGaze(c, weights), c.image_size
    u8 = moving_frames(frames, 3 * t, seed)[:, :2 * t - 5, :3 * t - 9]
    tiles = np.stack([tile_canvas(f, t) for f in u8], 1)                     # [tiles,T,3,t,t]
    out["tiles.source"], out["tiles.canvas_tiles"] = u8, tiles
    threshold = float(out["budget_threshold.params"][1])
    for i in range(len(tiles)):
        run(model, tiles[i], budget, threshold, f"tiles.{i}.", out)
    square = np.stack([normalise(f) for f in moving_frames(frames, 2 * t, seed + 1)])
    out["square.source"] = square
    n, masks = 2, [np.zeros((frames, 2 * g, 2 * g), np.uint8) for g in c.grids]
    for r in range(n):
        for q in range(n):
            g = model.generate(torch.from_numpy(np.ascontiguousarray(square[:, :, r * t:(r + 1) * t, q * t:(q + 1) * t])),
                               budget, threshold)
            frame = np.repeat(np.arange(frames), g["counts"].numpy())
            for f, pos, pad in zip(frame, g["gazing_pos"].tolist(), g["if_padded"].tolist()):
                cell = pos - int(f) * c.cells
                for s, side in enumerate(c.grids):
                    if not pad and 0 <= cell < side * side:
                        masks[s][f, r * side + cell // side, q * side + cell % side] = 1
                    cell -= side * side
    for s, m in enumerate(masks):
        out[f"square.mask{s}"] = m


def tiny(directory, seed=7, **changes):
    c = Config(image_size=32, scales=(8, 16, 32), cells=21, channels=32, patch=8, layers=2, heads=2, kv_heads=2,
               head_dim=16, mlp=64, tokens_per_step=4)
    for k, v in changes.items():
        setattr(c, k, v)
    w = random_weights(c, seed)
    os.makedirs(directory, exist_ok=True)
    json.dump(config_json(c, 0.75, 0.02), open(os.path.join(directory, "config.json"), "w"), indent=1)
    json.dump(preprocessor_json(c), open(os.path.join(directory, "preprocessor_config.json"), "w"), indent=1)
    save_safetensors(os.path.join(directory, "model.safetensors"), w)
    b = {"full_budget": (21, None, 6, False), "budget": (15, None, 20, False), "budget_threshold": (15, "0.12", 20, False),
         "rare_stop": (15, "0.04", 12, False), "early_stop": (15, "0.5", 12, False), "high_threshold": (15, 9.0, 6, False), "one": (1, None, 4, False),
         "traced": (11, "0.06", 4, True)}
    out = model_vectors(c, w, moving_frames(20, 48, seed), b)
    tile_vectors(c, w, out, seed + 2)
    save_safetensors(os.path.join(directory, "vectors.safetensors"), out)


def preprocessing(path, seed=3):
    rng, out = np.random.Generator(np.random.PCG64(seed)), {}
    for h, w in ((270, 480), (480, 270), (225, 224), (224, 224), (100, 60), (5, 7), (240, 320)):
        src = resize_u8(rng.integers(0, 256, (max(2, h // 3), max(2, w // 3), 3)).astype(np.uint8), h, w)
        src[::7, ::5] = rng.integers(0, 256, src[::7, ::5].shape)
        n = f"{w}x{h}."
        out[n + "source"] = src
        out[n + "resized"] = resize_u8(src, *shortest_edge_size(h, w))
        if (h, w) in ((270, 480), (480, 270), (5, 7)):
            out[n + "model_input"] = preprocess(src)
    out["lut"] = normalise(np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2))[:, 0]
    save_safetensors(path, out)


if __name__ == "__main__":
    out_dir = sys.argv[1]
    os.makedirs(out_dir, exist_ok=True)
    if len(sys.argv) > 2:
        d = sys.argv[2].rstrip("/")
        c = load_config(os.path.join(d, "config.json"))
        w = {k: v.float() for k, v in load_safetensors(os.path.join(d, "model.safetensors")).items()}
        b = {"budget_threshold": (198, json.load(open(os.path.join(d, "config.json")))["task_loss_requirement_config"]
                                  ["fixed"]["task_loss_requirement"], 16, False),
             "budget": (198, None, 4, False), "traced": (30, None, 2, True)}
        save_safetensors(os.path.join(out_dir, os.path.basename(d) + ".safetensors"),
                         model_vectors(c, w, moving_frames(16, 256, 11), b))
    else:
        tiny(os.path.join(out_dir, "tiny"))
        tiny(os.path.join(out_dir, "tiny-canvas"), seed=8, context="canvas")
        preprocessing(os.path.join(out_dir, "preprocess.safetensors"))
