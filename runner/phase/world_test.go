package phase

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kube"
	"github.com/kubefile/kubefile/runner/store"
)

const (
	authorityFile = "/etc/kubernetes/pki/ca.crt"
	etcdFile      = "/var/lib/etcd/member/snap/db"
)

// world is the API of the machines' clusters: a machine with an admin.conf answers, and lists the machines whose kubelets trust the same
// authority.
type world struct {
	machines []*machine

	mu      sync.Mutex
	down    bool // no API answers
	starts  int  // so many questions are asked before one does
	secret  []byte
	version int
	// beforeWrite happens before the next write of the Secret.
	beforeWrite func()
	gone        map[string]bool   // nodes that somebody removed
	elsewhere   map[string]string // nodes of other machines, with their addresses
	missing     string            // an object that kubeadm init did not make
	leaving     leavingWorld
	settings    settingsWorld
	unmarked    map[*machine]bool // masters whose nodes lost their label with the disk
}

func (f *machine) has(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, there := f.files[name]
	return there
}

func (f *machine) get(name string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.files[name]
}

// node is the name of the machine's node.
func (f *machine) node() string { return cmp.Or(f.named, "h"+f.host.String()[len("10.0.0."):]) }

// api answers kubectl on a machine, for what phases ask about the state and about single nodes.
func (w *world) api(f *machine, argv []string, stdin string) (string, int, bool) {
	if w == nil || !strings.HasSuffix(argv[0], "/kubectl") {
		return "", 0, false
	}
	var args []string
	for i := 1; i < len(argv); i++ {
		switch {
		case slices.Contains([]string{"--kubeconfig", "--cache-dir", "--namespace"}, argv[i]):
			i++
		case !strings.HasPrefix(argv[i], "--request-timeout") && argv[i] != "--ignore-not-found":
			args = append(args, argv[i])
		}
	}
	line := strings.Join(args, " ")
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.down || w.starts > 0:
		w.starts--
		return "connection refused", 1, true
	case w.settings.knows(line):
		return w.settings.api(w, f, line, stdin)
	case w.leaving.knows(line):
		return w.leaving.api(w, f, line)
	case strings.HasPrefix(line, "get node "):
		one := w.single(f, args[2], args[4])
		return one, 0, one != "" || f.answer == nil
	case strings.HasPrefix(line, "delete node "):
		return "", 0, false
	case line == "get secret "+store.SecretName+" -o json":
		if w.version == 0 {
			return "", 0, true
		}
		return w.object(), 0, true
	case strings.HasSuffix(line, " -f - -o jsonpath={.metadata.resourceVersion}"):
		return w.write(args[0], stdin)
	case w.missing != "" && strings.Contains(line, w.missing):
		return "not found", 1, true
	}
	return "", 0, false
}

// nodes are the nodes of the machine's cluster.
func (w *world) nodes(f *machine) (names []string) {
	if !f.has(execute.AdminConfig) {
		return nil
	}
	for _, other := range w.machines {
		if other.has(execute.KubeletConfig) && other.get(execute.KubeletConfig) == f.get(execute.KubeletConfig) && !w.gone[other.node()] {
			names = append(names, other.node())
		}
	}
	for name := range w.elsewhere {
		names = append(names, name)
	}
	return names
}

// address is where a node is.
func (w *world) address(name string) string {
	address := w.elsewhere[name]
	for _, other := range w.machines {
		if other.node() == name && address == "" {
			address = other.host.String()
		}
	}
	return address
}

func (w *world) single(f *machine, name, format string) string {
	if !slices.Contains(w.nodes(f), name) {
		return ""
	}
	if format == "name" {
		return "node/" + name
	}
	labels := map[string]string{}
	for _, other := range w.machines {
		if other.node() == name && w.elsewhere[name] == "" && other.has(etcdFile) && !w.leaving.unlabelled[name] {
			labels[kube.ControlPlaneLabel] = ""
		}
	}
	return encode(map[string]any{"metadata": map[string]any{"name": name, "labels": labels}, "status": w.status(name)})
}

// status is that of a node.
func (w *world) status(name string) map[string]any {
	ready := map[bool]string{true: "True", false: "Unknown"}[w.leaving.ready[name]]
	return map[string]any{"addresses": []any{map[string]string{"type": "InternalIP", "address": w.address(name)}},
		"conditions": []any{map[string]string{"type": "Ready", "status": ready}}}
}

func (w *world) object() string {
	text, _ := json.Marshal(kube.Secret{Metadata: kube.SecretMetadata{ResourceVersion: strconv.Itoa(w.version)}, Data: map[string][]byte{store.File: w.secret}})
	return string(text)
}

// write is what the API does with a Secret, by its version.
func (w *world) write(verb, manifest string) (string, int, bool) {
	if do := w.beforeWrite; do != nil {
		w.beforeWrite = nil
		do()
	}
	var object kube.Secret
	if err := json.Unmarshal([]byte(manifest), &object); err != nil {
		return err.Error(), 1, true
	}
	version, _ := strconv.Atoi(object.Metadata.ResourceVersion)
	switch {
	case verb == "create" && w.version > 0:
		return "Error from server (AlreadyExists): secrets exists", 1, true
	case version != w.version:
		return "Error from server (Conflict): the object has been modified", 1, true
	}
	w.version++
	w.secret = object.Data[store.File]
	return strconv.Itoa(w.version), 0, true
}

// effect is what kubeadm does to the files of a host.
func (f *machine) effect(argv []string) {
	if at := slices.IndexFunc(argv, func(arg string) bool { return strings.HasSuffix(arg, "/"+hostrecord.WorkLock) }); at >= 0 {
		argv = argv[at+1:]
	}
	if f.world != nil && strings.Join(argv, " ") == "systemctl restart kubelet" {
		f.world.mu.Lock()
		delete(f.world.gone, f.node()) // the kubelet registers it
		f.world.mu.Unlock()
	}
	if f.world != nil && slices.Contains(argv, "patch") {
		f.world.mu.Lock()
		for _, other := range f.world.machines {
			if slices.Contains(argv, other.node()) {
				delete(f.world.unmarked, other)
			}
		}
		f.world.mu.Unlock()
	}
	if f.world == nil || len(argv) < 2 || !strings.HasSuffix(argv[0], "/bin/kubeadm") || argv[1] == "init" && argv[2] == "phase" {
		return
	}
	f.world.mu.Lock()
	if argv[1] == "join" {
		delete(f.world.gone, f.node())
	}
	f.world.leaving.kubeadm(f, argv)
	f.world.mu.Unlock()
	authority := f.world.machines[0].get(authorityFile)
	f.mu.Lock()
	defer f.mu.Unlock()
	master := f.host.Role == host.RoleMaster
	switch argv[1] {
	case "init", "join":
		f.files[execute.KubeletConfig] = authority
		if master {
			f.files[execute.AdminConfig], f.files[execute.EtcdManifest], f.files[etcdFile] = "x", "x", "x"
		}
	case "reset":
		for _, name := range []string{execute.KubeletConfig, execute.AdminConfig, execute.EtcdManifest} {
			delete(f.files, name)
		}
		if !slices.Contains(argv, "--skip-phases=remove-etcd-member") {
			for name := range f.files {
				if strings.HasPrefix(name, host.EtcdDir+"/") {
					delete(f.files, name)
				}
			}
		}
	}
}

// facts is what facts.sh prints.
func (f *machine) facts() string {
	lines := []string{usualFacts + "hostname\t" + f.node(), "address\t" + f.host.String() + "/24 eth0"}
	for name := range f.files {
		switch {
		case strings.HasPrefix(name, "/etc/kubernetes/") && name != authorityFile:
			lines = append(lines, "cluster\t"+name)
		case strings.HasPrefix(name, host.EtcdDir+"/"):
			lines = append(lines, "data\t"+host.EtcdDir)
			if strings.HasSuffix(name, ".snap") {
				lines = append(lines, "etcd-grown\t1")
			}
		}
	}
	if config := f.files[execute.KubeletConfig]; config != "" {
		lines = append(lines, "kubelet-ca\t"+base64.StdEncoding.EncodeToString([]byte(config)), "kubelet-server\thttps://"+f.host.String()+":6443")
	}
	for name, active := range f.units {
		if active {
			lines = append(lines, "process\t"+strings.TrimSuffix(name, ".service"))
		}
	}
	return strings.Join(lines, "\n") + "\nend\tfacts\n"
}

// look is what lookScript prints.
func (f *machine) look(args []string) string {
	var words []string
	under := func(dir string) bool {
		for name := range f.files {
			if strings.HasPrefix(name, dir+"/") {
				return true
			}
		}
		return false
	}
	for what, there := range map[string]bool{"agent": f.files[args[0]] != "", "dir": under(args[1]), "full": under(args[1]), "image": under(args[2]),
		"journal": f.files[args[1]+"/"+args[3]] != ""} {
		if there {
			words = append(words, what)
		}
	}
	for _, marker := range args[6:] {
		if f.files[marker] != "" {
			words = append(words, marker)
		}
	}
	if record := f.files[args[1]+"/"+args[5]]; record != "" {
		words = append(words, "record", record)
	}
	return strings.Join(words, "\n") + "\n\nend\n"
}

// begin is what the agent does to record that something begins.
func (f *machine) begin(raw string) string {
	var request struct{ Dir, Cluster, ID, What string }
	if err := json.Unmarshal([]byte(raw), &request); err != nil {
		f.t.Error(err)
	}
	record := hostrecord.Record{Version: 1, Cluster: request.Cluster, ID: request.ID}
	name := request.Dir + "/" + hostrecord.RecordFile
	if old := f.files[name]; old != "" {
		if err := json.Unmarshal([]byte(old), &record); err != nil {
			f.t.Error(err)
		}
	}
	if record.Of(request.Cluster, request.ID) && !record.HasBegun(request.What) {
		record.Begun = append(record.Begun, request.What)
	}
	text, err := json.Marshal(record)
	if err != nil {
		f.t.Error(err)
	}
	f.files[name] = string(text)
	return fmt.Sprintf(`{"record":%s}`, text)
}
