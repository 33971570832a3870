.PHONY: tools frontend up down

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
