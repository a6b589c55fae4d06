#!/usr/bin/env python3
"""Compares two runs of scripts/perf-matrix.sh and prints what moved beyond the noise.

usage: perf-compare.py A B [--noise PERCENT] [--all]

A and B are folders of the matrix or their aggregate.json; A is the older one. A number has moved
when it differs by more than --noise (3 %; 10 % on a software device) and by more than three standard
errors of the two medians (from the spread of each run) and by more than 2 us. Exit code: 0 nothing is
slower, 1 something is, 2 the runs cannot be compared.
"""
import argparse
import json
import math
import os
import sys


def load(path):
    if os.path.isdir(path):
        path = os.path.join(path, "aggregate.json")
    try:
        with open(path) as f:
            return json.load(f)["cases"]
    except (OSError, ValueError, KeyError) as e:
        print(f"perf-compare: '{path}' is no aggregate of perf-matrix.sh ({e})", file=sys.stderr)
        sys.exit(2)


def series(summary):
    """Name -> statistics of everything that is a time."""
    timing = summary["timing_ms"]
    found = {k: timing[k] for k in ("interval", "latency", "gpu_total") if k in timing}
    for stage, clocks in timing["stages"].items():
        if stage not in ("queue", "wait", "ring", "source"):  # they follow from the others
            found.update({f"{stage} ({clock})": s for clock, s in clocks.items()})
    return found


def median_error(s):
    """Standard error of the median, from p95 - p50 of a normal distribution."""
    sigma = (s["p95"] - s["p50"]) / 1.645
    return 1.253 * sigma / math.sqrt(max(s["window"], 1))


def moved(a, b, noise):
    change = b["p50"] - a["p50"]
    error = 3 * math.hypot(median_error(a), median_error(b))
    return abs(change) > max(noise * a["p50"], error, 0.002)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("a")
    parser.add_argument("b")
    parser.add_argument("--noise", type=float)
    parser.add_argument("--all", action="store_true")
    args = parser.parse_args()
    a, b = load(args.a), load(args.b)
    common = [name for name in a if name in b]
    if not common:
        print("perf-compare: the two runs have no case in common", file=sys.stderr)
        return 2
    one, two = a[common[0]]["device"], b[common[0]]["device"]
    if one["name"] != two["name"]:
        print(f"perf-compare: different devices, '{one['name']}' and '{two['name']}'", file=sys.stderr)
        return 2
    noise = (args.noise if args.noise is not None else 10 if one["software"] else 3) / 100
    print(f"{one['name']}: {a[common[0]]['git_revision']} -> {b[common[0]]['git_revision']}, "
          f"{len(common)} cases, noise {100 * noise:g} %")
    slower = faster = 0
    for name in common:
        old, new = series(a[name]), series(b[name])
        for key in old:
            if key not in new:
                print(f"{name}: {key} {old[key]['p50']:.3f} ms is gone")
                continue
            s, t = old[key], new[key]
            is_moved = moved(s, t, noise)
            if is_moved and key == "interval":
                slower += t["p50"] > s["p50"]
                faster += t["p50"] < s["p50"]
            if is_moved or args.all:
                change = (t["p50"] / s["p50"] - 1) * 100 if s["p50"] > 0 else math.inf
                print(f"{name}: {key} p50 {s['p50']:.3f} -> {t['p50']:.3f} ms ({change:+.1f} %), "
                      f"p95 {s['p95']:.3f} -> {t['p95']:.3f}")
        for key in new.keys() - old.keys():
            print(f"{name}: {key} {new[key]['p50']:.3f} ms is new")
        for key in ("output_hash", "gaze_hash"):
            if a[name][key] != b[name][key] and a[name]["frames"] == b[name]["frames"]:
                print(f"{name}: {key} differs: not the same pictures any more")
    for title, names in (("only in A", a.keys() - b.keys()), ("only in B", b.keys() - a.keys())):
        if names:
            print(f"{title}: {' '.join(sorted(names))}")
    print(f"intervals: {faster} faster, {slower} slower, {len(common) - faster - slower} within the noise")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
