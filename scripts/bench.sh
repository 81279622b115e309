#!/bin/sh
# Installs the rivals that are missing, then compares; takes the arguments of the bench (--help lists them).
#
# Variables: CARGO (default cargo), CARGO_TARGET_DIR.
set -eu

cd "$(dirname "$0")/.."
. scripts/common.sh

need_cargo
need gcc cc
need golang-go go
need strace strace
need_library libnanomsg-dev nanomsg/nn.h nanomsg
need_library libnng-dev nng/nng.h nng
need_library libzmq3-dev zmq.h zmq
install_missing
version=$(go env GOVERSION)
case $version in
go1.[0-9] | go1.[0-9].* | go1.1[0-9] | go1.1[0-9].* | go1.2[01] | go1.2[01].*)
    die "mangos' program needs Go 1.22 or later, this is $version: https://go.dev/dl/, or Debian's backports"
    ;;
esac
exec "$CARGO" bench -p spmsg-bench --bench compare -- "$@"
