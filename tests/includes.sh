#!/bin/sh
# Who may include whom (docs/architecture.md): each module of src/ names the public headers it may
# use; anything else fails. Also: no Vulkan, SDL or FFmpeg name outside of its folders.
set -u
cd "${1:-.}" || exit 1
bad=0

nouns="base log frame plan config timing model"
allowed() {
    case $1 in
    base) echo "base log" ;;
    timing) echo "base timing" ;;
    gpu) echo "base log timing gpu" ;;
    source) echo "base log frame source" ;;
    ring) echo "base log frame source ring" ;;
    preprocess) echo "$nouns gpu source preprocess preprocess_ref" ;;
    model) echo "$nouns gpu planner cpu_model gpu_model" ;;
    tiles) echo "base model plan tiles gpu planner tile_list" ;;
    reference) echo "$nouns tiles planner compositor mask_source preprocess_ref model_ref" ;;
    mask) echo "$nouns gpu planner mask_source" ;;
    planner) echo "$nouns gpu planner" ;;
    compositor) echo "$nouns gpu planner compositor" ;;
    config) echo "base log config" ;;
    report) echo "$nouns gpu ring source planner report crossover" ;;
    present) echo "$nouns gpu view presenter" ;;
    hud) echo "$nouns gpu ring source report view presenter hud" ;;
    pipeline | screen | app | export) echo any ;;
    *) echo "" ;;
    esac
}

for dir in src/*/; do
    module=$(basename "$dir")
    list=$(allowed "$module")
    [ -n "$list" ] || { echo "src/$module is not in tests/includes.sh"; bad=1; continue; }
    [ "$list" = any ] && continue
    for header in $(grep -hoE '#include "autogaze/[a-z_]+\.h"' "$dir"*.c "$dir"*.h "$dir"*.cpp 2>/dev/null |
                    sed 's/.*\/\(.*\)\.h"/\1/' | sort -u); do
        case " $list " in
        *" $header "*) ;;
        *) echo "src/$module must not include autogaze/$header.h"; bad=1 ;;
        esac
    done
done

# name: pattern in the includes; folders that may use it
only() {
    pattern=$1
    shift
    for file in $(grep -lE "#include [<\"]($pattern)" -r src include bench 2>/dev/null); do
        ok=0
        for folder in "$@"; do
            case $file in $folder/*) ok=1 ;; esac
        done
        [ $ok = 1 ] || { echo "$file must not include $pattern (only: $*)"; bad=1; }
    done
}
only 'vulkan/|volk\.h|vk_mem_alloc' src/gpu
only '(\.\./)?(gpu/)?vk\.h' src/gpu src/present src/hud src/screen
only 'SDL' src/app src/hud
only 'libav|libsw' src/source src/export
exit $bad
