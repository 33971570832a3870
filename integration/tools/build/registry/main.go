// Command registry is distribution's registry with the file system as its only storage. Upstream's main package also compiles the
// clients of three cloud providers, which is most of its compile time.
package main

import (
	"os"

	"github.com/distribution/distribution/v3/registry"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
)

func main() {
	if err := registry.RootCmd.Execute(); err != nil {
		os.Exit(1)
	}
}
