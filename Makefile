# Every target stands on its own: on a fresh Debian 12 with Rust, git and make, `make demo` and `make test` do it all.
SHELL := /bin/bash
.DEFAULT_GOAL := help
export ROCKSDB_LIB_DIR := $(shell .ci/rocksdb --path)
export ROCKSDB_STATIC := 1
export CARGO_TERM_COLOR ?= auto
# How long the demo's server goes on serving; empty: until Ctrl-C.
export DEMO_SECONDS ?=

.PHONY: help setup build test test-parts check fmt clippy deny demo box bench fuzz

help:
	@printf '%s\n' \
	  'Castellan: one server for everything that must be let in exactly once.' '' \
	  '  make demo     see it: a server on loopback, 500 virtual SmartBoxes, an outage, and what became of them' \
	  '                (DEMO_SECONDS=60 make demo ends by itself)' \
	  '  make box      one virtual SmartBox in the terminal, with a server of its own: type a code, pull the plug' \
	  '  make test     all tests: stories, HTTP on a real RocksDB, a seeded world with faults, kill -9, tidiness' \
	  '  make test-parts  what needs programs beside it: schemathesis asks whatever the document allows; clients in PHP, C#,' \
	  '                   Java, Python and Node sign their users in; a browser shops; a proxy signs in with Shibboleth;' \
	  '                   administrators recover by mail, Kannel and slapd' \
	  '  make check    what a change must pass: format, clippy, licences, and the tests' \
	  '  make build    the release binaries: target/release/castellan and castellan-load' \
	  '  make bench    the criterion benchmarks (benches/README.md says how to compare)' \
	  '  make fuzz     fuzz the sync decoder and the decisions, FUZZ_SECONDS each (tests/README.md)' \
	  '  make fmt      format everything' \
	  '  make setup    what the others do first: compiler and libclang from apt, RocksDB built once (about 10 minutes)' '' \
	  'README.md is the tour, ARCHITECTURE.md the map.'

setup:
	@.ci/setup

build: setup
	cargo build --release --workspace --locked

# Everything in the dev profile, whose dependencies are optimised: one compilation serves all tests, kill -9 included.
# Where they throw away what they make: in memory, where there is enough of it.
scratch := TMPDIR="$$(.ci/scratch)"
test: setup
	$(scratch) cargo test --workspace --locked --no-fail-fast

# The server against its own OpenAPI document, its CSV in LibreOffice, clients of its web stores in their languages, a
# browser: some minutes. In the words of `test`, so that nothing is compiled again with other features.
test-parts: setup
	.ci/clients
	.ci/parts
	cargo test --workspace --locked --no-run
	failed=; for part in parts/schemathesis/run parts/spreadsheet/run parts/passes/run iuv_clients/run iuv_clients/browse \
	    parts/recovery/run iuv_clients/shibboleth; do \
	  $(scratch) "$$(.ci/python)" tests/$$part || failed="$$failed $$part"; \
	done; [ -z "$$failed" ] || { echo "failed:$$failed" >&2; exit 1; }

check: fmt-check clippy deny test

.PHONY: fmt-check
fmt-check:
	cargo fmt --all --check

fmt:
	cargo fmt --all

clippy: setup
	cargo clippy --workspace --all-targets --locked -- -D warnings

# Advisories need a database that only a networked machine can fetch: `cargo deny check advisories`.
deny:
	$$(.ci/tool cargo-deny) --locked --log-level warn check --hide-inclusion-graph bans licenses sources

demo: build
	target/release/castellan-load demo

box: build
	@target/release/castellan-load box

bench: setup
	cargo bench --locked

# FUZZ_SECONDS for each target. The sanitizers need flags that stable Rust only takes when told so.
FUZZ_SECONDS ?= 60
fuzz: setup
	for target in decode_sync decide; do \
	  RUSTC_BOOTSTRAP=1 $$(.ci/tool cargo-fuzz) run --fuzz-dir tests/fuzz $$target -- -max_total_time=$(FUZZ_SECONDS) -len_control=10 -max_len=4096 || exit 1; \
	done
