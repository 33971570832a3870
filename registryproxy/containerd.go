package registryproxy

import (
	"fmt"
	"strings"
)

// DefaultHostsDir is the directory below containerd's config_path for every registry that has none of its own.
const DefaultHostsDir = "_default"

// HostsTOML returns the hosts.toml (containerd, docs/hosts.md) that sends the pulls of a registry to the proxy of the own host at the
// loopback address and then to each seed over TLS, verified against the authority file. containerd takes `server` last and, when it is
// missing, the registry itself: there is no route to that, and waiting for it would only hide the real answer. So the last
// of our own is the server.
func HostsTOML(loopback string, seeds []string, authority string) string {
	endpoints := []string{endpoint("http://"+loopback, "")}
	names := []string{"http://" + loopback}
	for _, seed := range seeds {
		names = append(names, "https://"+seed)
		endpoints = append(endpoints, endpoint("https://"+seed, authority))
	}
	last := len(names) - 1
	var b strings.Builder
	fmt.Fprintf(&b, "server = %q\n%s", names[last], endpoints[last])
	for i, name := range names[:last] {
		fmt.Fprintf(&b, "\n[host.%q]\n%s", name, endpoints[i])
	}
	return b.String()
}

func endpoint(name, authority string) string {
	settings := "capabilities = [\"pull\", \"resolve\"]\ndial_timeout = \"3s\"\n"
	if strings.HasPrefix(name, "https://") {
		settings += fmt.Sprintf("ca = %q\n", authority)
	}
	return settings
}
