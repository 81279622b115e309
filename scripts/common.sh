# What the scripts share that run cargo: saying why they stop, and installing what is missing. Sourced, in the root of
# the tree.
#
# Variables: CARGO (default cargo).
# shellcheck shell=sh

CARGO=${CARGO:-cargo}
# Debian packages, separated by spaces.
missing=

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# need PACKAGE COMMAND...: notes a Debian package when one of the commands it brings is missing.
need() {
    package=$1
    shift
    for command in "$@"; do
        command -v "$command" >/dev/null 2>&1 || missing="$missing $package"
    done
}

# need_library PACKAGE HEADER NAME: the same for a C library.
need_library() {
    echo "#include <$2>" | cc -shared -x c - -o /dev/null "-l$3" 2>/dev/null || missing="$missing $1"
}

need_cargo() {
    command -v "$CARGO" >/dev/null 2>&1 || die "there is no $CARGO; Rust comes from https://rustup.rs"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        die "this needs root and there is no sudo: $*"
    fi
}

apt_install() {
    # The names are separate words.
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
}

# Installs what was noted as missing.
install_missing() {
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null 2>&1 ||
        die "missing, and there is no apt-get to install it; Debian calls it:$missing"
    apt_install || {
        as_root apt-get update
        apt_install
    }
}
