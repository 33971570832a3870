//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// bothFamilies reaches pods of both masters and nodes by the two addresses of a Service, from each host of a cluster with networks of both families.
func (r *road) bothFamilies(t *testing.T) {
	const service = `{"apiVersion":"v1","kind":"Service","metadata":{"name":"metrics","namespace":"kube-system"},
		"spec":{"ipFamilyPolicy":"RequireDualStack","selector":{"k8s-app":"kube-dns"},"ports":[{"port":9153}]}}`
	if _, err := r.lab.SSH(t.Context(), 1, []byte(service), "KUBECACHEDIR=/tmp/kubectl-cache kubectl apply -f -"); err != nil {
		t.Fatal(err)
	}
	addresses := strings.Fields(r.kubectl(t, "-n kube-system get service metrics -o jsonpath='{.spec.clusterIPs[*]}'"))
	pods := r.kubectl(t, `-n kube-system get pods -l k8s-app=kube-dns -o jsonpath='{range .items[*]}{range .status.podIPs[*]}{.ip}{"\n"}{end}{end}'`)
	addresses = append(addresses, strings.Fields(pods)...)
	if len(addresses) != 6 || strings.Count(strings.Join(addresses, " "), "fd00:") != 3 {
		t.Fatalf("the Service and its two pods have the addresses %v", addresses)
	}
	nodes := len(strings.Fields(r.kubectl(t, "get nodes -o name")))
	for i := 1; i <= nodes; i++ {
		for _, address := range addresses {
			r.metrics(t, i, address)
		}
	}
	r.kubectl(t, "-n kube-system delete service metrics")
}

// serviceLimit is how long rules for a new address may take to be on all hosts.
const serviceLimit = time.Minute

// metrics waits until a pod of the DNS answers a host at an address.
func (r *road) metrics(t *testing.T, i int, address string) {
	t.Helper()
	if strings.Contains(address, ":") {
		address = "[" + address + "]"
	}
	eventually(t, serviceLimit, func() error {
		_, err := r.lab.SSH(t.Context(), i, nil, fmt.Sprintf("curl -gsf -m 5 -o /dev/null 'http://%s:9153/metrics'", address))
		return err
	})
}

// nftables finds the services of kube-proxy in a table of its own on each host, also on one without nft, and nothing of them in those of iptables.
func (s *site) nftables(t *testing.T) {
	for i := 1; i <= 3; i++ {
		rules, err := s.lab.Rules(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"table ip kube-proxy {", "table ip6 kube-proxy {", "kube-system/kube-dns/tcp/dns"} {
			if !strings.Contains(rules, want) {
				t.Errorf("h%d: the rules lack %q", i, want)
			}
		}
		if strings.Contains(rules, "chain KUBE-SERVICES") {
			t.Errorf("h%d has rules of kube-proxy for iptables", i)
		}
	}
}
