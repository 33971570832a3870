package registryproxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kubefile/kubefile/imagespec"
)

// Unit is the name of the systemd unit that runs the proxy on a host.
const Unit = "kubefile-registry.service"

// Config is what the proxy of one host does.
type Config struct {
	// Store is the directory with the embedded images; empty on hosts that hold none.
	Store string `json:"store,omitempty"`
	// Listen are the addresses to serve at.
	Listen []Listener `json:"listen"`
	// Seeds are the other hosts that hold the images, as host:port, asked over TLS in this order.
	Seeds []string `json:"seeds,omitempty"`
	// Authority is the file of the certificate authority that seeds are verified against.
	Authority string `json:"authority,omitempty"`
	// Records is the directory for what was served and missed; empty for none.
	Records string `json:"records,omitempty"`
}

// Listener is one address. Without a certificate it speaks plain HTTP, which only a loopback address may.
type Listener struct {
	Address     string `json:"address"` // host:port
	Certificate string `json:"certificate,omitempty"`
	Key         string `json:"key,omitempty"`
}

// ParseConfig reads and checks a configuration; unknown fields are errors.
func ParseConfig(data []byte) (Config, error) {
	var config Config
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&config); err != nil {
		return config, fmt.Errorf("registry configuration: %w", err)
	}
	if len(config.Listen) == 0 {
		return config, errors.New("registry configuration: listen is empty")
	}
	for _, l := range config.Listen {
		if err := l.check(); err != nil {
			return config, err
		}
	}
	if len(config.Seeds) > 0 && config.Authority == "" {
		return config, errors.New("registry configuration: seeds without authority")
	}
	return config, nil
}

func (l Listener) check() error {
	host, _, err := net.SplitHostPort(l.Address)
	if err != nil {
		return fmt.Errorf("registry configuration: listen: %w", err)
	}
	if (l.Certificate == "") != (l.Key == "") {
		return fmt.Errorf("registry configuration: %s: certificate and key go together", l.Address)
	}
	if ip := net.ParseIP(host); l.Certificate == "" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("registry configuration: %s: plain HTTP is for loopback addresses only", l.Address)
	}
	return nil
}

// NewHandler returns the handler of a configuration, without its listeners.
func NewHandler(config Config, log *slog.Logger) (*Handler, error) {
	h := &Handler{log: log}
	if config.Store != "" {
		root, err := os.OpenRoot(config.Store)
		if err != nil {
			return nil, fmt.Errorf("opening the store: %w", err)
		}
		h.store = imagespec.NewStore(root.FS())
	}
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

// Serve answers on all addresses until ctx ends, and then lets running answers finish for a few seconds.
func Serve(ctx context.Context, config Config, log *slog.Logger) error {
	handler, err := NewHandler(config, log)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, l := range config.Listen {
		listener, err := l.listen(ctx)
		if err != nil {
			return err
		}
		server := &http.Server{
			Handler:           handler,
			ReadHeaderTimeout: 10 * time.Second,
			IdleTimeout:       2 * time.Minute,
			MaxHeaderBytes:    64 << 10,
			ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		}
		log.Info("serving", "address", l.Address, "tls", l.Certificate != "")
		group.Go(func() error {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serving at %s: %w", l.Address, err)
			}
			return nil
		})
		group.Go(func() error {
			<-ctx.Done()
			grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			return server.Shutdown(grace)
		})
	}
	return group.Wait()
}

func (l Listener) listen(ctx context.Context) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", l.Address)
	if err != nil {
		return nil, fmt.Errorf("listening at %s: %w", l.Address, err)
	}
	if l.Certificate == "" {
		return listener, nil
	}
	pair, err := tls.LoadX509KeyPair(l.Certificate, l.Key)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("loading the certificate for %s: %w", l.Address, err), listener.Close())
	}
	return tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}), nil
}
