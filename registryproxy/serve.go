package registryproxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
)

// grace is how long running answers may take when the proxy is stopped.
const grace = 5 * time.Second

// NewHandler returns the handler of a configuration, without its listeners.
func NewHandler(config Config, log *slog.Logger) (*Handler, error) {
	h := &Handler{stores: config.Stores, domain: config.Domain, log: log}
	if len(config.Seeds) > 0 {
		authority, err := os.ReadFile(config.Authority)
		if err != nil {
			return nil, fmt.Errorf("reading the cluster's certificate authority: %w", err)
		}
		if h.seeds, err = newSeeds(config.Seeds, authority, log); err != nil {
			return nil, err
		}
	}
	if config.Records != "" {
		var err error
		if h.records, err = OpenRecords(config.Records); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// Server is a proxy that listens.
type Server struct {
	handler   *Handler
	listeners []net.Listener
	log       *slog.Logger
}

// Listen makes a proxy of a configuration. It listens at every address, or returns an error and listens at none.
func Listen(ctx context.Context, config Config, log *slog.Logger) (*Server, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	handler, err := NewHandler(config, log)
	if err != nil {
		return nil, err
	}
	s := &Server{handler: handler, log: log}
	for _, l := range config.Listen {
		listener, err := l.listen(ctx)
		if err != nil {
			s.close()
			return nil, err
		}
		s.listeners = append(s.listeners, listener)
	}
	return s, nil
}

// Addresses are where the server listens, in the order of the configuration.
func (s *Server) Addresses() []net.Addr {
	var addresses []net.Addr
	for _, l := range s.listeners {
		addresses = append(addresses, l.Addr())
	}
	return addresses
}

// Serve answers until ctx ends, and then lets running answers finish for a few seconds. It can be called once.
func (s *Server) Serve(ctx context.Context) error {
	server := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: 10 * time.Second,
		WriteTimeout:      patience, // blobs get more, by their size
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, l := range s.listeners {
		s.log.Info("serving", "address", l.Addr().String())
		group.Go(func() error {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serving at %s: %w", l.Addr(), err)
			}
			return nil
		})
	}
	group.Go(func() error {
		<-ctx.Done()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		if err := server.Shutdown(last); err != nil {
			return server.Close() // cuts off what is still running
		}
		return nil
	})
	return group.Wait()
}

// Serve listens at all addresses of a configuration and answers until ctx ends.
func Serve(ctx context.Context, config Config, log *slog.Logger) error {
	s, err := Listen(ctx, config, log)
	if err != nil {
		return err
	}
	return s.Serve(ctx)
}

func (s *Server) close() {
	for _, l := range s.listeners {
		l.Close()
	}
}

func (l Listener) listen(ctx context.Context) (net.Listener, error) {
	var pair tls.Certificate
	if l.Certificate != "" {
		var err error
		if pair, err = tls.LoadX509KeyPair(l.Certificate, l.Key); err != nil {
			return nil, fmt.Errorf("loading the certificate for %s: %w", l.Address, err)
		}
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", l.Address)
	if err != nil {
		return nil, fmt.Errorf("listening at %s: %w", l.Address, err)
	}
	if l.Certificate == "" {
		return listener, nil
	}
	return tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}), nil
}
