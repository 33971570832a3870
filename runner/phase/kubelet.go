package phase

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"sigs.k8s.io/yaml"

	"github.com/kubefile/kubefile/runner/agent"
)

const kubeletSettings = "/var/lib/kubelet/config.yaml"

// restartKubelet starts the kubelet again, and waits until it says that it is healthy.
func (m *member) restartKubelet(ctx context.Context) error {
	settings, err := m.fetch(ctx, kubeletSettings)
	if err != nil {
		return err
	}
	questions, err := kubeletHealth(settings)
	if err != nil {
		return fmt.Errorf("reading %s: %w", kubeletSettings, err)
	}
	return m.restart(ctx, agent.Unit{Name: "kubelet", Answers: questions, Patience: unitPatience})
}

// kubeletHealth asks where a kubelet with these settings says that it is healthy: by default at 127.0.0.1:10248, and nowhere with port 0
// (KubeletConfiguration, healthzBindAddress and healthzPort).
func kubeletHealth(settings []byte) ([]agent.Question, error) {
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
	return []agent.Question{{URL: "http://" + net.JoinHostPort(address.String(), strconv.Itoa(port)) + "/healthz"}}, nil
}
