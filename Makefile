# What can be done here; `make` alone lists it.
#
# Variables: PREFIX, LIBDIR, DESTDIR (install, uninstall), CARGO, CC, CFLAGS, CARGO_TARGET_DIR,
# BENCH (further options of the bench: make bench-quick BENCH=--help).

CARGO ?= cargo
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
DESTDIR ?=

# Where cargo puts what it builds; asked only by the targets that need it.
METADATA = $(CARGO) metadata --format-version 1 --no-deps
TARGET_DIR = $(shell $(METADATA) | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')

.PHONY: help build demo test mutants bench bench-quick install uninstall clean

help:
	@echo "make build      the Rust library, and libspmsg.so and libspmsg.a, in release"
	@echo "make demo       builds everything and runs a small cluster on real processes and sockets"
	@echo "make test       installs what it needs and runs every check and test"
	@echo "make mutants    looks for changes of the patterns and the wire that no unit test notices (half an hour)"
	@echo "make bench      beside nanomsg, nng, ZeroMQ, mangos and bare sockets, in one run; writes docs/bench.*"
	@echo "make bench-quick  few cases and rivals, in a few minutes; BENCH=\"--only thr --transport tcp\" picks"
	@echo "make install    for C programs: PREFIX=$(PREFIX) LIBDIR=$(LIBDIR) DESTDIR=$(DESTDIR)"
	@echo "make uninstall  removes what make install put there"
	@echo "make clean      removes what was built"

build:
	$(CARGO) build --release -p spmsg -p spmsg-ffi

demo:
	$(CARGO) build --release -p spmsg-ffi
	$(CARGO) build --release -p spmsg --examples
	CC="$(CC)" CFLAGS="$(CFLAGS)" sh scripts/c-examples.sh "$(TARGET_DIR)/release"
	"$(TARGET_DIR)/release/examples/demo"

bench:
	CARGO="$(CARGO)" sh scripts/bench.sh --write docs $(BENCH)

bench-quick:
	CARGO="$(CARGO)" sh scripts/bench.sh --quick $(BENCH)

test:
	CARGO="$(CARGO)" sh scripts/test.sh

mutants:
	CARGO="$(CARGO)" nice sh scripts/mutants.sh

install uninstall:
	CARGO="$(CARGO)" PREFIX="$(PREFIX)" LIBDIR="$(LIBDIR)" DESTDIR="$(DESTDIR)" sh packaging/install.sh $@

clean:
	$(CARGO) clean
