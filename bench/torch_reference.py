#!/usr/bin/env python3
"""Times the PyTorch reference (models/reference) and its fastest forms: the rivals of
`autogaze-bench model`.

usage: torch_reference.py [MODEL_DIR] [--device cuda|cpu] [--limit SECONDS] [--only TEXT]
                                                  (needs torch and numpy; a software device is
                                                   for tests of this script only)

Context `canvas` (closed loop) and `frames` (open loop, the last of 16 frames), one round and the
full budget of 198 tokens, no threshold, TF32 off. A row a rival: median of the wall clock from a
quiet device until it is quiet again, on CUDA also the device's own time; whether the ids are those
of the reference (checked before anything is timed); how many times faster than eager. What does not
work says `failed: reason`. Nothing begins after --limit seconds (170).

The reference decides on the host what comes next, slot by slot. The other rivals are the same
arithmetic in fixed shapes (class Fixed): static buffers and cache, masks instead of lengths, choices
made on the device, so that CUDA graphs and torch.compile apply.
"""
import argparse
import math
import os
import signal
import statistics
import sys
import time
import warnings

root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(root, "models", "reference"))
import numpy as np
import torch
import torch.nn.functional as F
from autogaze_reference import AutoGaze, Stream, load_config, load_safetensors, rms_norm

torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False

FULL = 198          # tokens
PREFIX = 15         # frames before the one that is timed, context `frames`
RIVAL_SECONDS = 75  # that one rival may take: compilation does


class Late(BaseException):  # not an Exception, which compilers catch
    pass


class Fixed(torch.nn.Module):
    """One frame of a stream in fixed shapes: begin(), then step() for every further round, then
    finish(). All state is in buffers; what the frame makes of its stream (features, canvas) goes to
    others than it reads, and the cache is written from the same place again, so that a frame may be
    run any number of times. Cached tokens must all be valid: without a threshold no pads exist."""

    def __init__(self, model, frame, stream, dtype, attention):
        super().__init__()
        c, w, self.c, self.dtype, self.attention = model.c, model.w, model.c, dtype, attention
        self.closed = c.context == "canvas"
        dec, vis = "gazing_model.gaze_decoder.", "gazing_model.vision_model."
        assert c.trunk_depth == 1 and (self.closed or all(stream.key_valid)) and c.eos not in stream.pending

        def keep(name, t):
            self.register_buffer(name, t.detach().clone().to(model.device), persistent=False)

        def weight(name, *tensors):
            keep(name, torch.cat(tensors).to(dtype))

        for i in range(c.layers):
            p = dec + f"model.layers.{i}."
            weight(f"qkv{i}", *(w[p + f"self_attn.{m}_proj.weight"] for m in "qkv"))
            weight(f"out{i}", w[p + "self_attn.o_proj.weight"])
            weight(f"gate_up{i}", w[p + "mlp.gate_proj.weight"], w[p + "mlp.up_proj.weight"])
            weight(f"down{i}", w[p + "mlp.down_proj.weight"])
            keep(f"norm_in{i}", w[p + "input_layernorm.weight"])
            keep(f"norm_mlp{i}", w[p + "post_attention_layernorm.weight"])
        keep("norm", w[dec + "model.norm.weight"])
        weight("embed", w[dec + "model.embed_tokens.weight"])
        weight("heads", w[dec + "lm_head.weight"], w[dec + "task_loss_prediction_head.weight"])
        weight("patch", w[vis + "temporal_conv.weight"][:, :, 0])
        weight("patch_bias", w[vis + "temporal_conv.bias"])
        keep("patch_norm", w[vis + "norm.weight"])
        keep("patch_norm_bias", w[vis + "norm.bias"])
        # One frame comes out of the trunk: its taps in time are input channels of a 2-D convolution.
        trunk = w[vis + "blocks.0.conv3d.weight"]
        weight("trunk", trunk.permute(0, 2, 1, 3, 4).flatten(1, 2))
        weight("trunk_bias", w[vis + "blocks.0.conv3d.bias"])
        weight("project", w[vis + "out_proj.weight"].flatten(1))
        weight("project_bias", w[vis + "out_proj.bias"])
        weight("positions_2d", w["gazing_model.connector.pos_embed"])
        keep("inv_freq", model.inv_freq)

        # The stream as this frame finds it.
        K, P = c.tokens_per_step, (c.image_size // c.patch) ** 2
        pending = [] if self.closed else stream.pending
        self.cached = 0 if self.closed else len(stream.key_valid)
        self.prompt = len(pending) + P
        self.total = self.cached + self.prompt + (-(-FULL // K) - 1) * K
        position = 0 if self.closed else stream.position
        keep("frame", frame)
        keep("pending", torch.tensor(pending, dtype=torch.long))
        keep("positions", position + torch.arange(self.prompt))
        for i in range(c.layers):
            for name, cache in (("keys", stream.keys), ("values", stream.values)):
                t = torch.zeros(c.kv_heads, self.total, c.head_dim, dtype=dtype)
                if self.cached:
                    t[:, :self.cached] = cache[i].cpu().to(dtype)
                keep(f"{name}{i}", t)
        past = stream.conv[0]   # [C, 1 or trunk_time - 1, 14, 14]
        keep("past", past.to(dtype))
        keep("past_next", past.to(dtype))
        if self.closed:
            keep("canvas", stream.canvas)
            keep("canvas_next", stream.canvas)
            keep("cover", self.cover_table())

        # What the frame makes.
        self.rounds = -(-FULL // K)
        keep("limit", torch.tensor(FULL))
        keep("round", torch.zeros(1, dtype=torch.long))
        keep("last", torch.zeros(K, dtype=torch.long))
        keep("ids", torch.full((self.rounds * K,), c.eos))
        keep("losses", torch.zeros(self.rounds * K))
        keep("penalty", torch.zeros(c.cells + 1))
        keep("unused", torch.zeros(c.cells + 1).index_fill(0, torch.tensor([c.eos]), -math.inf))
        keep("slot", torch.arange(self.rounds * K))
        keep("cell", torch.arange(self.total))

    def cover_table(self):
        """[cells + 1, side * side]: which blocks of the picture a cell covers; EOS none."""
        side = math.lcm(*self.c.grids)
        side = side if self.c.image_size % side == 0 else self.c.image_size
        rows = []
        for g in self.c.grids:
            for i in range(g * g):
                t, s = torch.zeros(side, side), side // g
                t[i // g * s:(i // g + 1) * s, i % g * s:(i % g + 1) * s] = 1
                rows.append(t.flatten())
        return torch.stack(rows + [torch.zeros(side * side)])

    # ---- vision ----------------------------------------------------------------------------
    def features(self, pictures):
        x = F.conv2d(pictures.to(self.dtype), self.patch, self.patch_bias, stride=self.c.patch)
        x = F.layer_norm(x.permute(0, 2, 3, 1).float(), (self.c.channels,), self.patch_norm, self.patch_norm_bias,
                         self.c.layer_norm_eps)
        return x.permute(0, 3, 1, 2).to(self.dtype)     # [n, C, 14, 14]

    def vision(self):
        past = self.past.transpose(0, 1)
        if self.closed:
            both = self.features(torch.stack([self.canvas, self.frame]))
            taps, following = torch.cat([past, both]), both[1:]
        else:
            taps = torch.cat([past, self.features(self.frame[None])])
            following = taps[1:]
        self.past_next.copy_(following.transpose(0, 1))
        x = F.conv2d(taps.flatten(0, 1)[None], self.trunk, self.trunk_bias, padding=self.c.trunk_space // 2).relu()
        return F.linear(x[0].flatten(1).t(), self.project, self.project_bias) + self.positions_2d

    # ---- decoder ---------------------------------------------------------------------------
    def rotate(self, x, cos, sin):
        h = x.shape[-1] // 2
        return (x * cos + torch.cat([-x[..., h:], x[..., :h]], -1) * sin).to(self.dtype)

    def attend(self, q, k, v, mask):
        rep = self.c.heads // self.c.kv_heads
        if rep > 1:
            k, v = k.repeat_interleave(rep, 0), v.repeat_interleave(rep, 0)
        if self.attention == "sdpa":
            return F.scaled_dot_product_attention(q[None], k[None], v[None], mask[None, None])[0]
        s = (q @ k.transpose(1, 2)).float() / math.sqrt(self.c.head_dim)
        return (s + mask.float()).softmax(-1).to(self.dtype) @ v

    def decode(self, x, positions, at, seen):
        """x [n,C] goes to places `at` of the cache, of which the first `seen` are looked at."""
        c, n, dt = self.c, x.shape[0], self.dtype
        angle = positions[:, None].float() * self.inv_freq[None]
        angle = torch.cat([angle, angle], -1)
        cos, sin = angle.cos(), angle.sin()
        mask = torch.where(self.cell[None, :seen] <= at[:, None], 0.0, -math.inf).to(dt)
        for i in range(c.layers):
            h = rms_norm(x.float(), getattr(self, f"norm_in{i}"), c.rms_eps).to(dt)
            qkv = F.linear(h, getattr(self, f"qkv{i}")).view(n, -1, c.head_dim).transpose(0, 1)
            q, k, v = qkv.split([c.heads, c.kv_heads, c.kv_heads])
            keys, values = getattr(self, f"keys{i}"), getattr(self, f"values{i}")
            keys.index_copy_(1, at, self.rotate(k, cos, sin))
            values.index_copy_(1, at, v)
            a = self.attend(self.rotate(q, cos, sin), keys[:, :seen], values[:, :seen], mask)
            x = x + F.linear(a.transpose(0, 1).reshape(n, -1), getattr(self, f"out{i}"))
            h = rms_norm(x.float(), getattr(self, f"norm_mlp{i}"), c.rms_eps).to(dt)
            gate, up = F.linear(h, getattr(self, f"gate_up{i}")).chunk(2, -1)
            x = x + F.linear(F.silu(gate) * up, getattr(self, f"down{i}"))
        return rms_norm(x[-1].float(), self.norm, c.rms_eps).to(dt)

    def choose(self, h, penalty, round_):
        """K ids, none twice: each is the best of its row that is still free."""
        c, K = self.c, self.c.tokens_per_step
        both = F.linear(h, self.heads).float()
        logits = both[:K * (c.cells + 1)].view(K, -1)
        chosen = []
        for k in range(K):
            choice = (logits[k] + penalty).argmax(0, keepdim=True)
            penalty = penalty.index_fill(0, choice, -math.inf)
            chosen.append(choice)
        chosen, slots = torch.cat(chosen), round_ * K + self.slot[:K]
        self.penalty.copy_(penalty)
        self.last.copy_(chosen)
        self.ids.index_copy_(0, slots, chosen)
        self.losses.index_copy_(0, slots, both[K * (c.cells + 1):])
        self.round.copy_(round_ + 1)

    def begin(self):
        x = torch.cat([F.embedding(self.pending, self.embed), self.vision()])
        seen = self.cached + self.prompt
        h = self.decode(x, self.positions, self.cell[self.cached:seen], seen)
        self.choose(h, self.unused, torch.zeros_like(self.round))

    def step(self):
        K = self.c.tokens_per_step
        at = self.cached + self.prompt + (self.round - 1) * K + self.slot[:K]
        h = self.decode(F.embedding(self.last, self.embed), self.positions[-K:], at, self.total)
        self.choose(h, self.penalty, self.round)

    def finish(self):
        """The chosen cells of the frame go into the canvas."""
        if not self.closed:
            return
        ids = torch.where(self.slot < torch.minimum(self.limit, self.round * self.c.tokens_per_step), self.ids,
                          self.c.eos)
        side = math.isqrt(self.cover.shape[1])
        cover = F.embedding(ids, self.cover).amax(0).view(side, side)
        cover = cover.repeat_interleave(self.c.image_size // side, 0).repeat_interleave(self.c.image_size // side, 1)
        self.canvas_next.copy_(torch.where(cover > 0, self.frame, self.canvas))

    def run(self, budget, begin=None, step=None, finish=None):
        (begin or self.begin)()
        for _ in range(-(-budget // self.c.tokens_per_step) - 1):
            (step or self.step)()
        (finish or self.finish)()


# --------------------------------------------------------------------------------------------
# Rivals: functions of a lane that return a function of no arguments, which runs the frame
# --------------------------------------------------------------------------------------------
class Lane:
    """A context: the stream before the frame, what eager makes of the frame, fixed forms of it."""

    def __init__(self, model, frames):
        self.model, self.made, self.compiled = model, {}, {}
        self.canvas = model.c.context == "canvas"
        n = 1 if self.canvas else PREFIX
        self.before = Stream()
        model.generate(frames[:n], 4 if self.canvas else FULL, None, stream=self.before)
        self.frame = frames[n].to(model.device)
        self.ids = {b: self.generate(b)["gazing_pos"].tolist() for b in (10, FULL)}
        self.painted = {b: self.generate(b)["stream"].canvas for b in (10, FULL)}

    def generate(self, budget):
        b = self.before
        stream = Stream(list(b.keys), list(b.values), list(b.key_valid), b.position, list(b.pending), list(b.conv),
                        None if b.canvas is None else b.canvas.clone())
        return self.model.generate(self.frame[None], budget, None, stream=stream)

    def fixed(self, dtype, attention):
        key = (dtype, attention)
        if key not in self.made:
            if attention == "sdpa" and not hasattr(F, "scaled_dot_product_attention"):
                raise RuntimeError("this torch has no scaled_dot_product_attention")
            self.made[key] = Fixed(self.model, self.frame, self.before, dtype, attention)
        return self.made[key]

    def compile(self, fixed, mode):
        if not hasattr(torch, "compile"):
            raise RuntimeError("this torch has no torch.compile")
        key = (id(fixed), mode)
        if key not in self.compiled:
            for b in fixed.buffers():  # may be written within graphs of the compiler's own
                torch._dynamo.mark_static_address(b)
            self.compiled[key] = [torch.compile(f, mode=mode, fullgraph=True, dynamic=False)
                                  for f in (fixed.begin, fixed.step) + ((fixed.finish,) if self.canvas else ())]
        return self.compiled[key]


def needs_cuda(lane):
    if lane.model.device != "cuda":
        raise RuntimeError("needs CUDA")


def captured(run):
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def eager(lane, budget):
    return None, lambda: lane.generate(budget)


def fixed_eager(lane, budget, dtype=torch.float32, attention="plain"):
    f = lane.fixed(dtype, attention)
    return f, lambda: f.run(budget)


def graphs(lane, budget, dtype=torch.float32, attention="plain"):
    needs_cuda(lane)
    f = lane.fixed(dtype, attention)
    return f, captured(lambda: f.run(budget))


def round_graphs(lane, budget):
    """Of each round one, so that the host could stop between rounds as the reference does."""
    needs_cuda(lane)
    f = lane.fixed(torch.float32, "plain")
    replays = [captured(f.begin), captured(f.step)] + ([captured(f.finish)] if f.closed else [])
    return f, lambda: f.run(budget, replays[0], replays[1], replays[-1] if f.closed else f.finish)


def compiled(lane, budget, mode="default"):
    f = lane.fixed(torch.float32, "plain")
    parts = lane.compile(f, mode)
    return f, lambda: f.run(budget, *parts)


def compiled_graphs(lane, budget, dtype=torch.float32):
    needs_cuda(lane)
    f = lane.fixed(dtype, "plain")
    parts = lane.compile(f, "default")
    f.run(20, *parts)  # compiles
    return f, captured(lambda: f.run(budget, *parts))


RIVALS = [
    ("eager, the reference", eager),
    ("fixed shapes, eager", fixed_eager),
    ("a CUDA graph of each round", round_graphs),
    ("a CUDA graph of the frame", graphs),
    ("... and SDPA", lambda lane, b: graphs(lane, b, attention="sdpa")),
    ("... and float16", lambda lane, b: graphs(lane, b, dtype=torch.float16)),
    ("... and float16, SDPA", lambda lane, b: graphs(lane, b, torch.float16, "sdpa")),
    ("torch.compile default", compiled),
    ("... and a CUDA graph of the frame", compiled_graphs),
    ("torch.compile reduce-overhead", lambda lane, b: compiled(lane, b, "reduce-overhead")),
    ("torch.compile, a graph, float16", lambda lane, b: compiled_graphs(lane, b, torch.float16)),
]


# --------------------------------------------------------------------------------------------
# Checks and times
# --------------------------------------------------------------------------------------------
def check(lane, budget, fixed, run):
    """Runs the frame and says how its ids, and where these are the same its canvas, compare."""
    if fixed is None:
        return "ids the reference"
    fixed.limit.fill_(budget)
    run()
    run()  # a frame leaves nothing behind that another run of it would see
    ids, wanted = fixed.ids[:budget].tolist(), lane.ids[budget]
    if ids != wanted:
        same = sum(a == b for a, b in zip(ids, wanted))
        first = next(i for i, (a, b) in enumerate(zip(ids, wanted)) if a != b)
        return f"ids DIFFER from slot {first}, {same} of {budget} same"
    if fixed.closed and not torch.equal(fixed.canvas_next, lane.painted[budget]):
        return "ids same, the canvas DIFFERS"
    return "ids same"


def times(device, run, n):
    """Medians of n: wall clock in ms, the device's time in ms (None on a CPU)."""
    cuda, wall, own = device == "cuda", [], []
    warm = min(n, 2)
    for _ in range(n + warm):
        if cuda:
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            torch.cuda.synchronize()
        t = time.perf_counter()
        if cuda:
            begin.record()
        run()
        if cuda:
            end.record()
            torch.cuda.synchronize()
        wall.append(1e3 * (time.perf_counter() - t))
        if cuda:
            own.append(begin.elapsed_time(end))
    return statistics.median(wall[warm:]), statistics.median(own[warm:]) if own else None


def repeats(lane, fixed):
    if lane.model.device == "cpu":  # runs for the sake of the check
        return 1
    return 5 if fixed is None else 20


def timed_out(*_):
    raise Late()


def row(lane, name, rival, budget, reference, deadline):
    """Prints a rival's row; returns its ms, None where it failed."""
    context = lane.model.c.context
    head = f"context {context:7} {-(-budget // 10):3} rounds  {name:34}"
    left = deadline - time.monotonic()
    if left <= 0:
        print(f"{head} failed: the time is up (--limit)", flush=True)
        return None
    signal.setitimer(signal.ITIMER_REAL, min(left + 5, RIVAL_SECONDS))
    try:
        fixed, run = rival(lane, budget)
        verdict = check(lane, budget, fixed, run)
        wall, own = times(lane.model.device, run, repeats(lane, fixed))
    except Late:
        print(f"{head} failed: it took too long", flush=True)
        return None
    except Exception as e:
        text = " ".join(str(e).split())[:160]
        print(f"{head} failed: {text or type(e).__name__}", flush=True)
        return None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    device = "" if own is None else f"  device {own:8.3f}"
    factor = "" if reference is None else f"  {reference / wall:6.1f} x eager"
    print(f"{head} {wall:9.3f} ms{device}  {verdict}{factor}", flush=True)
    return wall


def main():
    p = argparse.ArgumentParser()
    p.add_argument("model", nargs="?", default=os.path.join(root, "models", "open-gaze"))
    p.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    p.add_argument("--limit", type=float, default=170)
    p.add_argument("--only", default="", help="rivals whose name contains it (eager always runs)")
    a = p.parse_args()
    if a.device == "cuda" and not torch.cuda.is_available():
        sys.exit("torch_reference: this torch finds no CUDA device (--device cpu runs without one)")
    if a.device == "cpu":
        torch.set_num_threads(1)  # a team of spinning threads is worse than none on a busy machine
    warnings.filterwarnings("ignore")
    signal.signal(signal.SIGALRM, timed_out)
    deadline = time.monotonic() + a.limit
    config = load_config(os.path.join(a.model, "config.json"))
    weights = load_safetensors(os.path.join(a.model, "model.safetensors"))
    frames = torch.from_numpy(np.random.default_rng(1).standard_normal((17, 3, 224, 224), np.float32)).to(a.device)
    name = torch.cuda.get_device_name() if a.device == "cuda" else "CPU: no times to quote"
    print(f"PyTorch {torch.__version__}, {name}, float32 where not said, TF32 off; ms a frame", flush=True)
    with torch.no_grad():
        lanes = []
        for context in ("canvas", "frames"):
            c = load_config(os.path.join(a.model, "config.json"))
            c.context = context
            lanes.append(Lane(AutoGaze(c, weights, a.device), frames))
        # The dear ones last, of both lanes: what is left out for want of time is the least.
        reference = {}
        for rival_name, rival in RIVALS:
            if rival is not eager and a.only not in rival_name:
                continue
            for lane in lanes:
                for budget in (10, FULL):
                    key = (lane.model.c.context, budget)
                    ms = row(lane, rival_name, rival, budget, reference.get(key), deadline)
                    if rival is eager:
                        reference[key] = ms
    return 0


if __name__ == "__main__":
    sys.exit(main())
