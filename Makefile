# The commands of this project; `make` alone lists them.

.DEFAULT_GOAL := help
.PHONY: help demo test ui-test check fix bench chaos sim wire models mutants cargo-mutants fuzz roll image setup

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

demo: ## run the demo; ARGS="..." passes options, ARGS=--help lists them
	@scripts/setup build
	cargo run --release -p greenroom-examples --bin demo -- $(ARGS)

test: ## run all tests, with the examples in the documentation
	@scripts/setup test
	cargo test --no-fail-fast

ui-test: ## run the test of the inspector's page alone: a browser, three processes, a real etcd
	@scripts/setup test
	cargo test -p greenroom-examples --test page

check: ## check format, lints and documentation; changes no file of the project
	@scripts/setup build
	cargo fmt --all --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

fix: ## format, and apply what the lints propose
	@scripts/setup build
	cargo clippy --fix --allow-dirty --allow-staged --all-targets
	cargo fmt --all

bench: ## run the benchmarks: calls and locks beside others, and clusters on a real etcd
	@scripts/setup test
	cargo build --release -p greenroom-examples -p greenroom-bench
	cargo run --release -p greenroom-bench
	cargo run --release -p greenroom-bench --bin gate
	cargo run --release -p greenroom-bench --bin planner
	cargo run --release -p greenroom-bench --bin thousand
	cargo run --release -p greenroom-bench --bin cluster

chaos: ## break real clusters, one fault at a time, and judge them; ARGS="..." passes options
	@scripts/setup test
	cargo build --release -p greenroom-chaos
	cargo run --release -p greenroom-chaos -- $(ARGS)

sim: ## simulate thousands of clusters and their faults; RUNS=5000, SEED=7 replays one, FIRST=1
	GREENROOM_SIM_RUNS=$(or $(RUNS),5000) GREENROOM_SIM_FIRST=$(or $(FIRST),1) GREENROOM_SIM_REPEATS=100 \
	GREENROOM_SIM_SEED=$(SEED) GREENROOM_SIM_TRACE=$(if $(SEED),1) \
	cargo test --profile sim -p greenroom-core --test simulation -- --nocapture $(if $(SEED),the_invariants)

wire: ## simulate real nodes on a bad network, with an etcd as bad as it may be; HOURS=1, SEED=7 replays one, FIRST=1
	cargo run --release -p greenroom-wire -- \
	$(if $(SEED),--seed $(SEED) --trace,--hours $(or $(HOURS),1) --first $(or $(FIRST),1) --repeats 20)

models: ## search the models of the protocol further than the tests do
	GREENROOM_MODELS=large cargo test --release -p greenroom-core --test models -- --nocapture --test-threads=1

mutants: ## break the protocol in known ways and see which tests notice; ARGS="..." names some
	cargo run -p greenroom-mutants -- $(ARGS)

cargo-mutants: ## break core, gate and right to run in all ways that cargo-mutants knows, for hours; SHARD=0/8 takes a part, PART=gate one of core, gate, fence
	@scripts/setup mutants
	@scripts/cargo-mutants $(or $(PART),core gate fence) -- $(if $(SHARD),--sharding round-robin --shard $(SHARD)) $(ARGS)

fuzz: ## feed all readers of outside bytes with nonsense; SECONDS=30 for each, TARGET=frame for one
	@scripts/setup fuzz
	cargo run -p greenroom-fuzz -- --seconds $(or $(SECONDS),30) $(TARGET)

roll: ## roll the nodes of k8s/ as local processes under load; ARGS="..." passes options
	@scripts/setup test
	cargo build --release -p greenroom-examples -p greenroom-k8s
	cargo run --release -p greenroom-k8s --bin roll -- $(ARGS)

image: ## do what the builder of the Dockerfile does, without an engine, and look at the outcome
	@scripts/setup build
	cargo test -p greenroom-k8s --test image -- --ignored --nocapture

setup: ## install what building and testing need (Debian, Ubuntu)
	@scripts/setup test
	@echo "everything that building and testing need is here"
