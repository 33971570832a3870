.PHONY: tools frontend up down

# As the frontend image is compiled, so that the packages that tests, lint and the image share are compiled once.
export CGO_ENABLED := 0
export GOFLAGS := $(strip $(GOFLAGS) -trimpath)

# Where the binaries of the lab are linked; what they link to is in ${KUBEFILE_CACHE:-~/.cache/kubefile}/tools.
BIN := $(CURDIR)/_out/bin

# make tools            everything
# make tools TOOLS="crane oras"
TOOLS :=

tools:
	@go -C integration/tools run . -out $(BIN) $(TOOLS)

# What the frontend image is made of, for amd64 and arm64, in _out/frontend.
frontend: tools
	@frontend/image.sh

# BuildKit, a registry and the stand-in for the public registries, on loopback; _out/lab.env says where. See integration/lab.
LAB := $(CURDIR)/_out/lab/lab

up: frontend
	@go build -o $(LAB) ./integration/lab
	@$(LAB) images
	@$(LAB) up
	@$(LAB) publish

down:
	@go build -o $(LAB) ./integration/lab
	@$(LAB) down

# Hosts with systemd, sshd, an address and a disk of their own, without a route out. See integration/hosts/hosts.sh.
N := 3

hosts:
	@integration/hosts/hosts.sh up $(N)

hosts-down:
	@integration/hosts/hosts.sh down

# --- tests --------------------------------------------------------------------------------------------------------------
# make test leaves nothing running that it started.
test: lint unit fuzz integration e2e
	@$(MAKE) --no-print-directory hosts-down down

lint: tools
	@integration/repository/lint.sh

# What the tests use of the machine: a real sshd and sudo with their helpers.
packages:
	@bash -c '. integration/hosts/packages.sh; need openssh-server openssh-client sudo openssl procps curl iproute2 kmod e2fsprogs bc'

# Concurrent packages run once, with the race detector.
RACE := registryproxy runner/agent runner/balancer runner/phase
UNIT := imagespec frontend llb runner registryproxy cmd integration/repository integration/upstream integration/lab

unit: tools packages
	go test $$(go list $(UNIT:%=./%/...) | grep -vE '/($(subst $() ,|,$(RACE)))(/|$$)')
	CGO_ENABLED=1 go test -race $(RACE:%=./%/...)
	go -C integration/tools test ./...

# Every fuzz target for some seconds.
FUZZ := 3

fuzz:
	@integration/repository/fuzz.sh $(FUZZ)

integration: up
	go test -count=1 -timeout 20m ./integration/build/...

e2e: up packages
	go test -count=1 -timeout 60m -tags e2e ./integration/e2e/...

# Random COPY and ADD lines against Docker's own frontend, for a long time. It prints its seeds; a seed makes the same lines again:
#   make soak SOAK=1s SEED=17
SOAK := 1h
SEED := 0

soak: up
	go test -count=1 -timeout 0 -v -run '^TestCopyIsDockers$$' ./integration/build -args -soak $(SOAK) -seed $(SEED)

.PHONY: hosts hosts-down test lint packages unit fuzz integration e2e soak

# A three-host cluster with the dashboard example on it, from nothing.
demo: up
	@integration/demo/demo.sh

# The figures of the README, as ratios within one run. It wants the hosts for itself.
bench: up
	@integration/bench/bench.sh

# Kubefiles of other people, which integration/corpus/fetch.sh fetches.
corpus:
	go test -tags corpus ./integration/corpus

# Real projects whose images are known: those of integration/discovery, or of CASES=DIR[:DIR…].
CASES :=

cases:
	KUBEFILE_CASES="$(CASES)" go test -v -tags cases ./integration/discovery

.PHONY: demo bench corpus cases
