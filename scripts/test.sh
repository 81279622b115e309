#!/bin/sh
# Installs what the tests need and is missing, then runs every check and test; stops at the first failure.
#
# Variables: CARGO (default cargo), CARGO_TARGET_DIR.
set -eu

cd "$(dirname "$0")/.."
. scripts/common.sh
heading=

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

install_packages() {
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
    need_library libnanomsg-dev nanomsg/nn.h nanomsg
    need_library libnng-dev nng/compat/nanomsg/nn.h nng
    [ -n "$missing" ] || echo "nothing is missing"
    install_missing
}

install_rust_components() {
    need_cargo
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
