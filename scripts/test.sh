#!/bin/sh
# Installs what the tests need and is missing, then runs every check and test; stops at the first failure.
#
# Variables: CARGO (default cargo), CARGO_TARGET_DIR.
set -eu

cd "$(dirname "$0")/.."
CARGO=${CARGO:-cargo}
heading=

die() {
    echo "test.sh: $*" >&2
    exit 1
}

finish_step() {
    if [ -n "$heading" ]; then
        echo "== $heading: $(($(date +%s) - began)) s"
    fi
    heading=
}

step() {
    finish_step
    heading=$1
    began=$(date +%s)
    echo
    echo "== $heading"
}

# need PACKAGE COMMAND...: notes a Debian package when one of the commands it brings is missing.
need() {
    package=$1
    shift
    for command in "$@"; do
        command -v "$command" >/dev/null 2>&1 || missing="$missing $package"
    done
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

install_packages() {
    missing=
    need gcc gcc cc
    need g++ g++ c++
    need make make
    need binutils nm readelf
    need pkg-config pkg-config
    need cmake cmake
    need nanomsg-utils nanocat
    need golang-go go
    need npm npm
    need util-linux prlimit
    need openssl openssl
    need nng-utils nngcat
    need chromium chromium
    need coreutils mkfifo sha256sum
    need tar tar
    need gzip gzip
    # The shell has a kill of its own.
    env kill -l >/dev/null 2>&1 || missing="$missing procps"
    # What the system trusts: for npm and go, and for the tests of TLS.
    [ -s /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates"
    echo '#include <stdio.h>' | gcc -fsyntax-only -x c - 2>/dev/null || missing="$missing libc6-dev"
    echo '#include <nanomsg/nn.h>' | gcc -shared -x c - -o /dev/null -lnanomsg 2>/dev/null ||
        missing="$missing libnanomsg-dev"
    echo '#include <nng/compat/nanomsg/nn.h>' | gcc -shared -x c - -o /dev/null -lnng 2>/dev/null ||
        missing="$missing libnng-dev"
    if [ -z "$missing" ]; then
        echo "nothing is missing"
        return
    fi
    command -v apt-get >/dev/null 2>&1 ||
        die "missing, and there is no apt-get to install it; Debian calls it:$missing"
    # The names are separate words.
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing || {
        as_root apt-get update
        # shellcheck disable=SC2086
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
    }
}

install_rust_components() {
    command -v "$CARGO" >/dev/null 2>&1 || die "there is no $CARGO; Rust comes from https://rustup.rs"
    "$CARGO" fmt --version >/dev/null 2>&1 || rustup component add rustfmt
    "$CARGO" clippy --version >/dev/null 2>&1 || rustup component add clippy
}

step "what the tests need"
install_packages
install_rust_components

step "format"
"$CARGO" fmt --all --check

step "clippy"
"$CARGO" clippy --workspace --all-targets -- -D warnings
"$CARGO" clippy -p spmsg --all-targets --no-default-features -- -D warnings

step "the C header is what the source says"
SPMSG_CHECK_HEADER=1 "$CARGO" build -p spmsg-ffi

step "tests"
"$CARGO" build -p spmsg-ffi
"$CARGO" test --workspace
"$CARGO" test -p spmsg --no-default-features

step "every interleaving of the threads that hand over to each other"
RUSTFLAGS="--cfg loom" CARGO_PROFILE_DEV_OPT_LEVEL=1 CARGO_PROFILE_DEV_DEBUG=0 \
    CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/loom" "$CARGO" test -p spmsg --lib model::

step "ten million messages, in an optimised build"
"$CARGO" test --release -p spmsg --test load

step "documentation"
RUSTDOCFLAGS="-D warnings" "$CARGO" doc --no-deps -p spmsg

finish_step
echo
echo "everything passed"
