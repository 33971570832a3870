package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

const checksums = "SHA256SUMS"

// writeChecksums writes the SHA-256 of every file of the release as sha256sum does, and signs the list if there is a key.
func (r *release) writeChecksums(key *ecdsa.PrivateKey) error {
	entries, err := os.ReadDir(r.dir) // sorted by name
	if err != nil {
		return err
	}
	var list strings.Builder
	for _, entry := range entries {
		sum, err := fileSum(r.path(entry.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&list, "%x  %s\n", sum, entry.Name())
	}
	if err := r.write(checksums, []byte(list.String())); err != nil || key == nil {
		return err
	}
	signature, err := sign(key, []byte(list.String()))
	if err != nil {
		return fmt.Errorf("signing the checksums: %w", err)
	}
	return r.write(checksums+".sig", signature)
}

func fileSum(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, file)
	return sum.Sum(nil), err
}

// sign returns the signature that openssl dgst -sha256 and cosign sign-blob make: ECDSA over SHA-256, in ASN.1, as base64.
func sign(key *ecdsa.PrivateKey, data []byte) ([]byte, error) {
	sum := sha256.Sum256(data)
	// Without a source of random numbers the signature follows RFC 6979: the same data has the same one.
	signature, err := key.Sign(nil, sum[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	return []byte(base64.StdEncoding.EncodeToString(signature) + "\n"), nil
}

// readKey reads a private key as openssl ecparam -genkey or openssl genpkey writes it.
func readKey(file string) (*ecdsa.PrivateKey, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the signing key: %w", err)
	}
	key, err := parseKey(data)
	if errors.Is(err, errEncrypted) {
		return nil, fmt.Errorf("%s is not a key to sign with: %w; decrypt it with: openssl pkey -in %[1]s -out %[3]s", file, err, unusedName(file))
	}
	if err != nil {
		return nil, fmt.Errorf("%s is not a key to sign with: %w; make one with: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out %s",
			file, err, unusedName(file))
	}
	return key, nil
}

// unusedName returns a name next to a file that is not there yet: following advice must not overwrite a file that may be a key.
func unusedName(file string) string {
	const enough = 10
	for range enough {
		file += ".new"
		if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) {
			return file
		}
	}
	return "NEW-FILE"
}

// errEncrypted is the reason why a key needs a passphrase first.
var errEncrypted = errors.New("it is encrypted")

func parseKey(data []byte) (*ecdsa.PrivateKey, error) {
	var parsed any
	block, rest := pem.Decode(data)
	for block != nil && block.Type == "EC PARAMETERS" {
		block, rest = pem.Decode(rest)
	}
	if block == nil {
		return nil, errors.New("no PEM block")
	}
	if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
		return nil, errEncrypted
	}
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		parsed, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("a PEM block of type %q; it has to be a PRIVATE KEY", block.Type)
	}
	if err != nil {
		return nil, errors.New("its contents are malformed") // the parser's own text may quote them
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("not ECDSA on the curve P-256")
	}
	return key, nil
}
