#!/usr/bin/env python3
"""Checks the acceptance gates on a run of scripts/perf-matrix.sh.

usage: perf-gates.py DIR [--only TEXT]

DIR is the folder of the matrix (its aggregate.json; crossover.json and compose.json beside it or in the
folder above).
One line a gate: PASS, FAIL or MISSING (the run lacks the cases), with the numbers. Gates on absolute
times know hardware and software devices apart. Exit code: 0 all pass, 1 not all do, 2 no run.
"""
import json
import math
import os
import sys

SIZES = ("720p", "1080p")
SOURCES = ("pan", "checker-pan", "noise", "local-motion")


class Missing(Exception):
    pass


class Run:
    def __init__(self, directory):
        self.directory = directory
        with open(os.path.join(directory, "aggregate.json")) as f:
            self.aggregate = json.load(f)
        self.cases = self.aggregate["cases"]
        self.software = next(iter(self.cases.values()))["device"]["software"]

    def case(self, name):
        if name not in self.cases:
            raise Missing(f"no case {name}")
        return self.cases[name]

    def interval(self, name, key="p50"):
        return self.case(name)["timing_ms"]["interval"][key]


def at_most(value, limit, what):
    return value <= limit, f"{what} {value:.3f}, limit {limit:g}"


def worst(checks):
    """All must hold; the text names what does not, or the first."""
    bad = [text for ok, text in checks if not ok]
    return not bad, "; ".join(bad) if bad else checks[0][1] + (f" and {len(checks) - 1} more" if len(checks) > 1 else "")


def no_collapse(run):
    return worst([at_most(run.interval(f"stress-{mask}-{g}-{p}") / run.interval(f"stress-tiny-sparse-{g}-{p}"), 1.10,
                          f"{mask} {g} {p}: p50 interval / tiny-sparse")
                  for mask in ("dense-grid-64", "redundant-full-frame") for g in ("native", "deduplicated") for p in SIZES])


def frame_time(run):
    names = [f"{s}-1080p-hud" for s in SOURCES + ("redundant-full-frame",)]
    if run.software:
        return at_most(run.interval("local-motion-720p-autogaze", "p95"), 40, "local-motion-720p-autogaze p95 interval ms")
    return worst([at_most(run.interval(n, "p95"), 2.5, f"{n} p95 interval ms") for n in names])


def stable(run):
    names = [f"{s}-{p}-fixed-budget" for s in SOURCES for p in SIZES] + [f"pan-threshold0-{p}" for p in SIZES]
    return worst([at_most(run.interval(n, "p95") / run.interval(n), 1.25, f"{n} p95/p50") for n in names])


def motion_costs_tokens(run):
    checks = []
    for p in SIZES:
        # The still picture comes over the bus, the others are drawn on the device: that is no motion.
        stages = run.case(f"static-{p}-fixed-budget")["timing_ms"]["stages"]
        static = run.interval(f"static-{p}-fixed-budget") - sum(
            stages[k]["gpu"]["p50"] for k in ("upload", "color") if "gpu" in stages.get(k, {}))
        for s in SOURCES:
            stages = run.case(f"{s}-{p}-fixed-budget")["timing_ms"]["stages"]
            moving = run.interval(f"{s}-{p}-fixed-budget") - stages.get("generate", {}).get("gpu", {}).get("p50", 0)
            checks.append(at_most(moving / static, 1.1, f"{s} {p}: p50 interval at a fixed budget / static"))
    return worst(checks)


def explained(run):
    checks = []
    for name, s in run.cases.items():
        share = (s["timing_ms"].get("accounted") or {}).get("p05")
        checks.append((bool(s["timing_ms"].get("dominant_stage")) and share is not None and 0.95 <= share <= 1.05,
                       f"{name}: {'no share' if share is None else f'{100 * share:.1f} % of the latency'} explained, "
                       f"dominant {s['timing_ms'].get('dominant_stage')}"))
    return worst(checks)


# Pixels that the stress masks update, at both sizes; with the geometry `effective` where it differs.
PIXELS = {
    "empty": ((0, 0), None), "tiny-sparse": ((240, 510), None),
    "multiscale": ((311972, 701544), (19280, 43056)),
    "dense-grid-64": ((1280 * 720, 1920 * 1080), None),
    "redundant-full-frame": ((1280 * 720, 1920 * 1080), None),
}


def exact_pixels(run):
    checks = []
    for mask, (usual, effective) in PIXELS.items():
        for i, p in enumerate(SIZES):
            for geometry in ("native", "deduplicated", "effective"):
                s = run.case(f"stress-{mask}-{geometry}-{p}")
                expected = (effective if geometry == "effective" and effective else usual)[i]
                ratio = s["mask"]["gaze_ratio"]["mean"]
                pixels = round(ratio * s["source"]["width"] * s["source"]["height"])
                checks.append((pixels == expected, f"{mask} {geometry} {p}: {pixels} pixels, expected {expected}"))
    return worst(checks)


def same_run(run, a, b):
    """The same pictures, cells and ids; (mask panels are compared by autogaze-bench compose)."""
    one, other = run.case(a), run.case(b)
    differs = [what for what, x, y in (
        ("output", one["output_hash"], other["output_hash"]), ("ids", one["gaze_hash"], other["gaze_hash"]),
        ("gaze ratio", one["mask"]["gaze_ratio"]["mean"], other["mask"]["gaze_ratio"]["mean"])) if x != y]
    return not differs, f"{a} = {b}" + (f": other {', '.join(differs)}" if differs else "")


def same_semantics(run):
    checks = []
    for p in SIZES:
        for mask in ("empty", "tiny-sparse", "multiscale", "dense-grid-64", "redundant-full-frame"):
            checks.append(same_run(run, f"stress-{mask}-native-{p}", f"stress-{mask}-deduplicated-{p}"))
        for source in SOURCES:  # drawing must not change what is drawn
            checks.append(same_run(run, f"{source}-{p}-autogaze", f"{source}-{p}-hud"))
        checks.append(same_run(run, f"pan-{p}-fixed-budget-bare", f"pan-{p}-fixed-budget-no-window"))
        for path in ("sparse", "dense"):
            if f"stress-multiscale-native-{p}-{path}" in run.cases:
                checks.append(same_run(run, f"stress-multiscale-native-{p}", f"stress-multiscale-native-{p}-{path}"))
    return worst(checks)


def no_hidden_sync(run):
    checks = []
    for p in SIZES:
        change = run.interval(f"pan-{p}-fixed-budget") / run.interval(f"pan-{p}-fixed-budget-bare") - 1
        checks.append((change < 0.03, f"{p}: HUD and PSNR add {100 * change:.1f} % to the p50 interval, limit 3"))
        for name in (f"pan-{p}-hud", f"pan-{p}-patch-diff"):
            s = run.case(name)
            waits = s["residency"]["resize_to_mask_source"] == "device-to-host"
            checks.append((not waits, f"{name}: " + ("waits for a readback" if waits else "no readback is waited for")))
            allocations = s["transfers"]["allocations"]
            checks.append((allocations == 0, f"{name}: {allocations:g} allocations after warm-up"))
    return worst(checks)


def window(run):
    return worst([at_most(run.interval(f"pan-{p}-fixed-budget-bare") - run.interval(f"pan-{p}-fixed-budget-no-window"),
                          0.1, f"{p}: the window adds ms to the p50 interval") for p in SIZES])


def sound(run):
    """What every summary must say of itself."""
    checks = []
    for name, s in run.cases.items():
        t = s["timing_ms"]["interval"]
        bad = [text for ok, text in (
            (s["complete"], "incomplete"), (s["frames"] > 0, "no frames"),
            (run.software or (s["frames"] >= 600 and s["warmup_frames"] >= 60),
             f"{s['frames']} frames after {s['warmup_frames']}, 600 after 60 are wanted"),
            (t["p50"] <= t["p95"] <= t["p99"] <= t["max"], "percentiles out of order"),
            (s["mask"]["duplicate_inferences"] == 0, "frames inferred twice"),
            (s["mask"]["gaze_ratio"]["samples"] == s["frames"] - s["keyframes"], "frames without a gaze ratio"),
            (s["source"]["dropped"] == 0, "frames dropped in lock-step"),
            (s["transfers"]["validation_messages"] == 0, "validation messages"),
            (all(math.isfinite(v) for v in t.values()), "numbers that are none")) if not ok]
        checks.append((not bad, f"{name}: {', '.join(bad) or 'sound'}"))
    failed = run.aggregate.get("failed", [])
    checks.append((not failed, f"cases that failed: {' '.join(failed)}" if failed else "no case failed"))
    checks.append((run.aggregate["case_count"] == len(run.cases), "case_count"))
    return worst(checks)


def tiled(run):
    return at_most(run.interval("tiled-local-motion-1080p-autogaze", "p95"), 1000 / 60,
                   "tiled-local-motion-1080p-autogaze p95 interval ms")


def startup(run):
    times = sorted(s["startup_ms"] for n, s in run.cases.items() if "1080p" in n and "tiled" not in n)
    if not times:
        raise Missing("no case at 1080p")
    return at_most(times[len(times) // 2], 1500 if run.software else 400, "median start to first frame at 1080p, ms")


def memory(run):
    sizes = {n: s["host_memory"] for n, s in run.cases.items() if "1080p" in n}
    if not sizes:
        raise Missing("no case at 1080p")
    name = max(sizes, key=lambda n: sizes[n]["own_bytes_peak"])
    ok, text = at_most(sizes[name]["own_bytes_peak"] / 1e6, 250, f"{name}: host memory of ours, MB")
    return ok, text + f" (driver and libraries {sizes[name]['driver_and_libraries_bytes'] / 1e6:.0f})"


def beside(run, name, command):
    """Path of a file that a bench command wrote into the folder of the run, or the one above."""
    for directory in (run.directory, os.path.dirname(os.path.abspath(run.directory))):
        path = os.path.join(directory, name)
        if os.path.exists(path):
            return path
    raise Missing(f"no {name}: {command} makes it")


def crossover(run):
    path = beside(run, "crossover.json", "autogaze-bench crossover")
    with open(path) as f:
        text = f.read()
    json.loads(text)
    device = next(iter(run.cases.values()))["device"]["name"]
    lacks = [w for w in (device, "1280", "1920") if w not in text]
    return not lacks, f"{path}" + (f" does not name {', '.join(lacks)}" if lacks else "")


def composition(run):
    path = beside(run, "compose.json", "autogaze-bench compose --format json")
    with open(path) as f:
        bench = json.load(f)
    checks = [(bench["wrong"] == 0, f"{bench['wrong']} wrong pictures")]
    disturbed = max((s.get("disturbed_lanes", 0) for s in bench["summary"]), default=0)
    checks.append((disturbed == 0, f"{disturbed} lanes were disturbed however often they were measured"))
    sizes = {s["height"] for s in bench["summary"] if "full_minus_tiny_us" in s}
    checks += [(False, f"{path} has no whole run at {p}") for p in (720, 1080) if p not in sizes]
    for s in bench["summary"]:
        what = f"{s['work']} {s['height']}p"
        checks.append(at_most(s["auto_to_best_max"], 1.05, f"{what}: auto / the better path"))
        # Without the error sum, what does not change is neither read nor written: masks differ.
        if s["work"] == "panels+psnr":
            checks.append(at_most(s["dense_max_to_min"], 1.10, f"{what}: dense, most / least of all masks"))
        checks.append(at_most(s.get("full_minus_tiny_us", math.inf), 25, f"{what}: full-frame minus tiny-sparse, us"))
    slowest = max((r for r in bench["lanes"] if r["dispatch"] == "auto" and r["height"] == 1080
                   and r["work"] == "panels+psnr"), key=lambda r: r["compose_us"]["p50"])
    checks.append(at_most(slowest["compose_us"]["p50"], 25, f"{slowest['case']} 1080p: three panels and PSNR, us"))
    return worst(checks)


GATES = {
    "sound": (sound, "summaries are complete and consistent"),
    "no-collapse": (no_collapse, "many cells cost no more than few"),
    "frame-time": (frame_time, "hardware: 1080p with HUD p95 at most 2.5 ms; software: 720p30 p95 at most 40 ms"),
    "stable": (stable, "p95/p50 at most 1.25 at a fixed budget"),
    "motion-costs-tokens": (motion_costs_tokens, "at a fixed budget no source costs more than 1.1 of a static one"),
    "explained": (explained, "stages and waits explain 95 % of the latency"),
    "exact-pixels": (exact_pixels, "stress masks update as many pixels as they must"),
    "same-semantics": (same_semantics, "one output, whatever the geometry, dispatch and HUD"),
    "no-hidden-sync": (no_hidden_sync, "HUD and PSNR of a window cost under 3 %, no readback is waited for"),
    "window": (window, "drawing a window for every frame costs at most 0.1 ms"),
    "tiled": (tiled, "1080p tiled at 60 frames a second"),
    "startup": (startup, "start to first frame: hardware 400 ms, software 1.5 s"),
    "memory": (memory, "host memory of ours under 250 MB at 1080p"),
    "composition": (composition, "composition: auto, dense over all masks, full against few, three 1080p panels"),
    "crossover": (crossover, "the crossover of the two paths is measured at both sizes"),
}
# What a software device is not held to: it has no second processor to hide anything on.
HARDWARE_ONLY = {"no-collapse", "stable", "motion-costs-tokens", "no-hidden-sync", "window", "tiled", "crossover",
                 "composition"}


def main(arguments):
    only = None
    if "--only" in arguments[:-1]:
        at = arguments.index("--only")
        only = arguments[at + 1]
        del arguments[at:at + 2]
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        run = Run(arguments[0])
    except (OSError, ValueError, KeyError, StopIteration) as e:
        print(f"perf-gates: '{arguments[0]}' holds no aggregate.json of perf-matrix.sh ({e})", file=sys.stderr)
        return 2
    first = next(iter(run.cases.values()))
    print(f"{first['device']['name']}{' (SOFTWARE)' if run.software else ''}, revision {first['git_revision']}, "
          f"{len(run.cases)} cases")
    count = {"PASS": 0, "FAIL": 0, "MISSING": 0}
    for name, (gate, what) in GATES.items():
        if (only and only not in name) or (run.software and name in HARDWARE_ONLY):
            continue
        try:
            ok, text = gate(run)
            verdict = "PASS" if ok else "FAIL"
        except Missing as e:
            verdict, text = "MISSING", str(e)
        except (KeyError, TypeError, ZeroDivisionError) as e:
            verdict, text = "FAIL", f"a summary lacks what the gate reads ({type(e).__name__}: {e})"
        count[verdict] += 1
        print(f"{verdict:7} {name}: {what}\n        {text}")
    if run.software:
        print("a software device is not held to: " + ", ".join(sorted(HARDWARE_ONLY)))
    print(", ".join(f"{n} {verdict}" for verdict, n in count.items()))
    return 0 if count["PASS"] and not count["FAIL"] and not count["MISSING"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
