package host

import "strings"

// Topic is something that facts.sh finds out about a host, or cannot.
type Topic string

// The topics. Of what else is in [Facts], nothing and not known are the same.
const (
	TopicHostname     Topic = "hostname"
	TopicMachineID    Topic = "machine-id"
	TopicBootID       Topic = "boot-id"
	TopicArchitecture Topic = "arch"
	TopicKernel       Topic = "kernel"
	TopicTime         Topic = "time"
	TopicInit         Topic = "init"
	TopicCPUs         Topic = "cpus"
	TopicMemory       Topic = "MemTotal"
	TopicSwap         Topic = "SwapTotal"
	TopicFileSystems  Topic = "file-systems"
	TopicCgroup       Topic = "cgroup"
	TopicAddresses    Topic = "addresses"
	TopicRoutes       Topic = "routes"
	TopicListeners    Topic = "listeners"
	TopicUnits        Topic = "units"
	TopicDirectories  Topic = "directories" // whether etcd and containerd have data
	TopicProcesses    Topic = "processes"
	TopicResolvConf   Topic = "resolv-conf"
	TopicNameservers  Topic = "nameservers"
	TopicNM           Topic = "network-manager" // what NetworkManager leaves alone
	TopicCommands     Topic = "commands"
)

// Topics returns all topics.
func Topics() []Topic {
	return []Topic{
		TopicHostname, TopicMachineID, TopicBootID, TopicArchitecture, TopicKernel, TopicTime, TopicInit, TopicCPUs, TopicMemory, TopicSwap, TopicFileSystems,
		TopicCgroup, TopicAddresses, TopicRoutes, TopicListeners, TopicUnits, TopicDirectories, TopicProcesses, TopicResolvConf, TopicNameservers, TopicNM, TopicCommands,
	}
}

// Knows reports whether the host reported a topic. If it did not, what [Facts] has of it means nothing.
func (f *Facts) Knows(topic Topic) bool {
	_, unknown := f.Unknown[topic]
	return !unknown
}

// unreported returns all topics, of which no line has been read yet.
func unreported() map[Topic]string {
	unknown := map[Topic]string{}
	for _, topic := range Topics() {
		unknown[topic] = "it reported nothing about it"
	}
	return unknown
}

// learn takes in what a line says about its topic being known. Other keys than those of topics change nothing.
func (f *Facts) learn(key, value string) {
	if key != "unknown" {
		delete(f.Unknown, Topic(key))
		return
	}
	topic, reason, _ := strings.Cut(value, " ")
	for _, known := range Topics() {
		if Topic(topic) == known {
			f.Unknown[known] = reason
		}
	}
}
