# Shared by the scripts of this folder, which source it: where the project is, how to speak.
# Sets: root (absolute path of the project), self (name of the calling script).
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
self=$(basename -- "$0" .sh)

say() { printf '%s: %s\n' "$self" "$*" >&2; }

die() {
    say "$*"
    exit 1
}

# quiet LOG COMMAND...: the output goes to LOG and is shown only when the command fails.
quiet() {
    local log=$1 status=0
    shift
    mkdir -p "$(dirname -- "$log")"
    "$@" >"$log" 2>&1 || status=$?
    if [ "$status" -ne 0 ]; then
        tail -n 40 -- "$log" >&2
        say "failed: $*"
        say "the whole output is in $log"
    fi
    return "$status"
}

# build PRESET TARGETS -DOPTION=VALUE...: configures build/PRESET and builds TARGETS (one word list).
build() {
    local preset=$1 targets=$2
    shift 2
    say "building $targets in build/$preset"
    local logs=$root/build/$preset
    (cd -- "$root" && quiet "$logs/configure.log" cmake --preset "$preset" "$@" &&
        # shellcheck disable=SC2086 # several targets
        quiet "$logs/build.log" cmake --build "build/$preset" --target $targets)
}
