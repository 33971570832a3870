package wire

// Probe is what a host is asked to reach.
type Probe struct {
	Service string `json:"service"`       // address and port of the API's service
	DNS     string `json:"dns,omitempty"` // address of the cluster's DNS, with a port other than 53; empty: nothing is looked up
	Name    string `json:"name,omitempty"`
}

// Probed is what a host could reach, and what on it may be the reason if it could not.
type Probed struct {
	Service string `json:"service,omitempty"` // why it was not reached
	Lookup  string `json:"lookup,omitempty"`  // why the name was not found
	NoRoute bool   `json:"noRoute,omitempty"` // the host has no route to the service

	NoDefaultRoute bool      `json:"noDefaultRoute,omitempty"` // of the service's address family
	ResolvConf     string    `json:"resolvConf"`               // the file from which pods have their nameservers
	Nameservers    []string  `json:"nameservers,omitempty"`
	Networks       []Network `json:"networks,omitempty"` // in the order in which the runtime prefers them
}

// Network is a file that configures the network of pods.
type Network struct {
	File     string   `json:"file"`
	Prefixes []string `json:"prefixes,omitempty"` // that are written in it
}
