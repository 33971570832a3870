package hosttest

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"testing"

	"golang.org/x/crypto/ssh"
)

// WriteKey writes a new Ed25519 private key, encrypted if there is a passphrase, and returns its
// signer.
func WriteKey(t *testing.T, file, passphrase string) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return SaveKey(t, file, private, passphrase)
}

// SaveKey writes a private key, encrypted if there is a passphrase, and returns its signer.
func SaveKey(t *testing.T, file string, private crypto.PrivateKey, passphrase string) ssh.Signer {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(private, "test")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "test", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, 0o600, pem.EncodeToMemory(block))
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}
