# `make help` lists the targets.
GO       ?= go
FUZZTIME ?= 30s
SEED     ?= 1
STEPS    ?= 2000
SEEDS    ?= 1
N        ?= 200
TOOLS    := $(GO) tool -modfile=tools/go.mod
PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64

.DEFAULT_GOAL := all
.PHONY: all build vet test race fuzz sim power crash mutants e2e web web-test bench golden cover lint install cross release-check help

all: build vet test ## build, vet and test

build: ## compile everything
	$(GO) build ./...

vet: ## report suspicious code
	$(GO) vet ./...

test: ## all tests, with fuzz seeds and a short simulation
	$(GO) test ./...

race: ## all tests under the race detector
	$(GO) test -race ./...

fuzz: ## each fuzz target for FUZZTIME (30s)
	@set -e; for pkg in $$($(GO) list ./...); do \
		for target in $$($(GO) test $$pkg -run '^$$' -list '^Fuzz' | grep '^Fuzz' || true); do \
			echo "== $$pkg $$target"; \
			$(GO) test $$pkg -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x; \
		done; done

sim: ## simulate from a seed: make sim SEED=7 STEPS=5000 SEEDS=10 WILD=1
	$(GO) test ./cluster -run "^TestSimulation$$" -count=1 -v -args -sim.seed $(SEED) -sim.steps $(STEPS) -sim.seeds $(SEEDS) $(if $(WILD),-sim.wild)

e2e: ## real S3 clients against wattle serve, sound, degraded and killed (ROUNDS=sound: that alone)
	scripts/e2e.sh

power: ## cut the power off in SQLite's files: make power SEED=1 SEEDS=100
	$(GO) test ./cluster -run "^TestCatalogPower" -count=1 -v -timeout 0 -args -power.seed $(SEED) -power.seeds $(SEEDS) -power.cuts 300

crash: ## kill the command at random moments: make crash N=2000
	$(GO) test ./cmd/wattle -run "^(TestCrash|TestFullFileSystem)$$" -count=1 -v -timeout 0 -args -crash.n $(N) -crash.seed $(SEED)

mutants: ## see that the simulation finds every planted bug
	$(GO) test ./cluster -run "^TestMutants$$" -count=1 -v -args -sim.mutants

bench: ## Go benchmarks of all packages
	$(GO) test ./... -run '^$$' -bench . -benchtime 1s

golden: ## rewrite golden files from what the code prints now
	$(GO) test ./cmd/... ./energy -update

cover: ## coverage by function, and the total
	$(GO) test ./... -coverprofile=cover.out
	$(GO) tool cover -func=cover.out | tail -30

lint: ## linters, from a module of their own
	$(TOOLS) golangci-lint run ./...

WEB := dashboard/web
ESBUILD := --bundle --format=esm --target=es2022 --minify --log-level=warning

web: ## build the page of the dashboard into dashboard/dist
	$(TOOLS) esbuild $(WEB)/main.ts $(ESBUILD) --outfile=dashboard/dist/app.js
	$(TOOLS) esbuild $(WEB)/app.css $(ESBUILD) --outfile=dashboard/dist/app.css
	cp $(WEB)/index.html $(WEB)/icon.svg dashboard/dist
	LC_ALL=C; export LC_ALL; cat $(WEB)/*.* | sha256sum | cut -d' ' -f1 >dashboard/dist/sources.sha256

web-test: ## the page in headless Chromium, against a server of its own
	scripts/web.sh

install: ## install the command
	$(GO) install ./cmd/wattle

cross: ## build for every platform
	@set -e; for p in $(PLATFORMS); do echo "== $$p"; \
		CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) build -o /dev/null ./cmd/wattle; \
		CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) vet ./...; done

release-check: lint cross test ## what a release must pass

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'
