# Everything here is one call of a script or of cargo; scripts/setup brings the tools, scripts/env runs with them.

SHELL := bash
LOCKED := $(if $(CI),--locked)
HOST := scripts/env cargo
WASM := scripts/env --wasm cargo
MODULES = $(patsubst %/src/main.rs,%,$(wildcard filters/*/src/main.rs tests/modules/*/src/main.rs))
WASM_PACKAGES = -p shared $(patsubst %,-p %,$(notdir $(MODULES)))

# A test in the real Envoy waits more than it works: two for each core.
export RUST_TEST_THREADS ?= $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))

# What `make test` tests in chains too: what decides who may. All of it: GATEHOUSE_TEST_AS=chain make proxy
AS_OTHERS = access_policy authenticators configuration

.PHONY: help setup check test demo wasm image proxy memory soak bench fuzz supply fmt clean

help: ## these lines
	@sed -n 's/^\([a-z]*\):.* ## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

setup: ## bring the tools: compilers, Envoy, Node's test runner, load generators (once)
	@scripts/setup

wasm: ## build the modules into dist/
	@scripts/setup wasm
	@scripts/wasm

image: wasm ## an OCI image of each module in dist/oci/, as Istio and Envoy Gateway pull them; no daemon
	@$(HOST) run -q $(LOCKED) -p gatehouse -- image dist/*.wasm --to dist/oci

check: ## format, lints (native and Wasm), documentation
	@scripts/setup check
	$(HOST) fmt --all --check
	$(HOST) clippy $(LOCKED) --workspace --all-targets --all-features -- -D warnings
	$(WASM) clippy $(LOCKED) --target wasm32-wasip1 $(WASM_PACKAGES) -- -D warnings
	RUSTDOCFLAGS='-Dwarnings -Arustdoc::private-intra-doc-links' \
		$(HOST) doc $(LOCKED) --workspace --all-features --no-deps --document-private-items
	@scripts/supply --if-installed
	@if command -v shellcheck >/dev/null; then shellcheck -x scripts/* .ci/run; fi

test: ## everything: native tests, built modules, real Envoy, the core in Node
	@scripts/setup wasm envoy node load oracle provider deploy browser
	@# Neither keeps every core busy to its end.
	@scripts/wasm & $(HOST) test $(LOCKED) --workspace --no-run && wait $$!
	$(HOST) test $(LOCKED) --workspace
	@# The same in chains, which are plugins of the bundle; and what chooses a filter there by its root id. Of the whole
	@# workspace again: for `-p tests` alone cargo compiles the half of it anew, with other features.
	GATEHOUSE_TEST_AS=chain $(HOST) test $(LOCKED) --workspace --test proxy -- $(AS_OTHERS) --skip examples
	GATEHOUSE_TEST_AS=bundle $(HOST) test $(LOCKED) --workspace --test proxy -- authenticators configuration
	$(WASM) test $(LOCKED) -p shared --target wasm32-unknown-unknown --lib --tests

proxy: ## the tests in the real Envoy; FILTER=basic_auth: only those
	@scripts/setup wasm envoy load oracle provider deploy browser
	@scripts/wasm
	$(HOST) test $(LOCKED) --workspace --test proxy -- $(FILTER)

demo: ## Envoy with the filters in front of a small service, to try with curl
	@scripts/setup wasm envoy
	@scripts/wasm
	@$(HOST) run -q $(LOCKED) -p tests --no-default-features --bin demo

memory: ## what ten plugins take of memory, in the bundle and as modules of their own
	@scripts/setup wasm envoy
	@scripts/wasm
	@$(HOST) run -q $(LOCKED) -p tests --no-default-features --bin memory

soak: ## half an hour of mixed load with keys and configurations that change; MINUTES=5: less
	@scripts/setup wasm envoy
	@scripts/wasm
	@scripts/soak $(MINUTES)

bench: ## what the filters cost, natively and in Envoy; BENCH_PUBLISH=1: into docs/ too
	@scripts/setup wasm envoy load
	@scripts/wasm
	$(if $(BENCH_SECTION),,$(HOST) bench $(LOCKED) -p shared --features testing)
	$(HOST) run $(LOCKED) -p tests --no-default-features --bin bench

fuzz: ## the fuzzers, a minute each; SECONDS=3600: an hour each
	@scripts/setup fuzz
	@scripts/fuzz $(SECONDS)

supply: ## what the modules are made of: licences, bans, advisories, two builds compared, digests, SBOM (compiles its tools once)
	@scripts/setup check wasm supply
	@scripts/supply
	@scripts/reproduce
	@scripts/sbom

fmt: ## format
	@scripts/setup check
	$(HOST) fmt --all

clean: ## remove what was built; the tools stay (rm -r .tools removes them)
	rm -rf target dist
