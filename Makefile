.PHONY: tools

# Where the binaries of the lab are linked; what they link to is in ${KUBEFILE_CACHE:-~/.cache/kubefile}/tools.
BIN := $(CURDIR)/_out/bin

# make tools            everything
# make tools TOOLS="crane oras"
TOOLS :=

tools:
	@go -C integration/tools run . -out $(BIN) $(TOOLS)
