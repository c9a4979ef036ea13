# Every target is a thin name for a script: the scripts say what they do and why.
.DEFAULT_GOAL := help
.PHONY: help all test demo psql stop setup build install lint format sql golden fuzz-sql fuzz-companies fuzz-parser fuzz-mirrors fuzz-writes storm-writes fuzz-client sqlsmith test-assert bench matrix deny clean uninstall extension-sql packages packages-test source docs

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

test: ## install what is missing, build, run every test; the last line counts them
	@scripts/test

demo: ## SQL over two simulated companies in a throw-away PostgreSQL
	@scripts/demo start

psql: ## open psql on the running demo
	@scripts/demo psql

stop: ## stop the demo and every throw-away cluster, remove their files
	@scripts/demo stop

setup: ## install the Debian packages and Cargo tools that are missing
	@scripts/setup

build: setup ## build the extension (dev profile) and install it into the local PostgreSQL
	@scripts/install-extension

all: ## build the extension with optimisation, without installing it; needs less than the tests
	@scripts/setup build
	@scripts/install-extension --build

install: ## the same, and install it: PG_CONFIG=… names the server, DESTDIR=… a directory below which its files go
	@scripts/setup build
	@scripts/install-extension --release

uninstall: ## remove the installed files again (PG_CONFIG, DESTDIR as for install)
	@scripts/install-extension --uninstall

extension-sql: setup ## rewrite sql/install from the sources; commit it with the change
	@scripts/extension-sql

lint: setup ## formatting, clippy, rustdoc, floor plan, glossary, Markdown: warnings are errors
	@scripts/lint

format: ## format the Rust sources
	@cargo fmt --all

sql: build ## only the tests that need a server; FILTER=golden:: those whose name contains it
	@scripts/sql-tests $(FILTER)

golden: build ## run the golden SQL tests and rewrite tests/expected; review the diff
	@scripts/sql-tests --golden

fuzz-sql: setup ## differential test, N statements under each reading (default 20000), SEED=… replays
	@N=$(or $(N),20000) SEED=$(SEED) scripts/sql-tests --fuzz

fuzz-companies: setup ## COMPANIES (default 40) with a random value of every reading, N statements each (default 500), SEED=… replays
	@COMPANIES=$(or $(COMPANIES),40) N=$(or $(N),500) SEED=$(SEED) scripts/sql-tests --fuzz-companies

fuzz-writes: build ## N writes under random faults (default 500), SEED=… replays: nothing doubled, nothing lost
	@N=$(or $(N),500) SEED=$(SEED) scripts/sql-tests --fuzz-writes

storm-writes: build ## cancels, timeouts, terminates, kills over N writes each (default 10000), SEED=… replays
	@N=$(or $(N),10000) SEED=$(SEED) scripts/sql-tests --storm-writes

sqlsmith: build ## N random statements of sqlsmith (default 10000): no backend may die
	@N=$(or $(N),10000) SEED=$(SEED) scripts/sqlsmith

test-assert: setup ## statements on a server with assertions that forgets its caches (ASSERT_PG_CONFIG=…/pg_config)
	@scripts/test-assert

fuzz-client: setup ## the client's writes under N random faults (default 5000), SEED=… replays
	@WRITE_FAULT_RUNS=$(or $(N),5000) WRITE_FAULT_SEED=$(or $(SEED),1) cargo test -p intacct --test write_faults -- --nocapture

fuzz-mirrors: build ## N rounds of change and misfortune for mirrors (default 2000), SEED=… replays
	@N=$(or $(N),2000) SEED=$(SEED) scripts/sql-tests --fuzz-mirrors

fuzz-parser: ## random texts for the parser of the connector's syntax, SECONDS_TO_RUN seconds (default 600)
	@scripts/fuzz-parser

bench: setup ## measurements, reported as ratios; PART=interrupts, queries, planning, lookups, scans, "scans short", mirrors, companies or writes
	@scripts/bench $(PART)

matrix: ## the tests on PostgreSQL 16, 17 and 18, in roots of their own (VERSIONS="17")
	@scripts/matrix $(VERSIONS)

packages: ## Debian packages, each built in a bare root (VERSIONS="15 16 17 18"), into packages/
	@scripts/packages $(VERSIONS)

packages-test: ## install each package in a bare root, run the demo's SQL, upgrade, remove, purge
	@scripts/packages-test $(VERSIONS)

source: ## the sources with every crate, which build without a network, into packages/
	@scripts/source-tarball packages

docs: ## the documentation as a site, strictly checked, into .run/site
	@scripts/site

deny: ## licences, sources and known advisories of the dependencies
	@scripts/deny

clean: stop ## remove build results and logs
	@rm -rf .run
	@cargo clean
