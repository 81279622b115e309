#!/bin/sh
# Installs spmsg for C programs, or removes it again.
#
#     sh packaging/install.sh install|uninstall
#
# Variables:
#     PREFIX     default /usr/local
#     LIBDIR     default PREFIX/lib; absolute
#     DESTDIR    put before every path, for packages; default empty
#     CARGO      default cargo
#     BUILT      a folder with libspmsg.so and libspmsg.a; by default cargo builds them, or, where there is no
#                cargo as for root, they are taken from the release folder that an earlier build filled
#
#     LIBDIR/libspmsg.so.1.<version>, links libspmsg.so.1 and libspmsg.so, libspmsg.a
#     LIBDIR/pkgconfig/spmsg.pc, LIBDIR/cmake/spmsg/
#     PREFIX/include/spmsg.h, PREFIX/include/nanomsg/
#     LIBDIR/spmsg/compat/    by which programs made for nanomsg find the library; nothing searches it unasked
set -eu
umask 022

root=$(cd "$(dirname "$0")/.." && pwd)
CARGO=${CARGO:-cargo}
PREFIX=${PREFIX:-/usr/local}
LIBDIR=${LIBDIR:-$PREFIX/lib}
DESTDIR=${DESTDIR:-}
soname=libspmsg.so.1
nanomsg_version=1.2.1
# What the static library needs of the system.
libs_private='-lgcc_s -lpthread -lm -ldl'
nanomsg_links='libnanomsg.so libnanomsg.so.5 libnanomsg.so.5.0.0 libnanomsg.so.5.1.0'
nanomsg_links="$nanomsg_links libnanomsg.so.6 libnanomsg.so.6.0.1"

die() {
    echo "install.sh: $*" >&2
    exit 1
}

# Prints PREFIX as seen from a folder: relative to $2, the name of that folder in the file, so that the
# installed tree can be moved; absolute when the folder is not below PREFIX.
prefix_from() {
    case $1/ in
    "$PREFIX"/*)
        up=$(echo "${1#"$PREFIX"}" | sed 's|/[^/][^/]*|/..|g')
        echo "$2$up"
        ;;
    *) echo "$PREFIX" ;;
    esac
}

# fill TEMPLATE FOLDER NAME HERE VERSION: fills a template in and puts it into a folder.
fill() {
    mkdir -p "$DESTDIR$2"
    sed -e "s|@PREFIX@|$(prefix_from "$2" "$4")|g" -e "s|@VERSION@|$5|g" \
        -e "s|@SONAME@|$soname|g" -e "s|@LIBS_PRIVATE@|$libs_private|g" \
        "$root/packaging/$1" >"$DESTDIR$2/$3"
    chmod 644 "$DESTDIR$2/$3"
}

# link TEXT PATH: a symbolic link, replaced if it exists.
link() {
    rm -f "$DESTDIR$2"
    ln -s "$1" "$DESTDIR$2"
}

target_folder() {
    if [ -n "${CARGO_TARGET_DIR:-}" ]; then
        (cd "$root" && mkdir -p "$CARGO_TARGET_DIR" && cd "$CARGO_TARGET_DIR" && pwd)
    elif command -v "$CARGO" >/dev/null 2>&1; then
        (cd "$root" && "$CARGO" metadata --format-version 1 --no-deps) |
            sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'
    else
        echo "$root/target"
    fi
}

install_library() {
    built=${BUILT:-}
    if [ -z "$built" ]; then
        ! command -v "$CARGO" >/dev/null 2>&1 || (cd "$root" && "$CARGO" build --release -p spmsg-ffi)
        built=$(target_folder)/release
    fi
    [ -f "$built/libspmsg.so" ] && [ -f "$built/libspmsg.a" ] ||
        die "no library in $built and no cargo to build it; run: cargo build --release -p spmsg-ffi"
    mkdir -p "$DESTDIR$LIBDIR"
    # Under another name first: programs that run with the old file keep it.
    cp "$built/libspmsg.so" "$DESTDIR$LIBDIR/.$real.new"
    chmod 755 "$DESTDIR$LIBDIR/.$real.new"
    mv -f "$DESTDIR$LIBDIR/.$real.new" "$DESTDIR$LIBDIR/$real"
    link "$real" "$LIBDIR/$soname"
    link "$soname" "$LIBDIR/libspmsg.so"
    cp "$built/libspmsg.a" "$DESTDIR$LIBDIR/libspmsg.a"
    chmod 644 "$DESTDIR$LIBDIR/libspmsg.a"
}

install_headers() {
    mkdir -p "$DESTDIR$PREFIX/include/nanomsg"
    cp "$root/include/spmsg.h" "$DESTDIR$PREFIX/include/"
    cp "$root"/include/nanomsg/*.h "$DESTDIR$PREFIX/include/nanomsg/"
    chmod 644 "$DESTDIR$PREFIX/include/spmsg.h" "$DESTDIR$PREFIX"/include/nanomsg/*.h
}

install_packages() {
    cmake=$LIBDIR/cmake/spmsg
    fill spmsg.pc.in "$LIBDIR/pkgconfig" spmsg.pc "\${pcfiledir}" "$version"
    fill spmsg-config.cmake.in "$cmake" spmsg-config.cmake "\${CMAKE_CURRENT_LIST_DIR}" "$version"
    fill version.cmake.in "$cmake" spmsg-config-version.cmake "\${CMAKE_CURRENT_LIST_DIR}" "$version"
}

install_compat() {
    cmake=$compat/cmake/nanomsg-$nanomsg_version
    fill nanomsg.pc.in "$compat/pkgconfig" nanomsg.pc "\${pcfiledir}" "$nanomsg_version"
    here="\${CMAKE_CURRENT_LIST_DIR}"
    for part in config target; do
        fill nanomsg-$part.cmake.in "$cmake" nanomsg-$part.cmake "$here" "$nanomsg_version"
    done
    fill version.cmake.in "$cmake" nanomsg-config-version.cmake "$here" "$nanomsg_version"
    # The last is for programs that were linked through one of the others: it is what they ask for.
    for name in $nanomsg_links $soname; do
        link "../../$real" "$compat/$name"
    done
}

uninstall() {
    for name in "$real" "$soname" libspmsg.so libspmsg.a pkgconfig/spmsg.pc; do
        rm -f "$DESTDIR$LIBDIR/$name"
    done
    rm -rf "$DESTDIR$LIBDIR/cmake/spmsg" "$DESTDIR$compat"
    rm -f "$DESTDIR$PREFIX/include/spmsg.h"
    for header in "$root"/include/nanomsg/*.h; do
        rm -f "$DESTDIR$PREFIX/include/nanomsg/$(basename "$header")"
    done
    for folder in "$LIBDIR/spmsg" "$LIBDIR/cmake" "$LIBDIR/pkgconfig" "$PREFIX/include/nanomsg"; do
        # Others may have files there.
        rmdir "$DESTDIR$folder" 2>/dev/null || true
    done
}

case $PREFIX in /*) ;; *) die "PREFIX must be absolute, not $PREFIX" ;; esac
case $LIBDIR in /*) ;; *) die "LIBDIR must be absolute, not $LIBDIR" ;; esac
# The one slash at the end of a folder's name that may be written.
PREFIX=${PREFIX%/}
LIBDIR=${LIBDIR%/}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/ffi/Cargo.toml" | head -n 1)
[ -n "$version" ] || die "no version in ffi/Cargo.toml"
real=$soname.$version
compat=$LIBDIR/spmsg/compat

case ${1:-} in
install)
    install_library
    install_headers
    install_packages
    install_compat
    echo "spmsg $version is in $DESTDIR$LIBDIR and $DESTDIR$PREFIX/include"
    echo "programs made for nanomsg find it by LD_LIBRARY_PATH=$compat or PKG_CONFIG_PATH=$compat/pkgconfig"
    ;;
uninstall) uninstall ;;
*) die "usage: install.sh install|uninstall" ;;
esac
