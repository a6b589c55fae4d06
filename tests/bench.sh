#!/bin/sh
# autogaze-bench on the command line: exit codes, one sentence for each error.
#   sh bench.sh AUTOGAZE_BENCH SOURCE_DIR
set -u
bench=$1
fixtures=$2/fixtures
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
bad=0

# expect CODE WORDS ARGUMENTS...: exit code; words of standard output (0) or of the one error line
expect() {
    code=$1 words=$2
    shift 2
    "$bench" "$@" >"$tmp/out" 2>"$tmp/err"
    got=$?
    if [ $got -ne "$code" ]; then
        echo "exit code $got, expected $code: $*"
        bad=1
    fi
    if [ "$code" -eq 0 ] || [ ! -s "$tmp/err" ]; then
        file=$tmp/out
    else
        file=$tmp/err
        [ "$(wc -l <"$tmp/err")" -eq 1 ] || { echo "not one line of error: $*"; bad=1; }
    fi
    grep -qF -e "$words" "$file" || { echo "no '$words': $*"; cat "$file"; bad=1; }
}

expect 0 "verify MODEL" --help
expect 1 "no command"
expect 1 "did you mean 'verify'" verfy
expect 1 "takes either" verify
expect 1 "takes either" verify x --preprocess y
expect 1 "unknown option '--vektors' of 'verify', did you mean --vectors" verify x --vektors y
expect 1 "--vectors needs a value" verify x --vectors
expect 1 "one argument" verify x y
expect 1 "unknown back end 'cup'" verify x --backend cup
expect 1 "--threads is '-1'" verify x --threads -1
expect 2 "neither a folder" verify "$tmp/none"
expect 2 "is a file" verify "$fixtures/README.md"
expect 2 "cannot open" verify open-gaze # has no vectors beside it
expect 2 "header length" verify "$fixtures/tiny" --vectors "$fixtures/README.md"
expect 2 "cannot open" verify --preprocess "$tmp/none"
expect 2 "cannot open" verify --preprocess "$tmp/none" --backend cpu
expect 0 "18 of 18 cases passed" verify "$fixtures/tiny" --backend cpu --threads 1
expect 0 "5 of 5 cases passed" verify open-gaze --vectors "$fixtures/open-gaze.safetensors"
expect 0 "8 of 8 cases passed" verify --preprocess "$fixtures/preprocess.safetensors"

# Composition: right pictures on every path; times only on demand, software devices only by name.
expect 1 "--repeats 0 to" compose --format xml
expect 1 "no case's name" compose no-such-case --software allow --repeats 0
expect 0 "20 of 20 lanes right" compose multiscale --software allow --repeats 0

# Weights of another model of the same shape: everything is read, nothing agrees.
expect 1 "FAILED" verify "$fixtures/tiny-canvas" --vectors "$fixtures/tiny/vectors.safetensors"

# Lanes: checked, timed, as text, CSV and JSON. A software device must be asked for.
lanes="--repeats 1 --software allow"
expect 0 "1 of 1 lanes right" preprocess "model input 720x1280" $lanes
expect 0 "8 of 8 lanes right" preprocess "rgba" $lanes --format csv
expect 0 "1 of 1 lanes right" patch-diff "noise 1280x720" $lanes
expect 0 "2 of 2 lanes right" frame "pan patch-diff 1280x720" $lanes --model "$fixtures/tiny"
expect 0 "2 of 2 lanes right" cpu-model "canvas" --repeats 2 --model "$fixtures/tiny-canvas"
"$bench" patch-diff "noise 1280x720" $lanes --format json >"$tmp/lanes.json" &&
    python3 -c 'import json, sys; lane, = json.load(open(sys.argv[1]))["lanes"]; assert lane["ok"] and lane["us"]["p50"] > 0' \
        "$tmp/lanes.json" || { echo "no usable JSON"; bad=1; }
expect 1 "no lane's name contains" patch-diff nothing $lanes
expect 1 "takes --repeats 1 to 100000" preprocess --repeats 0
expect 1 "expected 0 to 256" cpu-model --threads many
"$bench" patch-diff nothing >"$tmp/out" 2>"$tmp/err"
case $? in
1) grep -q "no lane" "$tmp/err" ;; # hardware
3) grep -q "is a software device" "$tmp/err" ;;
*) false ;;
esac || { echo "a software device is not refused"; cat "$tmp/err"; bad=1; }

# A folder without weights, one that is cut short.
mkdir "$tmp/model"
cp "$fixtures/tiny/config.json" "$fixtures/tiny/preprocessor_config.json" "$tmp/model"
expect 2 "has no model.safetensors" verify "$tmp/model"
head -c 100000 "$fixtures/tiny/model.safetensors" >"$tmp/model/model.safetensors"
expect 2 "cut short" verify "$tmp/model"
exit $bad
