#!/bin/sh
# Compiles the C examples against include/ and the library in a folder such as target/release.
#
#     sh scripts/c-examples.sh FOLDER
#
# The programs are in FOLDER/c-examples and find the library there. Variables: CC (default cc), CFLAGS.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
built=$(cd "$1" && pwd)
out=$built/c-examples
source=$root/examples/c

[ -f "$built/libspmsg.so" ] || {
    echo "c-examples.sh: no libspmsg.so in $built; run: cargo build --release -p spmsg-ffi" >&2
    exit 1
}

compile() {
    program=$1
    shift
    # CC and CFLAGS may be several words.
    # shellcheck disable=SC2086
    ${CC:-cc} -std=c99 -Wall -Wextra -Werror -pedantic -O2 ${CFLAGS:-} -I "$root/include" \
        -o "$out/$program" "$@" -L "$built" -lspmsg -pthread -Wl,-rpath,'$ORIGIN'
}

mkdir -p "$out"
ln -sf ../libspmsg.so "$out/libspmsg.so.1"
compile hello "$source/hello.c"
for daemon in mgmtd noded workerd; do
    compile "$daemon" "$source/$daemon.c" "$source/daemon.c"
done
