# The commands of this repository; `make` alone lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

export CGO_ENABLED := 1

MODULES  := . test test/clients tools
TESTED   := . test test/clients
LINT     := $(CURDIR)/bin/golangci-lint
FUZZTIME ?= 1m
BENCH    ?= .
KILLS    ?= 200
GOTEST   := go test -race -shuffle=on

# What the listener does by itself for each way of serving HTTP/1.1: limits, cut-offs
# in flight, bodies, streams and endings. The rest is the same by both.
NETHTTP  := ^Test(Smuggling_HTTP1|Limit_(header|body|bodyRefused|unread|quiet|idle|lifetime)|InFlight|TrustChange|Shutdown|ExpectContinue|EarlyAnswer|BrokenAnswer|ClientLeaves|Upload|Trailers|Informational|Flush|Access_endings|Deny_pendingBody|SpoofedHeaders)

.PHONY: help demo build test check setup fmt fmt-check vet lint unit walkthrough crash clients screenshots tidy-check conformance bench fuzz cover vuln clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: build ## show the whole story on loopback, in a temporary folder
	@bin/certvigil demo

build: ## build bin/certvigil
	go build -trimpath -o bin/certvigil ./cmd/certvigil

test: setup unit walkthrough clients ## run every test, after installing or naming what they need

check: setup fmt-check vet lint unit walkthrough clients tidy-check ## everything that continuous integration runs
	@echo "== check: all passed"

setup: ## install or name what the tests need
	@echo "== setup"
	@scripts/setup

unit: ## run the tests of the product's own module
	@echo "== test: the product"
	$(GOTEST) ./...
	@echo "== test: HTTP/1.1 by net/http alone, as with http1_fast_path = false"
	$(GOTEST) ./enforcer -run '$(NETHTTP)' -args -nethttp

walkthrough: build ## run the documented walk-through with the real cfssl, curl and Chromium, and 20 crashes
	@echo "== test: the walk-through with cfssl, curl and Chromium, and 20 crashes"
	cd test && CERTVIGIL_BIN=$(CURDIR)/bin/certvigil $(GOTEST) ./...

crash: build ## kill the daemon while it sends (KILLS=200, CRASH_SEED=n repeats a run)
	@echo "== test: $(KILLS) crashes"
	cd test && CERTVIGIL_BIN=$(CURDIR)/bin/certvigil CRASH_KILLS=$(KILLS) $(GOTEST) -count=1 -timeout 60m -v ./crash

clients: build ## drive the binary with the reference product's official Go clients
	@echo "== test: the official clients"
	cd test/clients && CERTVIGIL_BIN=$(CURDIR)/bin/certvigil $(GOTEST) ./...

screenshots: ## make docs/mail/*.png anew, and hold every mail to what a reader needs
	cd test && go test -count=1 -run '^TestMailPages$$' . -update

fmt: $(LINT) ## format the code
	for m in $(TESTED); do (cd $$m && $(LINT) fmt ./...); done

fmt-check: $(LINT) ## fail when `make fmt` would change something
	@echo "== format"
	@for m in $(TESTED); do (cd $$m && $(LINT) fmt --diff ./...); done

vet: ## run go vet
	@echo "== vet"
	@for m in $(TESTED); do (cd $$m && go vet ./...); done

lint: $(LINT) ## run golangci-lint
	@echo "== lint"
	@for m in $(TESTED); do (cd $$m && $(LINT) run ./...); done

# golangci-lint is a tool of the module in tools/, built once.
$(LINT): tools/go.mod tools/go.sum
	@echo "== building golangci-lint (once, about two minutes)"
	cd tools && go build -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

tidy-check: ## fail when go.mod or go.sum is not tidy
	@echo "== tidy"
	@for m in $(MODULES); do (cd $$m && go mod tidy -diff); done

conformance: ## run every case of x509-limbo (LIMBO=path/to/limbo.json)
	@test -n '$(LIMBO)' || { echo 'error: name the file: make conformance LIMBO=limbo.json' >&2; exit 2; }
	@echo "== conformance: x509-limbo"
	go test -count=1 -run '^TestLimbo$$' -v ./enforcer -limbo '$(abspath $(LIMBO))'

bench: ## run the benchmarks (BENCH=regexp)
	go test -run '^$$' -bench '$(BENCH)' -benchmem ./...

fuzz: ## run each fuzz target for a minute (FUZZTIME=1m)
	@grep -rlE --include='*_test.go' --exclude-dir=test '^func Fuzz' . | xargs -n 1 dirname | sort -u | while read -r dir; do \
		for target in $$(go test -list '^Fuzz' "$$dir" | grep '^Fuzz'); do \
			echo "== fuzz: $$dir $$target"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x "$$dir"; \
		done; \
	done

cover: ## write bin/cover.html
	@mkdir -p bin
	go test -coverprofile=bin/cover.out -coverpkg=./... ./...
	go tool cover -html=bin/cover.out -o bin/cover.html

vuln: ## look for known vulnerabilities (needs https://vuln.go.dev)
	go run golang.org/x/vuln/cmd/govulncheck@latest ./...

clean: ## remove bin/
	rm -rf bin
