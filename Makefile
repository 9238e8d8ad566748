# The commands that CONTRIBUTING.md describes. `make help` lists them.

CARGO ?= cargo
# Scripts change their working directory, so the path must be absolute.
ifdef CARGO_TARGET_DIR
override CARGO_TARGET_DIR := $(abspath $(CARGO_TARGET_DIR))
export CARGO_TARGET_DIR
endif
BINARY := $(or $(CARGO_TARGET_DIR),target)/debug/signet
# Without nextest, `cargo test` runs the same tests.
TEST := $(shell $(CARGO) nextest --version >/dev/null 2>&1 && echo nextest run || echo test)

# The tests of the contract. With ES256 they run once more; the other tests do not depend on the algorithm.
CONTRACT_TESTS := accounts:: body:: corpus:: document:: edges:: examples:: gateway:: socket:: throttle:: token:: verify_operation::

TOOLS := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)/tools/bin
# Runs a program of bench/ with the signet binary of a Cargo profile.
MEASURE = PATH="$(TOOLS):$$PATH" SIGNET="$(or $(CARGO_TARGET_DIR),target)/$(1)/signet" BENCH="$(or $(CARGO_TARGET_DIR),bench/target)/release/signet-bench" bench/run
# The format of contract-diff: text or markdown.
FORMAT ?= text
COUNT := PATH="$(TOOLS):$$PATH" python3 bench/instructions.py

.PHONY: help run test docs setup-test release check test-contract setup-contract test-django setup-django test-verify setup-verify test-monitoring setup-monitoring test-faults setup-faults test-cluster test-cluster-short setup-cluster test-package setup-package supply-chain advisories package clients reproducible measure bench bench-scale bench-copy bench-fairness flamegraph setup-bench instructions test-instructions test-bench picture swagger-ui openapi reference sample snapshots contract-diff

help: ## List the targets
	@awk '/^##@/ { printf "\n%s\n", substr($$0, 5) } \
	    /^[a-z-]+:.*## / { name = $$0; sub(/:.*/, "", name); text = $$0; sub(/.*## /, "", text); printf "  %-18s %s\n", name, text }' \
	    $(MAKEFILE_LIST)

##@ Run and test

run: ## Build, and start a demo with Swagger UI on http://127.0.0.1:8000/docs/
	$(CARGO) build --locked
	@$(CARGO) run --locked --quiet -- serve --demo

test: check contract-diff docs setup-test ## Run the linters, all tests on SQLite and PostgreSQL, and the contract with ES256
	$(CARGO) $(TEST) --locked --workspace --no-fail-fast
	python3 tests/postgres.py $(CARGO) $(TEST) --locked --test contract --no-fail-fast
	SIGNET_TEST_ES256=1 $(CARGO) $(TEST) --locked --test contract --no-fail-fast -- $(CONTRACT_TESTS)

setup-test: ## Install PostgreSQL if it is missing
	tests/setup-postgres

docs: ## Build the book of docs/ into target/book, and check the links of all pages
	tests/docs/setup
	PATH="$(TOOLS):$$PATH" tests/docs/check

check:
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path bench/Cargo.toml --check
	$(CARGO) clippy --locked --manifest-path bench/Cargo.toml --quiet -- --deny warnings
	$(CARGO) clippy --locked --workspace --all-targets --quiet -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" $(CARGO) doc --locked --workspace --no-deps --document-private-items --quiet

test-contract: setup-contract ## Test the contract with linters, fuzzers, SDK generators and a browser
	$(CARGO) build --locked
	SIGNET="$(BINARY)" tests/conformance/run
	SIGNET="$(BINARY)" tests/browser/run
	SIGNET="$(BINARY)" tests/sdk/run

setup-contract: ## Install the tools of test-contract into folders that git ignores
	tests/conformance/setup
	tests/browser/setup
	tests/sdk/setup

test-django: setup-django ## Compare the service with a Django service, and run docs/guides/moving-from-django.md
	$(CARGO) build --locked
	SIGNET="$(BINARY)" tests/django/run

setup-django: ## Install the Django service into folders that git ignores
	tests/django/setup

test-verify: setup-verify ## Test the recipes of docs/guides/verify-tokens.md
	$(CARGO) build --locked --bins --example mint
	SIGNET="$(BINARY)" MINT="$(dir $(BINARY))examples/mint" tests/verify/run

setup-verify: ## Install the libraries and gateways of test-verify
	tests/verify/setup

test-monitoring: setup-monitoring ## Test the alert rules and the dashboard with Prometheus
	$(CARGO) build --locked
	SIGNET="$(BINARY)" tests/monitoring/run

setup-monitoring: ## Install the tools of test-monitoring: Prometheus, its exporter for probes, and the types of Grafana
	tests/monitoring/setup

test-faults: setup-faults ## Break the database, the disk, the network, the clock and the service under load
	$(CARGO) build --locked
	SIGNET="$(BINARY)" tests/faults/run

setup-faults: ## Install the tools of test-faults: PostgreSQL, HAProxy and faketime
	tests/faults/setup

test-cluster: setup-cluster ## Fail over a PostgreSQL cluster under Patroni, with all faults
	$(CARGO) build --locked
	SIGNET="$(BINARY)" tests/cluster/run

test-cluster-short: setup-cluster ## Fail over this cluster with two faults
	$(CARGO) build --locked
	SIGNET="$(BINARY)" tests/cluster/run short

setup-cluster: ## Install the tools of test-cluster: PostgreSQL, Patroni, etcd and HAProxy
	tests/cluster/setup

test-package: setup-package supply-chain ## Test the Debian package in a booted system, the commands of the guides, and the container files
	$(CARGO) build --locked
	SIGNET="$(BINARY)" tests/package/run
	SIGNET="$(BINARY)" packaging/containers/check

setup-package: ## Install the tools of test-package, such as debootstrap, cargo-deb and cargo-deny
	tests/package/setup

supply-chain: setup-package ## Check licenses, sources and duplicates of the dependencies (deny.toml)
	PATH="$(TOOLS):$$PATH" $(CARGO) deny --locked check licenses bans sources

advisories: setup-package ## Check the dependencies for known vulnerabilities (RustSec, needs the network)
	PATH="$(TOOLS):$$PATH" $(CARGO) deny --locked check advisories

##@ Package

package: setup-package ## Build the release and its Debian package into target/package
	packaging/release

clients: ## Create client packages for five languages in target/clients; GO_MODULE sets the path of the Go module
	tests/sdk/setup
	packaging/clients/make

reproducible: setup-package ## Build the release twice in different folders, and compare the files
	packaging/reproduce

##@ Benchmarks

measure: setup-bench ## Measure the CPU time of requests, and write the table of docs/explanation/scaling.md
	$(call MEASURE,release) measure.py

bench: setup-bench ## Compare the release with echo servers, bare Argon2 and Django, and write bench/results.md
	bench/setup-instructions
	$(call MEASURE,release) main.py

bench-scale: setup-bench ## Measure the CPU time of requests with ten million accounts, and write bench/scale.md
	$(call MEASURE,release) scale.py 10000000

bench-copy: setup-bench ## Measure copies of a database with a million accounts, and write bench/copies.md
	$(call MEASURE,release) copies.py 1000000

bench-fairness: setup-bench ## Measure logins of a user during floods from other addresses, and write bench/fairness.md
	$(call MEASURE,release) fairness.py

flamegraph: ## Write flame graphs of refreshes and logins, bench/refresh.svg and bench/obtain.svg
	bench/setup
	bench/setup-flamegraph
	$(CARGO) build --locked --profile symbols
	$(CARGO) build --locked --release --manifest-path bench/Cargo.toml
	$(call MEASURE,symbols) flamegraph.py

setup-bench: ## Install the tools of the benchmarks, and build the release and signet-bench
	bench/setup
	$(CARGO) build --locked --release
	$(CARGO) build --locked --release --manifest-path bench/Cargo.toml

instructions: ## Count the instructions of refreshes, and write bench/instructions.json
	bench/setup-instructions
	$(COUNT) write

test-instructions: ## Compare these counts with bench/instructions.json
	bench/setup-instructions
	$(COUNT)

test-bench: setup-bench ## Run bench, bench-scale, bench-copy, bench-fairness, measure and flamegraph briefly, to test them
	bench/setup-instructions
	bench/setup-flamegraph
	for program in main.py "scale.py 4000" "copies.py 4000" fairness.py measure.py flamegraph.py; do \
	    $(call MEASURE,release) $$program --short || exit 1; \
	done

##@ Contract and generated files

swagger-ui: ## Replace the files of Swagger UI (version in src/http/docs/swagger-ui/update)
	src/http/docs/swagger-ui/update

picture: setup-contract ## Write docs/swagger-ui.png, a screenshot of Swagger UI
	$(CARGO) build --locked
	SIGNET="$(BINARY)" tests/browser/run picture

contract-diff: ## List changes of the contract since its release, and fail if clients break; FORMAT=markdown prints a comment for a pull request
	@failed=0; for document in openapi.json openapi-verify.json; do \
	    $(if $(filter markdown,$(FORMAT)),,echo "$$document:";) \
	    $(CARGO) run --locked --quiet --package contract-diff -- --format $(FORMAT) openapi/released/openapi.json openapi/$$document || failed=1; \
	done; exit $$failed

release: contract-diff ## Make the current document the released one, after CHANGELOG.md and the version are updated
	cp openapi/openapi.json openapi/released/openapi.json

openapi: ## Write openapi/, after a change of the contract
	$(CARGO) build --locked --quiet
	for file in openapi.json:json contract.md:markdown claims.schema.json:claims workflows.arazzo.yaml:arazzo \
	    signet.postman_collection.json:postman; do \
	    $(CARGO) run --locked --quiet -- openapi --format $${file#*:} > openapi/new || exit 1; \
	    mv openapi/new openapi/$${file%:*}; \
	done
	rm -rf openapi/bruno
	$(CARGO) run --locked --quiet -- openapi --format bruno --output openapi/bruno
	SIGNET_VERIFY=on $(CARGO) run --locked --quiet -- openapi > openapi/new
	mv openapi/new openapi/openapi-verify.json

reference: ## Write packaging/signet.toml, its schema and docs/reference/, after a change of settings or commands
	$(CARGO) build --locked --quiet
	$(CARGO) run --locked --quiet -- config sample > packaging/signet.toml
	$(CARGO) run --locked --quiet -- config schema > packaging/signet.schema.json
	$(CARGO) run --locked --quiet -- config reference > docs/reference/configuration.md
	$(CARGO) run --locked --quiet -- man --markdown > docs/reference/cli.md
	UPDATE_PAGES=1 $(CARGO) test --locked --quiet --test contract docs::metrics_page

sample: reference

snapshots: ## Write snapshots/, after a change of the documented exchanges
	INSTA_UPDATE=always $(CARGO) test --locked --quiet --test contract examples::
