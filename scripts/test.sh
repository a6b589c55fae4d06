#!/usr/bin/env bash
# Sets up, builds and runs all tests: the Release build runs every test, the sanitizer build
# (address + undefined) all but those labelled `slow`, and clang compiles everything once, for its
# warnings. Exits with 0 only when all of it passed.
#
# Usage: scripts/test.sh [--quick] [options of ctest]
#   --quick             the Release build only
#   -R planner, -L gpu  options of ctest, for instance to pick tests
#
# Environment:
#   AUTOGAZE_TEST_GPU    device of the GPU tests, an index or a part of the name as --gpu takes it;
#                        unset: the best one, which is software where there is no GPU
#   AUTOGAZE_TEST_JOBS   tests run at a time (2)
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

quick=false
if [ "${1-}" = --quick ]; then
    quick=true
    shift
fi
jobs=${AUTOGAZE_TEST_JOBS:-2}
failed=()

# run PRESET CTEST_OPTIONS...: all tests of a build, at once or picked by the options.
run() {
    local preset=$1
    shift
    say "tests of build/$preset"
    ctest --test-dir "$root/build/$preset" --output-on-failure --repeat until-pass:2 -j "$jobs" "$@" || failed+=("$preset")
}

"$root/scripts/setup.sh" --tests
build release all -DAUTOGAZE_TESTS=ON
run release --no-tests=error "$@"
if ! $quick; then
    build clang all
    build asan all
    run asan -LE '^slow$' "$@"
fi
[ "${#failed[@]}" -eq 0 ] || die "failed: ${failed[*]}"
say "all passed"
