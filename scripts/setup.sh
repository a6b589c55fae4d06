#!/usr/bin/env bash
# Installs with apt what building and running autogaze-viewer needs and this machine lacks.
#
# Usage: scripts/setup.sh [--tests]
#   --tests   also what scripts/test.sh needs
#
# Works as root or through sudo, asks nothing, does nothing when nothing is missing.
# docs/dependencies.md says what each package is for.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

packages=(
    cmake ninja-build pkg-config gcc g++
    libvulkan-dev libvulkan-volk-dev glslang-tools spirv-tools
    libsdl2-dev
    libavformat-dev libavcodec-dev libavdevice-dev libavutil-dev libswscale-dev
    libcjson-dev libimgui-dev libstb-dev fonts-dejavu-core
)
test_packages=(
    libcmocka-dev mesa-vulkan-drivers vulkan-validationlayers clang
    ffmpeg python3 python3-numpy xvfb xdotool imagemagick
)
vma=libvulkan-memory-allocator-dev
logs=$root/build/setup

with_tests=false
case ${1-} in
    '') ;;
    --tests) with_tests=true ;;
    *) die "unknown argument '$1', expected --tests or nothing" ;;
esac

as_root() {
    if [ "$EUID" -eq 0 ]; then
        env DEBIAN_FRONTEND=noninteractive "$@"
    else
        sudo env DEBIAN_FRONTEND=noninteractive "$@"
    fi
}

installed() {
    case $(dpkg-query -W -f='<${db:Status-Status}>' "$1" 2>/dev/null) in
        *'<installed>'*) return 0 ;;
    esac
    return 1
}

has_vulkan_driver() {
    [ -n "${VK_DRIVER_FILES-}${VK_ICD_FILENAMES-}" ] && return
    local dir
    for dir in /etc /usr/share /usr/local/etc /usr/local/share "${XDG_DATA_HOME:-${HOME-}/.local/share}"; do
        compgen -G "$dir/vulkan/icd.d/*.json" >/dev/null && return
    done
    return 1
}

in_archive() {
    case $(LC_ALL=C apt-cache policy "$1") in
        '' | *'Candidate: (none)'*) return 1 ;;
    esac
}

apt_install() {
    say "installing $*"
    quiet "$logs/apt-install.log" as_root apt-get -q -y -o DPkg::Lock::Timeout=300 \
        install --no-install-recommends "$@" || die "apt-get could not install the packages above"
}

# Debian 12 has no package of VMA. That of the next release is a header without dependencies and
# fits any system: fetch this one file from the archive the system already uses, with package lists
# of our own, so that apt's sources and lists stay as they are.
install_vma_of_trixie() {
    local keyring=2023.3+deb12u2 # the first one with the keys that sign trixie
    if ! dpkg --compare-versions "$(dpkg-query -W -f='${Version}' debian-archive-keyring)" ge $keyring; then
        apt_install debian-archive-keyring
    fi

    local archive work
    archive=$(apt-get indextargets 'Created-By: Packages' \
        --format '$(ORIGIN)|$(LABEL)|$(CODENAME)|$(COMPONENT)|$(REPO_URI)' |
        awk -F'|' '$1 == "Debian" && $2 == "Debian" && $3 == "bookworm" && $4 == "main" && !n++ { print $5 }')
    [ -n "$archive" ] ||
        die "$vma is missing, and apt's sources name no archive of Debian 12 (main) to take it from"

    work=$(mktemp -d)
    # shellcheck disable=SC2064 # the folder of now
    trap "rm -rf -- '$work'" EXIT
    say "installing $vma of Debian 13 (one header; apt's sources stay as they are)"
    printf 'deb [target=Packages signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s trixie main\n' \
        "$archive" >"$work/trixie.list"
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
    local options=(
        -q -o Dir::Etc::SourceList="$work/trixie.list" -o Dir::Etc::SourceParts=/dev/null
        -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
        -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache"
        -o Acquire::Languages=none -o APT::Sandbox::User=root
    )
    quiet "$logs/vma-update.log" apt-get "${options[@]}" -o APT::Update::Error-Mode=any update ||
        die "the package list of Debian 13 could not be read"
    (cd -- "$work" && quiet "$logs/vma-download.log" apt-get "${options[@]}" download "$vma:all") ||
        die "$vma of Debian 13 could not be fetched"
    quiet "$logs/vma-install.log" as_root dpkg -i "$work"/"$vma"_*_all.deb ||
        die "$vma of Debian 13 could not be installed"
}

command -v apt-get >/dev/null && command -v dpkg-query >/dev/null ||
    die "this system has no apt-get: install what docs/dependencies.md lists, then build with cmake --preset release"

has_vulkan_driver || packages+=(mesa-vulkan-drivers)
! $with_tests || packages+=("${test_packages[@]}")
missing=()
for package in "${packages[@]}"; do
    case " ${missing[*]-} " in *" $package "*) continue ;; esac
    installed "$package" || missing+=("$package")
done
need_vma=true
{ installed "$vma" || [ -e /usr/local/include/vk_mem_alloc.h ]; } && need_vma=false

if [ "${#missing[@]}" -eq 0 ] && ! $need_vma; then
    say "nothing is missing"
    exit 0
fi
[ "$EUID" -eq 0 ] || command -v sudo >/dev/null ||
    die "missing: ${missing[*]} $($need_vma && echo "$vma"); run this script as root, or install sudo"

say "reading the package lists"
mkdir -p "$logs"
if ! as_root apt-get -q -o APT::Update::Error-Mode=any update >"$logs/update.log" 2>&1; then
    grep '^[EW]:' "$logs/update.log" >&2 || true
    say "some package lists could not be read; going on with the others"
fi
if $need_vma && in_archive "$vma"; then
    missing+=("$vma")
    need_vma=false
fi
[ "${#missing[@]}" -eq 0 ] || apt_install "${missing[@]}"
if $need_vma; then
    . /etc/os-release
    [ "${VERSION_CODENAME-}" = bookworm ] ||
        die "$vma is in no archive of this system; put VMA's vk_mem_alloc.h into /usr/local/include"
    install_vma_of_trixie
fi
