#!/usr/bin/env bash
# Sets up, builds (Release) and starts autogaze-viewer.
#
# Usage: scripts/run.sh [options and inputs of autogaze-viewer]
#
# Without a display it runs 300 frames headless and leaves a screenshot and a summary in out/;
# options given here win over these defaults.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

"$root/scripts/setup.sh"
# The tests stay configured where cmocka is there, so that test.sh and run.sh share one build.
build release autogaze-viewer \
    "-DAUTOGAZE_TESTS=$(pkg-config --exists cmocka && echo ON || echo OFF)"
viewer=$root/build/release/autogaze-viewer

# given NAME ARGS...: is the option NAME among the arguments?
given() {
    local name=$1 arg
    shift
    for arg in "$@"; do
        case $arg in "$name" | "$name="*) return 0 ;; esac
    done
    return 1
}

as_given=false
[ -z "${DISPLAY-}${WAYLAND_DISPLAY-}" ] || as_given=true
for arg in "$@"; do
    case $arg in --headless | --list-* | --help | --version) as_given=true ;; esac
done
! $as_given || exec "$viewer" "$@"

args=(--headless)
given --frames "$@" || args+=(--frames 300)
if ! given --screenshot "$@"; then
    screenshot=$root/out/screenshot.png
    args+=(--screenshot "$screenshot")
fi
if ! given --perf-summary "$@"; then
    summary=$root/out/summary.json
    args+=(--perf-summary "$summary")
fi
mkdir -p "$root/out"
say "no display: running with ${args[*]}"
"$viewer" "${args[@]}" "$@"
[ -z "${screenshot-}" ] || say "screenshot: $screenshot"
[ -z "${summary-}" ] || say "summary: $summary"
