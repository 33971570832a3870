package join

import (
	"context"
	"encoding/json"
	"fmt"
	"net"

	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/balancer"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/store"
	"github.com/kubefile/kubefile/runner/unit"
)

// APIProxy gives every node a load balancer of its own over the API servers of all masters, so that no node depends on one master and
// no address has to move.
type APIProxy struct {
	*execute.Session
	*store.Store
}

// Title says what the phase does, for a person.
func (*APIProxy) Title() string { return "Start the API proxies" }

// proxyAddress is where a proxy listens.
const proxyAddress = "127.0.0.1"

// Run installs it on all nodes of the run.
func (p *APIProxy) Run(ctx context.Context) error {
	config := balancer.Config{Listen: []string{net.JoinHostPort(proxyAddress, execute.APIPort)}}
	for _, address := range p.MasterAddresses(p.Session) {
		config.Backends = append(config.Backends, net.JoinHostPort(address.String(), execute.APIPort))
	}
	p.warn()
	encoded, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return err
	}
	encoded = append(encoded, '\n') // here: the hosts share it
	return p.Each(ctx, p.Nodes(), func(ctx context.Context, m *execute.Member) error {
		files := []unit.File{
			{Path: m.Path(balancer.ConfigFile), Mode: 0o644, Content: encoded, Restart: true},
			{Path: unit.Dir + balancer.Unit, Mode: 0o644, Content: fmt.Appendf(nil, proxyUnit, wire.Path, m.Path(balancer.ConfigFile), unit.ProtectHome(m.Dir)), Restart: true},
		}
		return unit.Service{Name: balancer.Unit, Files: files, Answers: []wire.Question{{URL: "tcp://" + config.Listen[0]}}}.Install(ctx, p.Session, m)
	})
}

// warn names nodes that do not learn of a new master because they are not part of this run.
func (p *APIProxy) warn() {
	for _, other := range p.Staying(p.Session) {
		for _, m := range p.Masters() {
			if other.Role == string(host.RoleNode) && !p.State.Complete(m.Host.Address) && len(p.State.Hosts) > 0 {
				p.Report.Line(other.Address.String(), fmt.Sprintf("warning: not part of this run, so its API proxy does not know the new master %s: include it in the next run", m))
			}
		}
	}
}

// proxyUnit takes the agent's path, the configuration's, and the value of ProtectHome.
const proxyUnit = `[Unit]
Description=The API of the cluster on this node, from whichever master answers
After=network-online.target
Wants=network-online.target
Before=kubelet.service

[Service]
ExecStart=%s apiserver-proxy serve --config %s
Restart=always
RestartSec=2
NoNewPrivileges=true
ProtectHome=%s
PrivateTmp=true

[Install]
WantedBy=multi-user.target
`
