package registryproxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// grace limits how long running responses may take when the proxy is stopped.
const grace = 5 * time.Second

// NewHandler returns the handler of a configuration, without its listeners.
func NewHandler(config Config, log *slog.Logger) (*Handler, error) {
	h := &Handler{stores: config.Stores, domain: config.Domain, log: log}
	if len(config.Seeds) > 0 {
		var err error
		if h.seeds, err = newSeeds(config, log); err != nil {
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
	sites []site
	log   *slog.Logger
}

// site is an address and what answers there.
type site struct {
	net.Listener
	http.Handler
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
	s := &Server{log: log}
	for _, l := range config.Listen {
		one, err := l.listen(ctx, handler)
		if err != nil {
			s.close()
			return nil, err
		}
		s.sites = append(s.sites, one)
	}
	return s, nil
}

// Addresses returns the addresses on which the server listens, in the order of the configuration.
func (s *Server) Addresses() []net.Addr {
	var addresses []net.Addr
	for _, one := range s.sites {
		addresses = append(addresses, one.Addr())
	}
	return addresses
}

// Serve answers until ctx ends, and then lets running answers finish for a few seconds. It can be called once.
func (s *Server) Serve(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, one := range s.sites {
		server := &http.Server{
			Handler:           one.Handler,
			ReadHeaderTimeout: 10 * time.Second,
			WriteTimeout:      patience, // blobs get more, by their size
			IdleTimeout:       2 * time.Minute,
			MaxHeaderBytes:    64 << 10,
			ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		}
		s.log.Info("serving", "address", one.Addr().String())
		group.Go(func() error {
			if err := server.Serve(one.Listener); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serving at %s: %w", one.Addr(), err)
			}
			return nil
		})
		group.Go(func() error {
			<-ctx.Done()
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
			defer cancel()
			if err := server.Shutdown(last); err != nil {
				return server.Close() // cuts off what is still running
			}
			return nil
		})
	}
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
	for _, one := range s.sites {
		one.Close()
	}
}

// listen opens the address for a handler.
func (l Listener) listen(ctx context.Context, handler http.Handler) (site, error) {
	var pair tls.Certificate
	var err error
	if l.Certificate != "" {
		if pair, err = tls.LoadX509KeyPair(l.Certificate, l.Key); err != nil {
			return site{}, fmt.Errorf("loading the certificate for %s: %w", l.Address, err)
		}
	}
	if l.Users != "" {
		if handler, err = newGuard(l.Users, handler); err != nil {
			return site{}, err
		}
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", l.Address)
	if err != nil {
		return site{}, fmt.Errorf("listening at %s: %w", l.Address, err)
	}
	if l.Certificate != "" {
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13})
	}
	return site{listener, handler}, nil
}
