# make            builds (after a look at the toolchain)
# make demo       a call on this machine, with everything a person wants to see of it
# make test       all tests            make lint      format, clippy, the import table, shell syntax
# make interop-core   baresip, SIPp and a challenging proxy (LAB=path, default ../shared/lab); at most 4 minutes
# make interop        the longer matrices as well
# make soak-connections   a server with 10,000 idle connections, slow readers and storms of connections, and over TLS; three minutes
# make soak-subscriptions   a server that tells 20,000 subscribers of a change; three minutes
# make soak-proxy   a proxy under 1,000 calls/s and nonsense, with a next hop that comes and goes (SOAK_SECONDS=number, default 1800)
# make bench      what messages cost, and the programs under load beside the packaged peers (SHARED=path, default ../shared;
#                 RUNS=9 of SECONDS=10 for each row; half an hour, and nothing else should run meanwhile)
# make fuzz       every fuzz target for a while (FUZZ_SECONDS=number each, default 60), with a nightly compiler
# make man        writes man/ and completions/ anew
# make dist       an optimised archive under target/dist
# make deps, deps-test, deps-interop   only install what is missing; the targets above call them

LAB ?= ../shared/lab
export LAB

SCRIPTS := Makefile .ci/run $(filter-out scripts/load,$(wildcard scripts/*)) $(wildcard scenarios/*.sh tests/interop/cases/*.sh) \
	tests/interop/run tests/interop/case tests/interop/lib.sh

.PHONY: build toolchain deps deps-test deps-interop demo test lint interop interop-core lab soak-connections soak-subscriptions soak-proxy bench fuzz man dist clean

build: deps
	cargo build --bins

toolchain:
	@scripts/toolchain

deps: toolchain
	@scripts/deps build

deps-test: toolchain
	@scripts/deps build test

deps-interop: toolchain lab
	@scripts/deps build test interop

lab:
	@test -r "$(LAB)/env.sh" || { echo "no interop lab at $(LAB): say where it is with LAB=path" >&2; exit 2; }

demo: build
	@scripts/demo

test: deps-test
	@scripts/test

# Without the default features only what is shipped: the tests of that are the same.
lint: deps
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo clippy --lib --bins --no-default-features --features cli -- -D warnings
	cargo test --quiet --test tests architecture
	RUSTDOCFLAGS="-D warnings" cargo doc --quiet --no-deps --lib
	@for f in $(filter-out Makefile,$(SCRIPTS)); do bash -n "$$f" || exit 1; done
	@if command -v shellcheck >/dev/null; then shellcheck -x -S error $(filter-out Makefile,$(SCRIPTS)); fi

# With the tests, so that after those nothing is compiled again for other features of the same dependencies.
interop-core: deps-interop
	cargo build --bins --tests
	tests/interop/run core

interop: deps-interop
	cargo build --bins
	tests/interop/run all

soak-connections: deps-test
	cargo build --bins
	tests/soak/connections

soak-subscriptions: deps-test
	cargo build --bins
	tests/soak/subscriptions

soak-proxy: deps
	@scripts/deps load
	cargo build --bins
	tests/soak/proxy "$${CARGO_TARGET_DIR:-target}/debug" $(or $(SOAK_SECONDS),1800)

bench: toolchain
	@scripts/deps build bench
	@scripts/bench

fuzz: toolchain
	@scripts/deps build
	@scripts/fuzz

man: deps
	UPDATE=1 cargo test --quiet --test tests generated

dist: deps
	@scripts/dist

clean:
	cargo clean
