#!/bin/sh
# Installs the rivals that are missing, then compares; takes the arguments of the bench (--help lists them).
#
# Variables: CARGO (default cargo), CARGO_TARGET_DIR.
set -eu

cd "$(dirname "$0")/.."
CARGO=${CARGO:-cargo}
missing=

die() {
    echo "bench.sh: $*" >&2
    exit 1
}

# need_command PACKAGE COMMAND, need_library PACKAGE HEADER NAME: notes a Debian package that is not there.
need_command() {
    command -v "$2" >/dev/null 2>&1 || missing="$missing $1"
}

need_library() {
    echo "#include <$2>" | cc -shared -x c - -o /dev/null "-l$3" 2>/dev/null || missing="$missing $1"
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

install() {
    # The names are separate words.
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
}

command -v "$CARGO" >/dev/null 2>&1 || die "there is no $CARGO; Rust comes from https://rustup.rs"
need_command gcc cc
need_command golang-go go
need_command strace strace
need_library libnanomsg-dev nanomsg/nn.h nanomsg
need_library libnng-dev nng/nng.h nng
need_library libzmq3-dev zmq.h zmq
if [ -n "$missing" ]; then
    command -v apt-get >/dev/null 2>&1 ||
        die "missing, and there is no apt-get to install it; Debian calls it:$missing"
    install || {
        as_root apt-get update
        install
    }
fi
version=$(go env GOVERSION)
case $version in
go1.[0-9] | go1.[0-9].* | go1.1[0-9] | go1.1[0-9].* | go1.2[01] | go1.2[01].*)
    die "mangos' program needs Go 1.22 or later, this is $version: https://go.dev/dl/, or Debian's backports"
    ;;
esac
exec "$CARGO" bench -p spmsg-bench --bench compare -- "$@"
