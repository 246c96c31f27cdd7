# What people and CI run; `make` alone says what there is. Tools are built from pinned
# modules (tools/*/go.mod) and kept in Go's build cache, so only a first run is slow.

GO      ?= go
BUF     := $(GO) tool -modfile=tools/buf/go.mod buf
# Build tags; kms_all links the KMS of every cloud.
TAGS    ?=
FUZZTIME ?= 5m

.DEFAULT_GOAL := help
.PHONY: help build generate lint test fuzz bench compare deps demo run clean

help: ## Say what there is.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build bin/onedoord (the broker) and bin/onedoor (the CLI).
	CGO_ENABLED=0 $(GO) build -trimpath -tags '$(TAGS)' -ldflags '-s -w' -o bin/ ./server/cmd/onedoord ./client/cmd/onedoor

generate: ## Write the generated code anew from proto/.
	scripts/venv.sh
	$(BUF) generate
	$(BUF) generate --template buf.gen.python.yaml

lint: ## Everything that is checked without running the product.
	scripts/lint.sh

test: deps ## All tests under the race detector, each fuzz target for some seconds, and what really ran.
	scripts/test.sh

fuzz: ## Every fuzz target for FUZZTIME (default 5m).
	scripts/fuzz.sh $(FUZZTIME)

bench: ## The micro-benchmarks.
	$(GO) test -run '^$$' -bench . -benchmem ./server/... ./client/...

compare: build ## The broker beside what this machine reaches without it; ratios of one run.
	$(GO) run ./tests/bench -onedoord bin/onedoord

deps: ## Install what the tests run against: PostgreSQL, squid, Chromium, a JDK, zsh, fish; packages in .venv, .mitmproxy, .node and .java.
	scripts/deps.sh

demo: ## From a fresh clone to a first credentialed call.
	scripts/demo.sh

run: ## Run a development broker on this machine.
	scripts/run.sh

clean: ## Remove what was built; .venv, .mitmproxy, .node, .java and Go's own cache stay.
	rm -rf bin .cache
