// Command dashboard is the lab's stand-in for the Kubernetes dashboard and for its metrics scraper: it answers the probes of
// their unmodified manifest. With --auto-generate-certificates it serves HTTPS on port 8443, as the dashboard does, else HTTP
// on port 8000, as the scraper does.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"log"
	"math/big"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	secure := flag.Bool("auto-generate-certificates", false, "serve HTTPS with a certificate made at the start")
	_ = flag.String("namespace", "kube-system", "accepted as the dashboard accepts it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *secure); err != nil {
		log.Fatal(err)
	}
}

func serve(ctx context.Context, secure bool) error {
	server := &http.Server{Addr: ":8000", ReadHeaderTimeout: 10 * time.Second}
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "This is the lab's stand-in; it shows nothing.")
	})
	listen := server.ListenAndServe
	if secure {
		certificate, err := selfSigned()
		if err != nil {
			return fmt.Errorf("making a certificate: %w", err)
		}
		server.Addr, server.TLSConfig = ":8443", &tls.Config{Certificates: []tls.Certificate{certificate}}
		listen = func() error { return server.ListenAndServeTLS("", "") }
	}
	context.AfterFunc(ctx, func() { server.Close() })
	log.Println("listening on", server.Addr)
	if err := listen(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.AddDate(1, 0, 0),
		DNSNames:     []string{"kubernetes-dashboard"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
