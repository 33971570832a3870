# make prints the targets. A line "## Title" begins a group of the help; "target: ## text" is a line of it.
.DEFAULT_GOAL := help

# As the frontend image is compiled, so that the packages that tests, lint and the image share are compiled once. Without debug information,
# which neither images nor test binaries keep, and with fewer collections of garbage compiling takes a seventh less CPU time.
COMPILE := -trimpath -gcflags=all=-dwarf=false '-toolexec=env GOGC=800 GOMEMLIMIT=2GiB'
export CGO_ENABLED := 0
export GOFLAGS := $(if $(findstring -toolexec,$(GOFLAGS)),$(GOFLAGS),$(strip $(GOFLAGS) $(COMPILE)))

# The version that programs report; git knows it otherwise. Only the command line sets it, for others use such a variable too.
VERSION :=
export KUBEFILE_VERSION := $(VERSION)

# Where the binaries of the lab are linked; what they link to is in ${KUBEFILE_CACHE:-~/.cache/kubefile}/tools.
BIN := $(CURDIR)/_out/bin
LAB := _out/lab/lab

# What each target uses of the lab: tools, sets of images, architectures of the frontend image. make up FOR=e2e starts what make e2e uses;
# make up alone is enough for builds. A test of integration/tools compares the tools with what the files of a target run.
FOR ?= $(MAKECMDGOALS)

HOSTARCH = $(shell go env GOHOSTARCH)
TOOLBOX = busybox-$(1) bash-$(1)
SERVICES := registry buildkitd buildctl buildx runc
CLUSTER := kubeadm kubernetes containerd cni-plugins crictl helm etcd etcdctl coredns flanneld install-conf flannel

uses.lint := staticcheck actionlint
uses.kubeadm := kubeadm
uses.frontend = $(call TOOLBOX,amd64) $(call TOOLBOX,arm64)
uses.up = $(SERVICES) $(call TOOLBOX,$(HOSTARCH))
uses.demo = $(uses.up) $(CLUSTER)
uses.bench = $(uses.demo) oras
uses.release-test = $(SERVICES) $(uses.frontend) $(CLUSTER)
uses.e2e = $(uses.release-test) oras
uses.integration = $(uses.e2e) crane cosign buildkitd-v0.17 buildkitd-v0.11 buildkitd-v0.10
uses.soak = $(uses.integration)
uses.test = $(sort $(uses.integration) $(uses.lint))

images.demo := cluster
images.bench := cluster
images.e2e := cluster databases
images.integration := cluster databases
images.release-test := cluster databases
images.soak := cluster databases
images.test := cluster databases

arch.up = $(HOSTARCH)
arch.demo = $(HOSTARCH)
arch.bench = $(HOSTARCH)

# The lab writes paths into files of several languages, and refuses one that would need quotes in any of them. It comes first: compiling the
# tools can take an hour.
.lab-path:
	$(if $(shell pwd | tr -d 'A-Za-z0-9/._+@%\n-'),$(error the lab cannot be in $(CURDIR): clone to a path of letters, digits and /._+@%- only))

# Tests that need more than Go are behind these build tags. Lint reads the code of all of them.
TAGS := cases,corpus,e2e,hosts,kubeadm,lab,release,scale,sshd

.PHONY: help
help: ## Print this list
	@awk -f integration/repository/help.awk $(MAKEFILE_LIST)

## Programs

.PHONY: build
build: ## Compile sealer-run and kubefile-frontend for this machine into bin/ (needs Go only)
	@flags=$$(version/version.sh flags) && set -x && go build -buildvcs=false -ldflags "$$flags" -o bin/ ./cmd/sealer-run ./cmd/kubefile-frontend

PREFIX := /usr/local
DESTDIR :=

# Builds only what is missing: after make build, sudo make install compiles nothing as root.
.PHONY: install
install: ## Copy the programs of make build to DESTDIR/PREFIX/bin (PREFIX=/usr/local)
	@test -x bin/sealer-run -a -x bin/kubefile-frontend || $(MAKE) --no-print-directory build
	install -d '$(DESTDIR)$(PREFIX)/bin'
	install -m 755 bin/sealer-run bin/kubefile-frontend '$(DESTDIR)$(PREFIX)/bin/'

.PHONY: clean
clean: ## Remove bin/, dist/ and _out/ (stop the lab first: make hosts-down down)
	@integration/lab/stopped.sh _out
	rm -rf bin dist _out

KEY :=
DIRTY :=

.PHONY: release
release: ## All files of release VERSION=v0.1.0 in dist/, signed with KEY=FILE if given; DIRTY=1 allows local changes
	@go -C release run . -root .. -version '$(VERSION)' $(if $(KEY),-key '$(abspath $(KEY))') $(if $(DIRTY),-dirty)

REGISTRY :=
PLATFORMS :=
FRONTEND_TAGS :=
BASES := kubernetes
BASE_FLAGS :=

.PHONY: publish
publish: ## Push the frontend image and the base images to REGISTRY with docker buildx; VERSION=v0.1.0 or FRONTEND_TAGS give its tags
	@REGISTRY='$(REGISTRY)' VERSION='$(VERSION)' DIRTY='$(DIRTY)' PLATFORMS='$(PLATFORMS)' FRONTEND_TAGS='$(FRONTEND_TAGS)' BASES='$(BASES)' BASE_FLAGS='$(BASE_FLAGS)' release/publish.sh

## Tests

# The stages of make test set it to "go test -json".
GOTEST := go test

# make unit RUN=TestName, make e2e RUN=TestClusters/road; as go test -run, but without a match it fails.
RUN :=
TEST = $(if $(RUN),'$(CURDIR)/integration/repository/only.sh' '$(RUN)') $(GOTEST)

.PHONY: unit
unit: ## Unit tests: go test ./... (needs Go only, no root); here and below, RUN=TestName runs only what matches
	$(TEST) ./...

.PHONY: lint
lint: tools ## gofmt, go vet, staticcheck, go mod tidy, actionlint, shellcheck
	@integration/repository/lint.sh $(TAGS)

# Installs the Debian packages that are missing.
NEED := @bash -c '. integration/hosts/packages.sh; need "$$@"' need

# Concurrent packages.
RACE := registryproxy runner/agent runner/balancer runner/execute runner/host/hosttest runner/phase runner/registry runner/report

# They repeat one run a hundred times. The race detector sees the same in TestKilledBeforeEveryCommand.
RACE_SKIP := ^Test.+KilledBeforeEveryCommand$$

.PHONY: race
race: ## Unit tests of concurrent packages with the race detector (needs a C compiler)
	$(NEED) gcc libc6-dev
	CGO_ENABLED=1 $(TEST) -race -skip '$(RACE_SKIP)' $(RACE:%=./%/...)

FUZZ := 3

.PHONY: fuzz
fuzz: ## Every fuzz target for FUZZ seconds
	@integration/repository/fuzz.sh '$(FUZZ)'

.PHONY: tools-test
tools-test: ## Unit tests of the programs that compile the lab's tools and make releases
	cd integration/tools && $(GOTEST) -count=1 ./...
	cd release && $(GOTEST) ./...
	cd integration/tools/cluster && $(GOTEST) -tags notest,grpcnotrace ./cni-flannel ./flanneld

.PHONY: sshd
sshd: ## Logins through OpenSSH, PAM and sudo (Debian, root)
	$(NEED) openssh-server openssh-client sudo openssl
	$(TEST) -count=1 -tags sshd ./runner/host/...

.PHONY: kubeadm
kubeadm: tools ## Configurations that the real kubeadm has to accept
	$(TEST) -count=1 -tags kubeadm ./runner/kubeadm/...

.PHONY: integration
integration: up ## Builds on real BuildKits and registries
	$(TEST) -count=1 -timeout 40m -tags lab ./integration/build/... ./integration/lab/... ./integration/upstream/...

.PHONY: hosts-test
hosts-test: ## The lab's hosts themselves: harsh properties, systems, two labs (Debian, root)
	$(TEST) -count=1 -timeout 20m -tags hosts ./integration/hosts

.PHONY: e2e
e2e: up packages ## Clusters on hosts with systemd, in two labs side by side, or only RUN=TestClusters/road
	$(TEST) -count=1 -timeout 60m -tags e2e ./integration/e2e/...

.PHONY: release-test
release-test: up ## make release and make publish, and every command of docs/getting-started.md on a host (Debian, root)
	$(NEED) openssl rpm curl iproute2 kmod e2fsprogs bc
	$(TEST) -count=1 -timeout 30m -tags release ./integration/release

# The stages, what they come after and how long they may take are in integration/stages. It leaves nothing running, and a table in
# _out/test/report.md. STAGES="lint unit" runs some of them, BUDGET=1 makes more time than the budget a failure.
STAGES :=

.PHONY: test
test: .lab-path ## All of the tests above, side by side; installs and compiles what they need (Debian, root)
	@go build -o _out/stages ./integration/stages
	@_out/stages $(STAGES)

.PHONY: packages
packages: ## Install the Debian packages that tests need: a C compiler, sshd, sudo (Debian, root)
	$(NEED) gcc libc6-dev openssh-server openssh-client sudo openssl procps curl iproute2 kmod e2fsprogs bc

## Long tests

# make soak SOAK=2h MATRIX=copy,fuzz SEED=17; see integration/soak
SOAK := 10m
MATRIX :=
SEED := 0

.PHONY: soak
soak: up packages ## Long matrices of cases, each for SOAK, with a report; or only MATRIX=copy,fuzz
	@go run ./integration/soak -time $(SOAK) -matrix "$(MATRIX)" -seed $(SEED)

# make scale HOSTS=20; see integration/scale
HOSTS := 50,500

.PHONY: scale
scale: packages ## sealer-run on HOSTS=50,500 hosts that share this machine: memory, commands on each host, time (Debian, root)
	$(TEST) -count=1 -timeout 90m -tags scale ./integration/scale -v -hosts=$(HOSTS)

.PHONY: bench
bench: up ## The figures of the README, as ratios within one run (needs the hosts for itself)
	@integration/bench/bench.sh

.PHONY: corpus
corpus: ## Kubefiles of other people, which integration/corpus/fetch.sh fetches
	go test -tags corpus ./integration/corpus

CASES :=

.PHONY: cases
cases: ## Discovery on real projects: those of integration/discovery, or of CASES=DIR[:DIR...]
	KUBEFILE_CASES="$(CASES)" go test -v -tags cases ./integration/discovery

## Lab

# demo.sh runs make template up itself, to say what stops the lab when it is interrupted.
.PHONY: demo
demo: .lab-path ## A three-host cluster with the dashboard example on it, from nothing
	@integration/demo/demo.sh

# A name in FOR=... that no list above has would mean all tools, and no images.
USERS = $(sort $(patsubst uses.%,%,$(filter uses.%,$(.VARIABLES))))
CHECKED_FOR = $(if $(filter-out file,$(origin FOR)),$(foreach name,$(filter-out $(USERS),$(FOR)),$(error unknown FOR=$(name); use one of: $(USERS))))$(FOR)

# make tools TOOLS="crane oras"
TOOLS = $(sort $(foreach target,$(CHECKED_FOR),$(uses.$(target))))

.PHONY: tools
tools: ## Compile the lab's tools: all, those of FOR=e2e, or TOOLS="crane oras"
	@go -C integration/tools run . -out "$(BIN)" $(TOOLS)

ARCH = $(sort $(foreach target,$(CHECKED_FOR),$(or $(arch.$(target)),amd64 arm64)))

.PHONY: frontend
frontend: tools ## The files of the frontend image, in _out/frontend
	@frontend/image.sh $(ARCH)

.PHONY: up
up: .lab-path frontend ## Start BuildKit and registries on loopback; _out/lab.env has their addresses
	@go build -o $(LAB) ./integration/lab
	@$(LAB) images $(sort $(foreach target,$(FOR),$(images.$(target))))
	@$(LAB) up
	@$(LAB) publish $(ARCH)

.PHONY: down
down: ## Stop them
	@go build -o $(LAB) ./integration/lab
	@$(LAB) down

# make demo makes it while tools are compiled. What starts hosts waits for it, or makes it again and prints what failed. A shell has what it
# runs in the background ignore interrupts; env has them end it again.
.PHONY: template
template: ## Make the disk template of the hosts, in the background
	@mkdir -p _out/log
	@env --default-signal=INT,QUIT integration/hosts/hosts.sh template > _out/log/template.log 2>&1 &

N := 3

.PHONY: hosts
hosts: .lab-path ## Start N hosts with systemd, sshd, an address and a disk of their own
	@integration/hosts/hosts.sh up $(N)

# Labs of end-to-end tests and of the release test are named after LAB_NAME; make hosts-test starts kt and ku.
.PHONY: hosts-down
hosts-down: ## Stop them, and those that tests have started
	@lab=$${LAB_NAME:-kf}; failed=0; for name in $$lab $${lab}2 $${lab}3 kt ku; do \
		[ $$name != $$lab ] && [ ! -d _out/hosts-$$name ] || LAB_NAME=$$name integration/hosts/hosts.sh down || failed=1; \
	done; exit $$failed
