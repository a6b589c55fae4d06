#!/usr/bin/env python3
"""Times the PyTorch reference (models/reference) on a GPU: the rival of `autogaze-bench model`.

usage: torch_reference.py [MODEL_DIR]        (needs torch with CUDA and numpy)

Milliseconds a frame, synchronised, median of 5 after 2 warm-up runs, float32 eager, key/value
cache: closed loop (context canvas) and open loop (context frames, 16 frames of which the last is
timed), one round and the full budget.
"""
import os
import statistics
import sys
import time

root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(root, "models", "reference"))
import numpy as np
import torch
from autogaze_reference import AutoGaze, Stream, load_config, load_safetensors

torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False


def frame_ms(model, frames, budget, prefix):
    """Time of the frame after `prefix` frames of the same stream."""
    times = []
    for _ in range(7):
        stream = Stream()
        if prefix:
            model.generate(frames[:prefix], 198, None, stream=stream)
        else:
            model.generate(frames[:1], 4, None, stream=stream)
        torch.cuda.synchronize()
        t = time.perf_counter()
        model.generate(frames[prefix or 1:(prefix or 1) + 1], budget, None, stream=stream)
        torch.cuda.synchronize()
        times.append(1e3 * (time.perf_counter() - t))
    return statistics.median(times[2:])


def main(directory):
    config = load_config(os.path.join(directory, "config.json"))
    weights = load_safetensors(os.path.join(directory, "model.safetensors"))
    frames = torch.from_numpy(np.random.default_rng(1).standard_normal((17, 3, 224, 224), np.float32))
    print(f"PyTorch {torch.__version__}, {torch.cuda.get_device_name()}, float32 eager; ms a frame")
    for context in ("canvas", "frames"):
        config.context = context
        model = AutoGaze(config, weights, "cuda")
        for budget in (10, 198):
            ms = frame_ms(model, frames.cuda(), budget, 15 if context == "frames" else 0)
            print(f"context {context:7} {-(-budget // 10):3} rounds {ms:9.3f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else os.path.join(root, "models", "open-gaze"))
