# Verbs of the repository. `make` alone lists them.
#
# The developer tools are pinned in tools/go.mod, those of deploy/ in modules below
# it, and built once, outside of the clone, into folders named after their versions.

SHELL    := /bin/bash
CACHE    := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/palisade
TOOLS    := $(CACHE)/tools-$(shell cat tools/go.mod tools/go.sum | sha256sum | cut -c1-12)
# Helm and promtool.
CHARTTOOLS := $(CACHE)/chart-tools-$(shell cat tools/{helm,promtool}/go.{mod,sum} | sha256sum | cut -c1-12)
CHARTENV := PALISADE_HELM=$(CHARTTOOLS)/helm PALISADE_PROMTOOL=$(CHARTTOOLS)/promtool
FUZZTIME ?= 60s
# Go sets CGO_ENABLED to 0 where it finds no C compiler, and the race detector needs one.
RACE     := $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)
# What `make generate` writes, and nothing else does.
GENERATED := api/v1alpha1/zz_generated.deepcopy.go deploy/crds deploy/chart/palisade/files deploy/manifests deploy/testdata

.DEFAULT_GOAL := help
.PHONY: help demo lab build test test-istio test-linkerd test-issuers test-apiserver test-deploy e2e-cluster e2e-cluster-test e2e-cluster-down bench fuzz lint fmt generate verify ci clean

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## watch palisade at work on a control plane of its own; KEEP=1 lets it run on until Ctrl-C
	@hack/demo.sh $(if $(KEEP),-keep)

build: ## build bin/palisade
	go build -o bin/palisade ./cmd/palisade

lab: ## let palisade verify find what is wrong with stand-ins on loopback addresses
	hack/lab.sh

test: ## run all tests, with the race detector where there is a C compiler
	go test $(RACE) ./...

test-istio: ## hold the reader of Istio's objects to Istio's own packages (minutes, to build these)
	go -C difftest/istio vet ./...
	go -C difftest/istio test -count=1 -v -run . ./...

test-linkerd: ## hold the client of Linkerd's CA to Linkerd's own identity service
	go -C difftest/linkerd vet ./...
	go -C difftest/linkerd test -count=1 -v ./...

test-issuers: ## let istiod and Linkerd's identity service issue, rotate and stall (minutes, to build these)
	go -C difftest/issuers vet ./...
	export PALISADE_ISSUERS KUBEBUILDER_ASSETS; PALISADE_ISSUERS=$$(hack/issuers.sh) && KUBEBUILDER_ASSETS=$$(hack/controlplane.sh) && go -C difftest/issuers test $(RACE) -count=1 -v -timeout 6m ./...

test-apiserver: $(CHARTTOOLS)/built ## hold palisade to a real API server, built from source when first needed (minutes)
	export $(CHARTENV); KUBEBUILDER_ASSETS=$$(hack/controlplane.sh) && export KUBEBUILDER_ASSETS && go -C e2e test -count=1 -v -timeout 25m ./...

test-deploy: $(CHARTTOOLS)/built ## hold chart, alert rules and dashboard to Helm, promtool and the types of Grafana
	$(CHARTENV) go test -count=1 -v ./deploy
	go -C e2e test -count=1 -v ./dashboard

e2e-cluster: $(CHARTTOOLS)/built ## bring up a Kind cluster with palisade, without a registry (needs root; minutes at first)
	go -C e2e build -o ../bin/e2e-cluster ./cluster
	cd e2e && $(CHARTENV) ../bin/e2e-cluster up

e2e-cluster-test: ## run the behaviours in that cluster; RUN=name for one, KEEP=1 leaves their objects
	go -C e2e test -c -o ../bin/e2e-suite ./suite
	cd e2e && ../bin/e2e-cluster exec -- ../bin/e2e-suite -test.v $(if $(RUN),-test.run '$(RUN)')

e2e-cluster-down: ## stop everything that e2e-cluster started
	go -C e2e build -o ../bin/e2e-cluster ./cluster
	cd e2e && ../bin/e2e-cluster down

bench: ## run the benchmarks
	go test -run '^$$' -bench . -benchmem ./...
	KUBEBUILDER_ASSETS=$$(hack/controlplane.sh) && export KUBEBUILDER_ASSETS && go -C e2e test -run '^$$' -bench . -benchtime 1x ./controller
	go -C difftest/zgrab2 test -run '^$$' -bench . -benchtime 3x ./...

fuzz: ## run every fuzz target in turn, each for FUZZTIME (60s)
	hack/fuzz.sh $(FUZZTIME)

lint: $(TOOLS)/built ## run the linters
	$(TOOLS)/golangci-lint run ./...
	cd difftest/istio && $(TOOLS)/golangci-lint run -c ../../.golangci.yml ./...
	cd difftest/linkerd && $(TOOLS)/golangci-lint run -c ../../.golangci.yml ./...
	cd difftest/issuers && $(TOOLS)/golangci-lint run -c ../../.golangci.yml ./...
	cd difftest/zgrab2 && $(TOOLS)/golangci-lint run -c ../../.golangci.yml ./...

fmt: $(TOOLS)/built ## format the Go files
	$(TOOLS)/golangci-lint fmt ./...

generate: $(TOOLS)/built $(CHARTTOOLS)/built ## write anew what comes of api/ and of the chart
	$(TOOLS)/controller-gen object paths=./api/...
	rm -f deploy/crds/*.yaml
	$(TOOLS)/controller-gen crd paths=./api/... output:crd:dir=deploy/crds
	gofmt -w api
	rm -rf deploy/chart/palisade/files
	mkdir -p deploy/chart/palisade/files/crds
	cp deploy/crds/*.yaml deploy/chart/palisade/files/crds
	cp deploy/alerts/palisade.rules.yaml deploy/dashboards/palisade.json deploy/chart/palisade/files
	$(CHARTENV) go test ./deploy -run TestChartRendersAsBefore -update

verify: generate lint ## check that generated files, go.mod and style are as committed
	git diff --exit-code -- $(GENERATED)
	@new=$$(git ls-files --others --exclude-standard -- $(GENERATED)); \
		if [ -n "$$new" ]; then echo "generated, but not in git: $$new"; exit 1; fi
	go mod tidy -diff
	go -C difftest/istio mod tidy -diff
	go -C difftest/linkerd mod tidy -diff
	go -C difftest/issuers mod tidy -diff
	go -C difftest/zgrab2 mod tidy -diff
	go -C e2e mod tidy -diff

ci: ## run what the continuous integration runs
	.ci/run

clean: ## remove what was built in the clone
	rm -rf bin lab

$(TOOLS)/built:
	go -C tools build -o $(TOOLS)/ tool
	@touch $@

$(CHARTTOOLS)/built:
	go -C tools/helm build -o $(CHARTTOOLS)/ tool
	go -C tools/promtool build -tags remove_all_sd -o $(CHARTTOOLS)/ tool
	@touch $@
