#!/bin/sh
# Changes the patterns and the wire one place at a time and runs their unit tests on each change (cargo-mutants, with
# .cargo/mutants.toml). Both are pure, so these tests have to notice everything: a change that none of them notices is
# printed as "MISSED".
#
#     sh scripts/mutants.sh [ARGUMENT OF cargo mutants]...
#
# for example --file src/wire/decoder.rs, or --shard 1/8. All of it takes half an hour on two cores. The results are
# in mutants.out, and the tool if it is missing, below the target folder. Variables: CARGO (default cargo),
# CARGO_TARGET_DIR, and JOBS, the changes that are tried side by side (default: one for each core, at most four).
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

if [ -z "${JOBS:-}" ]; then
    JOBS=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
    [ "$JOBS" -le 4 ] || JOBS=4
fi

# What is pure needs no more than these files of the library, and builds without the rest in a tenth of the time. A
# run of another folder of its own does not disturb this one.
core=$(mktemp -d "$target/core.XXXXXX")
trap 'rm -rf "$core"' EXIT
trap 'exit 1' HUP INT TERM
mkdir -p "$core/src" "$core/tests"
cp -R .cargo Cargo.lock "$core"
cp -R src/protocol src/wire src/frames.rs src/limits.rs src/message.rs "$core/src"
cp -R tests/util "$core/tests"
sed -e 's/^\(default-\)\{0,1\}members = .*/\1members = ["."]/' -e '/^\[\[/,$d' \
    -e '/^\[dev-dependencies\]/,/^\[target/{/^rcgen/d;/^rustls/d;/^tempfile/d;}' Cargo.toml >"$core/Cargo.toml"
cat >"$core/src/lib.rs" <<'END'
//! The patterns and the wire alone.
#![allow(dead_code, unused_imports)]
mod frames;
pub mod limits;
mod message;
mod protocol;
mod wire;
pub use message::{Message, WsMessageType};
pub use protocol::{Mode, Protocol};
END

# Every change is built anew in a copy of these, with a target folder of its own there; nobody debugs it.
unset CARGO_TARGET_DIR
export CARGO_PROFILE_DEV_DEBUG=0

# A changed loop may also allocate without end: 8 GiB, in KiB, are ample for compiler and tests.
ulimit -v 8388608

case " $* " in
*" --file "*) ;;
*) set -- --file 'src/protocol/**/*.rs' --file 'src/wire/**/*.rs' "$@" ;;
esac
"$CARGO" mutants --dir "$core" --no-default-features --features ws --jobs "$JOBS" --output "$target" --no-shuffle "$@"
