// Command release makes everything that a release has: sealer-run for each platform, packages, an SBOM for each binary, release notes,
// checksums, and a signature when it is given a key. The same commit, version and Go give the same files everywhere.
//
//	release -version v0.1.0 [-key FILE] [-dirty] [-check]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	var o options
	flag.StringVar(&o.version, "version", "", "`version` of the release, such as v0.1.0 (required)")
	flag.StringVar(&o.key, "key", "", "`file` of the ECDSA P-256 private key in PEM that signs the checksums")
	flag.BoolVar(&o.dirty, "dirty", false, "allow changes that are not committed; the version ends with -dirty")
	flag.BoolVar(&o.check, "check", false, "only check the version and the clone, and print the version")
	flag.StringVar(&o.root, "root", ".", "`directory` of the clone")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, o)
	if err != nil && ctx.Err() != nil {
		err = errors.New("interrupted; run the same command again to start over")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}
