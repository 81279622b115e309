#!/bin/sh
# Changes the patterns and the wire one place at a time and runs the library's unit tests on each change
# (cargo-mutants, with .cargo/mutants.toml). Both are pure, so these tests have to notice everything: a change that none
# of them notices is printed as "MISSED".
#
#     sh scripts/mutants.sh [ARGUMENT OF cargo mutants]...
#
# for example --file src/wire/decoder.rs, or --shard 1/8. All of it takes an hour or more. The results are in mutants.out, and
# the tool if it is missing, below the target folder. Variables: CARGO (default cargo), CARGO_TARGET_DIR.
set -eu

cd "$(dirname "$0")/.."
CARGO=${CARGO:-cargo}
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target"
target=$(cd "$target" && pwd)
tools=$target/tools

if ! command -v cargo-mutants >/dev/null 2>&1; then
    if ! [ -x "$tools/bin/cargo-mutants" ]; then
        "$CARGO" install cargo-mutants --locked --root "$tools" --target-dir "$target/tools-build"
        rm -rf "$target/tools-build"
    fi
    PATH=$tools/bin:$PATH
    export PATH
fi

# Every change is built anew in a copy of the sources, with a target folder of its own there; nobody debugs it.
unset CARGO_TARGET_DIR
export CARGO_PROFILE_DEV_DEBUG=0

# A changed loop may also allocate without end: 8 GiB, in KiB, are ample for compiler and tests.
ulimit -v 8388608

case " $* " in
*" --file "*) ;;
*) set -- --file 'src/protocol/**/*.rs' --file 'src/wire/**/*.rs' "$@" ;;
esac
exec "$CARGO" mutants --package spmsg --output "$target" --no-shuffle "$@"
