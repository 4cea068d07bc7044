GO ?= go

.PHONY: all build vet test
all: build vet test

build: ## compile everything
	$(GO) build ./...

vet:
	$(GO) vet ./...

test: ## all tests, short fuzzing and simulation
	$(GO) test ./...
