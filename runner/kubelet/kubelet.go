// Package kubelet starts the kubelet of a host again, and finds in its journal why kubeadm waits for it in vain.
package kubelet

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"sigs.k8s.io/yaml"

	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/unit"
)

const settingsFile = "/var/lib/kubelet/config.yaml"

// Restart starts the kubelet again, and waits until it says that it is healthy.
func Restart(ctx context.Context, m *execute.Member) error {
	settings, err := m.Fetch(ctx, settingsFile)
	if err != nil {
		return err
	}
	questions, err := health(settings)
	if err != nil {
		return fmt.Errorf("reading %s: %w", settingsFile, err)
	}
	return unit.Restart(ctx, m, wire.Unit{Name: "kubelet", Answers: questions, Patience: unit.Patience})
}

// health asks where a kubelet with these settings says that it is healthy: by default at 127.0.0.1:10248, and nowhere with port 0
// (KubeletConfiguration, healthzBindAddress and healthzPort).
func health(settings []byte) ([]wire.Question, error) {
	config := struct {
		HealthzBindAddress string `json:"healthzBindAddress"`
		HealthzPort        *int   `json:"healthzPort"`
	}{}
	if err := yaml.Unmarshal(settings, &config); err != nil {
		return nil, err
	}
	port, address := 10248, net.ParseIP(config.HealthzBindAddress)
	if config.HealthzPort != nil {
		port = *config.HealthzPort
	}
	if address == nil || address.IsUnspecified() {
		address = net.IPv4(127, 0, 0, 1)
	}
	if port <= 0 {
		return nil, nil
	}
	return []wire.Question{{URL: "http://" + net.JoinHostPort(address.String(), strconv.Itoa(port)) + "/healthz"}}, nil
}
