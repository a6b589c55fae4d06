#!/usr/bin/env python3
"""The scripts around the matrix: what gates and comparison say of good and bad runs, and that the
matrix goes on after a failure. The summaries are made here, as small as the scripts need them; one
real summary shows that the viewer still writes what they read.

usage: perf_scripts.py VIEWER
"""
import copy
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

SCRIPTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "scripts")
VIEWER = os.path.abspath(sys.argv.pop(1))


def times(p50, p95=None, window=600):
    p95 = p50 * 1.1 if p95 is None else p95
    return {"samples": window, "window": window, "mean": p50, "p50": p50, "p95": p95, "p99": p95 * 1.1,
            "max": p95 * 1.2}


def summary(interval=1.0, software=False):
    return {
        "complete": True, "frames": 600, "warmup_frames": 60, "frames_a_second": 1000 / interval,
        "git_revision": "0123", "keyframes": 0, "startup_ms": 300, "output_hash": "aa", "gaze_hash": "bb",
        "device": {"name": "Some GPU", "driver": "d", "driver_info": "i", "software": software},
        "source": {"dropped": 0, "width": 1920, "height": 1080},
        "mask": {"duplicate_inferences": 0, "tokens": {"mean": 3}, "gaze_ratio": {"mean": 0.1, "samples": 600}},
        "psnr_db": {"mean": 30}, "model_psnr_db": {"mean": None},
        "residency": {"resize_to_mask_source": "device"},
        "transfers": {"allocations": 0, "validation_messages": 0},
        "host_memory": {"own_bytes_peak": 40e6, "driver_and_libraries_bytes": 100e6},
        "timing_ms": {"interval": times(interval), "latency": times(interval * 2), "gpu_total": times(interval * 0.9),
                      "dominant_stage": "prefill", "accounted": {"p05": 0.99},
                      "stages": {"prefill": {"gpu": times(interval * 0.5)}, "compose": {"gpu": times(interval * 0.1)}}},
    }


def script(name, *arguments):
    return subprocess.run([os.path.join(SCRIPTS, name), *arguments], capture_output=True, text=True)


def case_names():
    """The cases that the matrix would measure with a program that knows everything."""
    with tempfile.TemporaryDirectory() as d:
        viewer = os.path.join(d, "viewer")
        with open(viewer, "w") as f:
            f.write("#!/bin/sh\necho '--dispatch --mode canvas-diff'; echo 'video    files, through FFmpeg'\n")
        os.chmod(viewer, 0o755)
        result = script("perf-matrix.sh", "--dry-run", "--viewer", viewer, "--video", "clip.mp4")
        assert result.returncode == 0, result.stderr
        return re.findall(r"^([^ :]+): ", result.stdout, re.M)


class Gates(unittest.TestCase):
    names = case_names()

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.cases = self.make()
        with open(os.path.join(self.folder.name, "crossover.json"), "w") as f:
            json.dump({"device": "Some GPU", "sizes": ["1280x720", "1920x1080"]}, f)
        self.compose = {
            "lanes": [{"height": 1080, "case": "full-frame", "work": "panels+psnr", "dispatch": "auto",
                       "compose_us": {"p50": 15.0}}],
            "summary": [{"height": h, "work": w, "dense_max_to_min": 1.04 if w == "panels+psnr" else 1.5,
                         "auto_to_best_max": 1.02, "full_minus_tiny_us": 5.0}
                        for h in (720, 1080) for w in ("panels+psnr", "output")],
            "wrong": 0,
        }

    def make(self, *arguments, **options):
        cases = {n: summary(*arguments, **options) for n in self.names}
        for name, s in cases.items():
            mask = re.match(r"stress-(.*)-(native|deduplicated|effective)-(720p|1080p)$", name)
            if mask:
                size = (1280, 720) if mask[3] == "720p" else (1920, 1080)
                pixels = {"empty": (0, 0), "tiny-sparse": (240, 510), "multiscale": (311972, 701544)}.get(
                    mask[1], (1280 * 720, 1920 * 1080))[mask[3] == "1080p"]
                if mask[1] == "multiscale" and mask[2] == "effective":
                    pixels = (19280, 43056)[mask[3] == "1080p"]
                s["source"].update(width=size[0], height=size[1])
                s["mask"]["gaze_ratio"]["mean"] = pixels / (size[0] * size[1])
            for path in ("-sparse", "-dense"):
                if name + path in cases:
                    cases[name + path]["mask"]["gaze_ratio"]["mean"] = s["mask"]["gaze_ratio"]["mean"]
        return cases

    def tearDown(self):
        self.folder.cleanup()

    def judge(self, failed=()):
        with open(os.path.join(self.folder.name, "aggregate.json"), "w") as f:
            json.dump({"case_count": len(self.cases), "failed": list(failed), "cases": self.cases}, f)
        with open(os.path.join(self.folder.name, "compose.json"), "w") as f:
            json.dump(self.compose, f)
        result = script("perf-gates.py", self.folder.name)
        self.assertEqual(result.stderr, "")
        verdicts = dict(reversed(line.split(":")[0].split()) for line in result.stdout.splitlines()
                        if line.startswith(("PASS ", "FAIL ", "MISSING ")))
        return result, verdicts

    def expect(self, gate, verdict, text):
        result, verdicts = self.judge()
        self.assertEqual(verdicts[gate], verdict, result.stdout)
        self.assertIn(text, result.stdout)
        others = {v for g, v in verdicts.items() if g != gate}
        self.assertEqual(others, {"PASS"}, result.stdout)
        self.assertEqual(result.returncode, 1)

    def test_good(self):
        result, verdicts = self.judge()
        self.assertEqual(set(verdicts.values()), {"PASS"}, result.stdout)
        self.assertGreaterEqual(len(verdicts), 12)
        self.assertEqual(result.returncode, 0)

    def test_collapse(self):
        self.cases["stress-dense-grid-64-native-720p"]["timing_ms"]["interval"] = times(1.2)
        self.expect("no-collapse", "FAIL", "dense-grid-64 native 720p: p50 interval / tiny-sparse 1.200")

    def test_frame_time(self):
        self.cases["noise-1080p-hud"]["timing_ms"]["interval"]["p95"] = 2.6
        self.cases["noise-1080p-hud"]["timing_ms"]["interval"].update(p99=2.7, max=2.8)
        self.expect("frame-time", "FAIL", "noise-1080p-hud p95 interval ms 2.600")

    def test_too_few_frames(self):
        self.cases["pan-1080p-hud"]["frames"] = 100
        self.cases["pan-1080p-hud"]["mask"]["gaze_ratio"]["samples"] = 100
        self.expect("sound", "FAIL", "pan-1080p-hud: 100 frames after 60, 600 after 60 are wanted")

    def test_unstable(self):
        self.cases["checker-pan-1080p-fixed-budget"]["timing_ms"]["interval"].update(p95=1.3, p99=1.4, max=1.5)
        self.expect("stable", "FAIL", "checker-pan-1080p-fixed-budget p95/p50 1.300")

    def test_motion(self):
        self.cases["static-720p-fixed-budget"]["timing_ms"]["interval"]["p50"] = 0.95
        self.cases["static-720p-fixed-budget"]["timing_ms"]["stages"]["upload"] = {"gpu": times(0.05)}
        self.expect("motion-costs-tokens", "FAIL", "720p: p50 interval at a fixed budget / static 1.111")

    def test_unexplained(self):
        self.cases["pan-720p-autogaze"]["timing_ms"]["accounted"]["p05"] = 0.94
        self.expect("explained", "FAIL", "pan-720p-autogaze: 94.0 %")

    def test_counted_twice(self):
        self.cases["pan-720p-autogaze"]["timing_ms"]["accounted"]["p05"] = 1.2
        self.expect("explained", "FAIL", "120.0 %")

    def test_wrong_pixels(self):
        self.cases["stress-tiny-sparse-effective-1080p"]["mask"]["gaze_ratio"]["mean"] = 511 / (1920 * 1080)
        self.expect("exact-pixels", "FAIL", "tiny-sparse effective 1080p: 511 pixels, expected 510")

    def test_lost_sample(self):
        self.cases["pan-720p-autogaze"]["mask"]["gaze_ratio"]["samples"] = 599
        self.expect("sound", "FAIL", "pan-720p-autogaze: frames without a gaze ratio")

    def test_other_pictures(self):
        self.cases["stress-multiscale-native-1080p-dense"]["output_hash"] = "cc"
        self.expect("same-semantics", "FAIL", "stress-multiscale-native-1080p = stress-multiscale-native-1080p-dense")

    def test_other_ids(self):
        self.cases["pan-720p-fixed-budget-bare"]["gaze_hash"] = "cc"
        self.expect("same-semantics", "FAIL", "pan-720p-fixed-budget-no-window: other ids")

    def test_other_area(self):
        self.cases["stress-multiscale-native-720p-sparse"]["mask"]["gaze_ratio"]["mean"] = 0.5
        self.expect("same-semantics", "FAIL", "stress-multiscale-native-720p-sparse: other gaze ratio")

    def test_hidden_sync(self):
        self.cases["pan-720p-fixed-budget-bare"]["timing_ms"]["interval"]["p50"] = 0.95
        self.expect("no-hidden-sync", "FAIL", "HUD and PSNR add 5.3 %")

    def test_window(self):
        self.cases["pan-1080p-fixed-budget-no-window"]["timing_ms"]["interval"] = times(0.89)
        self.expect("window", "FAIL", "1080p: the window adds ms to the p50 interval 0.110, limit 0.1")

    def test_readback(self):
        self.cases["pan-1080p-hud"]["residency"]["resize_to_mask_source"] = "device-to-host"
        self.expect("no-hidden-sync", "FAIL", "pan-1080p-hud: waits for a readback")

    def test_start(self):
        for s in self.cases.values():
            s["startup_ms"] = 401
        self.expect("startup", "FAIL", "401.000, limit 400")

    def test_memory(self):
        self.cases["pan-1080p-hud"]["host_memory"]["own_bytes_peak"] = 251e6
        self.expect("memory", "FAIL", "pan-1080p-hud: host memory of ours, MB 251.000")

    def test_unsound(self):
        self.cases["noise-720p-autogaze"]["mask"]["duplicate_inferences"] = 1
        self.expect("sound", "FAIL", "noise-720p-autogaze: frames inferred twice")

    def test_missing_case(self):
        del self.cases["tiled-local-motion-1080p-autogaze"]
        self.expect("tiled", "MISSING", "no case tiled-local-motion-1080p-autogaze")

    def test_missing_number(self):
        del self.cases["pan-720p-patch-diff"]["host_memory"]
        del self.cases["pan-1080p-patch-diff"]["host_memory"]
        self.expect("memory", "FAIL", "a summary lacks what the gate reads")

    def test_composition(self):
        self.compose["summary"][2]["dense_max_to_min"] = 1.2
        self.expect("composition", "FAIL", "panels+psnr 1080p: dense, most / least of all masks 1.200")
        self.compose["summary"][2]["dense_max_to_min"] = 1.0
        self.compose["summary"][1]["auto_to_best_max"] = 1.06
        self.expect("composition", "FAIL", "output 720p: auto / the better path 1.060")
        self.compose["summary"][1]["auto_to_best_max"] = 1.0
        self.compose["lanes"][0]["compose_us"]["p50"] = 26
        self.expect("composition", "FAIL", "full-frame 1080p: three panels and PSNR, us 26.000")
        self.compose["lanes"][0]["compose_us"]["p50"] = 15
        self.compose["summary"][1]["disturbed_lanes"] = 3
        self.expect("composition", "FAIL", "3 lanes were disturbed")
        self.compose["summary"] = self.compose["summary"][:2]
        self.expect("composition", "FAIL", "has no whole run at 1080")

    def test_failed_case(self):
        result, verdicts = self.judge(failed=["pan-1080p-hud"])
        self.assertEqual(verdicts["sound"], "FAIL")
        self.assertIn("cases that failed: pan-1080p-hud", result.stdout)

    def test_software(self):
        self.cases = self.make(20, software=True)
        result, verdicts = self.judge()
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertNotIn("no-collapse", verdicts)
        self.assertIn("(SOFTWARE)", result.stdout)
        self.cases["local-motion-720p-autogaze"]["timing_ms"]["interval"].update(p95=41, p99=42, max=43)
        self.assertEqual(self.judge()[1]["frame-time"], "FAIL")

    def test_no_run(self):
        self.assertEqual(script("perf-gates.py", "/nonexistent").returncode, 2)
        self.assertEqual(script("perf-gates.py").returncode, 2)


class Compare(unittest.TestCase):
    def compare(self, a, b, *options):
        with tempfile.TemporaryDirectory() as d:
            paths = []
            for name, cases in (("a", a), ("b", b)):
                paths.append(os.path.join(d, name + ".json"))
                with open(paths[-1], "w") as f:
                    json.dump({"cases": cases}, f)
            return script("perf-compare.py", *paths, *options)

    def test_same(self):
        result = self.compare({"x": summary()}, {"x": summary(1.01)})
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("0 faster, 0 slower, 1 within the noise", result.stdout)
        self.assertNotIn("p50", result.stdout)

    def test_slower_and_faster(self):
        result = self.compare({"x": summary(), "y": summary()}, {"x": summary(1.2), "y": summary(0.8)})
        self.assertEqual(result.returncode, 1)
        self.assertIn("x: interval p50 1.000 -> 1.200 ms (+20.0 %)", result.stdout)
        self.assertIn("1 faster, 1 slower", result.stdout)

    def test_spread_is_noise(self):
        a, b = summary(), summary(1.1)
        for s in (a, b):
            s["timing_ms"]["interval"].update(p95=3.0, p99=4.0, max=5.0, window=30)
        result = self.compare({"x": a}, {"x": b})
        self.assertNotIn("x: interval", result.stdout)

    def test_hashes_and_cases(self):
        b = summary()
        b["gaze_hash"] = "cc"
        result = self.compare({"x": summary(), "old": summary()}, {"x": b, "new": summary()})
        self.assertIn("x: gaze_hash differs", result.stdout)
        self.assertIn("only in A: old", result.stdout)
        self.assertIn("only in B: new", result.stdout)

    def test_not_comparable(self):
        b = summary()
        b["device"]["name"] = "Other GPU"
        self.assertEqual(self.compare({"x": summary()}, {"x": b}).returncode, 2)
        self.assertEqual(self.compare({"x": summary()}, {"y": b}).returncode, 2)


class Matrix(unittest.TestCase):
    def matrix(self, folder, *options):
        return script("perf-matrix.sh", "--viewer", VIEWER, "--software", "--frames", "3", "--warmup", "1",
                      "--out", folder, *options)

    def test_cases(self):
        self.assertEqual(len(Gates.names), len(set(Gates.names)))
        for name in ("stress-redundant-full-frame-effective-1080p", "static-720p-hud", "tiled-pan-720p-autogaze",
                     "noise-1080p-canvas-diff", "portrait-720x1280-autogaze", "video-file-autogaze"):
            self.assertIn(name, Gates.names)

    def test_goes_on_after_a_failure(self):
        with tempfile.TemporaryDirectory() as d:
            result = self.matrix(d, "--filter", "^(square-1024|portrait)", "--", "--model", "/nonexistent")
            self.assertEqual(result.returncode, 1)
            self.assertIn("[2/2]", result.stderr)
            self.assertIn("failed: portrait-720x1280-autogaze square-1024-autogaze", result.stderr)

    # The real thing, once: the tools read what the viewer writes.
    def test_real(self):
        with tempfile.TemporaryDirectory() as d:
            result = self.matrix(d, "--filter", "^(static-720p-patch-diff|local-motion-720p-autogaze)$", "--",
                                 "--cpu-threads", "1")
            self.assertEqual(result.returncode, 0, result.stderr)
            with open(os.path.join(d, "aggregate.json")) as f:
                aggregate = json.load(f)
            self.assertEqual(aggregate["case_count"], 2)
            static = aggregate["cases"]["static-720p-patch-diff"]
            self.assertEqual(static["mask"]["tokens"]["mean"], 0)  # it does not move
            self.assertEqual(static["residency"]["ring_to_upload"], "host-to-device")
            gates = script("perf-gates.py", d, "--only", "memory")
            self.assertIn("MISSING memory", gates.stdout)
            gates = script("perf-gates.py", d, "--only", "sound")
            self.assertIn("PASS    sound", gates.stdout, gates.stdout)
            compare = script("perf-compare.py", d, d)
            self.assertEqual(compare.returncode, 0)
            self.assertIn("2 within the noise", compare.stdout)

    def test_wrong_arguments(self):
        self.assertEqual(script("perf-matrix.sh", "--nonsense").returncode, 1)
        self.assertEqual(script("perf-matrix.sh", "--filter").returncode, 1)
        self.assertIn("no case matches", self.matrix("/tmp", "--dry-run", "--filter", "nothing-like-it").stderr)


if __name__ == "__main__":
    unittest.main()
