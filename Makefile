# Verbs of the repository. `make` alone lists them.
#
# The developer tools are pinned in tools/go.mod and built once, outside of the
# clone, into a folder named after their versions.

SHELL    := /bin/bash
CACHE    := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/palisade
TOOLS    := $(CACHE)/tools-$(shell cat tools/go.mod tools/go.sum | sha256sum | cut -c1-12)
FUZZTIME ?= 60s
# Go sets CGO_ENABLED to 0 where it finds no C compiler, and the race detector needs one.
RACE     := $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)
# What `make generate` writes, and nothing else does.
GENERATED := api/v1alpha1/zz_generated.deepcopy.go deploy/crds

.DEFAULT_GOAL := help
.PHONY: help demo build test test-istio test-apiserver bench fuzz lint fmt generate verify ci clean

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## watch palisade at work on a control plane of its own; KEEP=1 lets it run on until Ctrl-C
	@hack/demo.sh $(if $(KEEP),-keep)

build: ## build bin/palisade
	go build -o bin/palisade ./cmd/palisade

test: ## run all tests, with the race detector where there is a C compiler
	go test $(RACE) ./...

test-istio: ## hold the reader of Istio's objects to Istio's own packages (minutes, to build these)
	go -C difftest/istio vet ./...
	go -C difftest/istio test -count=1 -v -run . ./...

test-apiserver: ## hold palisade to a real API server, built from source when first needed (minutes)
	KUBEBUILDER_ASSETS=$$(hack/controlplane.sh) && export KUBEBUILDER_ASSETS && go -C e2e test -count=1 -v ./...

bench: ## run the benchmarks
	go test -run '^$$' -bench . -benchmem ./...

fuzz: ## run every fuzz target in turn, each for FUZZTIME (60s)
	hack/fuzz.sh $(FUZZTIME)

lint: $(TOOLS)/built ## run the linters
	$(TOOLS)/golangci-lint run ./...
	cd difftest/istio && $(TOOLS)/golangci-lint run -c ../../.golangci.yml ./...

fmt: $(TOOLS)/built ## format the Go files
	$(TOOLS)/golangci-lint fmt ./...

generate: $(TOOLS)/built ## write deepcopy functions and CRDs anew from api/
	$(TOOLS)/controller-gen object paths=./api/...
	rm -f deploy/crds/*.yaml
	$(TOOLS)/controller-gen crd paths=./api/... output:crd:dir=deploy/crds
	gofmt -w api

verify: generate lint ## check that generated files, go.mod and style are as committed
	git diff --exit-code -- $(GENERATED)
	@new=$$(git ls-files --others --exclude-standard -- $(GENERATED)); \
		if [ -n "$$new" ]; then echo "generated, but not in git: $$new"; exit 1; fi
	go mod tidy -diff
	go -C difftest/istio mod tidy -diff

ci: ## run what the continuous integration runs
	.ci/run

clean: ## remove what was built in the clone
	rm -rf bin

$(TOOLS)/built:
	go -C tools build -o $(TOOLS)/ tool
	@touch $@
