#!/usr/bin/env python3
"""Collects the summaries of scripts/perf-matrix.sh: writes DIR/aggregate.json, prints a table.

usage: perf-table.py DIR [names of cases that failed]
"""
import glob
import json
import os
import sys


def number(value, digits=3):
    return "-" if value is None else f"{value:.{digits}f}"


def stage(summary, name):
    """p50/p95 in milliseconds: GPU time where there is one, else CPU time."""
    s = summary["timing_ms"]["stages"].get(name, {})
    for clock, mark in (("gpu", ""), ("cpu", "c")):
        if clock in s:
            return f"{s[clock]['p50']:.3f}/{s[clock]['p95']:.3f}{mark}"
    return "-"


def main(directory, failed):
    cases = {}
    for path in sorted(glob.glob(os.path.join(directory, "*.json"))):
        name = os.path.basename(path)[:-5]
        if name in ("aggregate", "crossover", "compose"):
            continue
        with open(path) as f:
            cases[name] = json.load(f)
    if not cases:
        sys.exit(f"perf-table: no summaries in '{directory}'; run scripts/perf-matrix.sh first")
    rates = [s["frames_a_second"] for s in cases.values()]
    with open(os.path.join(directory, "aggregate.json"), "w") as f:
        json.dump({"schema": 2, "case_count": len(cases), "failed": failed, "min_output_fps": min(rates),
                   "max_output_fps": max(rates), "cases": cases}, f, indent=1)
        f.write("\n")
    first = next(iter(cases.values()))
    device = first["device"]
    print(f"Device: {device['name']}, {device['driver']} {device['driver_info']}"
          f"{' (SOFTWARE: not hardware numbers)' if device['software'] else ''}; revision {first['git_revision']}; "
          f"{first['frames']} frames after {first['warmup_frames']}. p50/p95 in ms, c = CPU time.\n")
    shown = ("upload", "color", "resize", "diff", "vision", "prefill", "decode", "handoff", "plan", "compose",
             "paint", "hud", "present")
    print("| case | interval p50/p95 | GPU p50/p95 | " + " | ".join(shown)
          + " | dominant | accounted % | tokens | gaze % | PSNR | model PSNR |")
    print("| --- " * (len(shown) + 9) + "|")
    for name, s in cases.items():
        total = s["timing_ms"]
        pair = lambda key: "/".join(number(total.get(key, {}).get(p)) for p in ("p50", "p95"))
        gaze = s["mask"]["gaze_ratio"]["mean"]
        accounted = (total.get("accounted") or {}).get("p05")
        print(f"| {name} | {pair('interval')} | {pair('gpu_total')} | "
              + " | ".join(stage(s, k) for k in shown)
              + f" | {total.get('dominant_stage', '-')} | {number(accounted * 100 if accounted else None, 1)}"
              + f" | {number(s['mask']['tokens']['mean'], 1)}"
              + f" | {number(gaze * 100 if gaze is not None else None, 1)}"
              + f" | {number(s['psnr_db']['mean'], 1)} | {number(s['model_psnr_db']['mean'], 1)} |")
    for name in failed:
        print(f"| {name} | failed |")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2:])
