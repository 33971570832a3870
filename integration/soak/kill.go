package main

import (
	"fmt"
	"iter"
	"math/rand/v2"
)

// killLimit is how long a row may take: a run that loses a host ends when it has waited for that host for a while.
const killLimit = "55m"

// killCases disturb bring-ups of a cluster of two masters and a node, each in another way. With more rows than time, another seed has others.
func killCases(s settings) iter.Seq[Case] {
	rows := killRows()
	rand.New(rand.NewPCG(s.Seed, 0)).Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	return func(yield func(Case) bool) {
		for _, row := range rows {
			c := test(s, "integration/e2e", "^TestClusters$", "-test.timeout="+killLimit, "-disturb="+row, fmt.Sprintf("-seed=%d", s.Seed))
			c.Name, c.Seed = row, s.Seed
			if !yield(c) {
				return
			}
		}
	}
}

// killPhase is a phase of a bring-up that changes hosts.
type killPhase struct {
	title         string
	masters, node bool // changes such hosts
	long          bool // is under way for a while, with data or a command of which much depends on the connection
}

// killPhases are those that change hosts, in their order.
func killPhases() []killPhase {
	return []killPhase{
		{title: "Install the agent", masters: true, node: true, long: true},
		{title: "Transfer", masters: true, node: true, long: true},
		{title: "Write the site's files", masters: true, node: true},
		{title: "Update /etc/hosts", masters: true, node: true},
		{title: "Prepare the hosts", masters: true, node: true, long: true},
		{title: "Start the registry", masters: true, node: true},
		{title: "Adapt to the hosts' network", masters: true, node: true},
		{title: "Start the control plane", masters: true, long: true},
		{title: "Join the masters", masters: true, long: true},
		{title: "Start the API proxies", node: true},
		{title: "Join the nodes", node: true, long: true},
		{title: "Install kubeconfig on the masters", masters: true},
		{title: "Label the nodes", masters: true},
		{title: "Start the network", masters: true},
		{title: "Run the image's commands", masters: true, long: true},
		{title: "Save the cluster's state", masters: true},
	}
}

// severalFaults is a row in which each run but the last one has another fault.
const severalFaults = "killed:Transfer+power-cut-of-node:Prepare the hosts+connection-reset:Start the control plane+" +
	"power-cut-of-master:Join the masters+killed-before:Join the nodes+connection-lost:Run the image's commands"

// killRows are all rows: what happens, and in which phase. The test of them has the faults.
func killRows() []string {
	rows := []string{"every-step", severalFaults, "comes-back-empty:node", "comes-back-empty:first-master"}
	phases := killPhases()
	for i, p := range phases {
		rows = append(rows, "killed-before:"+p.title)
		if i < len(phases)-1 { // the last one is over before a moment has passed
			rows = append(rows, "killed:"+p.title)
		}
		if p.masters {
			rows = append(rows, "power-cut-of-master:"+p.title)
		}
		if p.node {
			rows = append(rows, "power-cut-of-node:"+p.title)
		}
		if p.long {
			rows = append(rows, "connection-reset:"+p.title, "connection-lost:"+p.title)
		}
	}
	return rows
}
