package phase

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/kubeadm/difference"
	"github.com/kubefile/kubefile/runner/reconfigure"
	"github.com/kubefile/kubefile/runner/state"
)

const (
	// apiDir is where the fake keeps what is in the API: on the first machine, so that it is compared and restored with its files.
	apiDir          = "/api/"
	certificateFile = "/etc/kubernetes/pki/apiserver.crt"
	// unhealthy is the name of an argument or a setting with which nothing gets healthy.
	unhealthy = "enableContentionProfiling"
)

// settingsWorld is what kubeadm, the kubelets and the API do when settings change.
type settingsWorld struct {
	on    bool
	beats int // of kubelets that were started again
}

func (s *settingsWorld) knows(line string) bool {
	if !s.on {
		return false
	}
	return slices.ContainsFunc([]string{"get configmap ", "replace -f -", "get pod kube-", "get daemonset kube-proxy", "patch daemonset ", "rollout status ", "get --raw /readyz"},
		func(prefix string) bool {
			return strings.HasPrefix(line, prefix) && !strings.HasPrefix(line, "replace -f - ")
		}) ||
		strings.HasPrefix(line, "get node ") && strings.Contains(line, "lastHeartbeatTime")
}

// runs reports whether a static pod of a machine is healthy.
func (f *machine) runs(part difference.Part) bool {
	manifest := f.get(execute.ManifestsDir + string(part) + ".yaml")
	return manifest != "" && !strings.Contains(manifest, unhealthy)
}

// api answers what only a change of settings asks. The world is locked.
func (s *settingsWorld) api(w *world, f *machine, line, stdin string) (string, int, bool) {
	words, first := strings.Fields(line), w.machines[0]
	if !f.runs(difference.PartAPIServer) {
		return "connection refused", 1, true
	}
	switch {
	case words[0] == "get" && words[1] == "configmap":
		text := first.get(apiDir + words[2])
		if text == "" {
			return "", 0, true
		}
		return text, 0, true
	case words[0] == "replace":
		var object struct {
			Metadata struct{ Name string }
		}
		if err := json.Unmarshal([]byte(stdin), &object); err != nil {
			return err.Error(), 1, true
		}
		f.note("kubectl replace configmap " + object.Metadata.Name)
		first.put(apiDir+object.Metadata.Name, stdin)
		return "", 0, true
	case words[1] == "pod":
		return s.pod(f, strings.TrimSuffix(words[2], "-"+f.node())), 0, true
	case words[1] == "daemonset" && words[0] == "get":
		return first.get(apiDir+"annotation") + "\t2\n", 0, true
	case words[0] == "patch":
		f.note("kubectl patch daemonset kube-proxy")
		var patch struct {
			Spec struct {
				Template struct {
					Metadata struct{ Annotations map[string]string }
				}
			}
		}
		if err := json.Unmarshal([]byte(words[len(words)-1]), &patch); err != nil {
			return err.Error(), 1, true
		}
		first.put(apiDir+"annotation", patch.Spec.Template.Metadata.Annotations[reconfigure.ProxyAnnotation])
		return "", 0, true
	case words[1] == "--raw" && len(words) > 3:
		if !slices.Contains(namesIn(f.get(certificateFile)), words[4]) {
			return "x509: certificate is valid for others", 1, true
		}
		return "ok", 0, true
	case words[1] == "node":
		ready := "True"
		for _, other := range w.machines {
			if other.node() == words[2] && strings.Contains(other.get(reconfigure.KubeletSettings), unhealthy) {
				ready = "False"
			}
		}
		return fmt.Sprintf("%s\t%d\n", ready, s.beats), 0, true
	}
	return "ok", 0, true
}

func (f *machine) put(name, content string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.files[name] = content
}

// pod is the API's copy of a static pod.
func (s *settingsWorld) pod(f *machine, component string) string {
	var pod map[string]any
	if err := yaml.Unmarshal([]byte(f.get(execute.ManifestsDir+component+".yaml")), &pod); err != nil || pod == nil {
		return ""
	}
	ready := map[bool]string{true: "True", false: "False"}[f.runs(difference.Part(component))]
	pod["status"] = map[string]any{"conditions": []any{map[string]string{"type": "Ready", "status": ready}}}
	return encode(pod)
}

// change does what a command does to files of kubeadm's on a machine.
func (s *settingsWorld) change(f *machine, argv []string, stdin string) {
	switch {
	case !s.on:
	case argv[0] == "sh" && argv[2] == scriptOf(f.t, "replace-file.sh"):
		f.put(argv[4], stdin)
	case argv[0] == "sh" && argv[2] == scriptOf(f.t, "renew-certificate.sh"):
		docs, err := kubeadm.Parse([]byte(stdin))
		if err != nil {
			f.t.Error(err)
			return
		}
		f.put(certificateFile, served(f.t, f, docs))
	case strings.HasSuffix(argv[0], "/kubeadm") && len(argv) > 4 && argv[3] == "control-plane":
		docs, err := kubeadm.Parse([]byte(stdin))
		if err != nil {
			f.t.Error(err)
			return
		}
		f.put(execute.ManifestsDir+"kube-"+argv[4]+".yaml", manifestOf(docs, difference.Part("kube-"+argv[4])))
	case strings.Join(argv, " ") == "systemctl restart kubelet":
		s.beats++
	}
}

// manifestOf is what kubeadm writes for a static pod.
func manifestOf(docs kubeadm.Documents, part difference.Part) string {
	section := map[difference.Part]string{difference.PartAPIServer: "apiServer", difference.PartControllerManager: "controllerManager", difference.PartScheduler: "scheduler"}[part]
	component, _ := docs[kubeadm.ClusterKind][section].(map[string]any)
	arguments, _ := component["extraArgs"].([]any)
	command := []string{string(part), "--own=x"}
	for _, a := range arguments {
		argument := a.(map[string]any)
		command = append(command, fmt.Sprintf("--%s=%s", argument["name"], argument["value"]))
	}
	return encode(map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"image": "i", "command": command}}}})
}

// served is a serving certificate as kubeadm makes it.
func served(t *testing.T, f *machine, docs kubeadm.Documents) string {
	t.Helper()
	names := []string{f.node(), f.host.String()}
	apiServer, _ := docs[kubeadm.ClusterKind]["apiServer"].(map[string]any)
	sans, _ := apiServer["certSANs"].([]any)
	for _, name := range sans {
		names = append(names, fmt.Sprint(name))
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// namesIn are the names of a certificate.
func namesIn(text string) (names []string) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil
	}
	names = certificate.DNSNames
	for _, ip := range certificate.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// configurable is a cluster that was made with a Clusterfile's documents of kubeadm, and what kubeadm leaves of it on hosts and in the API.
func configurable(t *testing.T, documents string, masters, nodes int) *park {
	t.Helper()
	p := untouched(t, artifact(t), authority(t), masters, nodes)
	first, _ := p.again(t, 1<<40, func() {})
	first.Site.Kubeadm = documentsOf(t, documents)
	if err := first.perform(t.Context()); err != nil {
		t.Fatal(err)
	}
	docs, err := kubeadm.Parse([]byte(p.machines[0].files[first.Members[0].Path(execute.InitConfig)]))
	if err != nil {
		t.Fatal(err)
	}
	for name, kept := range map[string]struct{ key, kind string }{"kubeadm-config": {"ClusterConfiguration", kubeadm.ClusterKind},
		"kubelet-config": {"kubelet", kubeadm.KubeletKind}, "kube-proxy": {"config.conf", kubeadm.ProxyKind}} {
		p.machines[0].files[apiDir+name] = encode(map[string]any{"metadata": map[string]any{"name": name, "resourceVersion": "1"},
			"data": map[string]any{kept.key: textOf(t, docs, kept.kind)}})
	}
	for _, f := range p.machines {
		f.units["kubelet"] = true
		f.files[reconfigure.KubeletSettings] = textOf(t, docs, kubeadm.KubeletKind) + "resolvConf: /of/" + f.node() + "\n"
		if f.host.Role == host.RoleMaster {
			for _, part := range []difference.Part{difference.PartAPIServer, difference.PartControllerManager, difference.PartScheduler} {
				f.files[execute.ManifestsDir+string(part)+".yaml"] = manifestOf(docs, part)
			}
			f.files[certificateFile] = served(t, f, docs)
		}
	}
	p.world.settings.on = true
	for _, m := range first.Members {
		if m.IsMaster() {
			address := m.Host.Address.String()
			p.world.leaving.etcd = append(p.world.leaving.etcd, etcdMember{ID: uint64(m.Index + 1), Name: m.Name,
				PeerURLs: []string{"https://" + address + ":2380"}, ClientURLs: []string{"https://" + address + ":2379"}})
		}
	}
	p.forget()
	return p
}

// scriptOf is a script of package reconfigure.
func scriptOf(t *testing.T, name string) string {
	t.Helper()
	script, err := os.ReadFile(filepath.Join("..", "reconfigure", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(script)
}

func textOf(t *testing.T, docs kubeadm.Documents, kind string) string {
	t.Helper()
	if docs[kind] == nil {
		docs = documentsOf(t, "kind: "+kind+"\n")
	}
	text, err := kubeadm.Documents{kind: docs[kind]}.YAML()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func documentsOf(t *testing.T, text string) kubeadm.Documents {
	t.Helper()
	docs, err := kubeadm.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return docs
}

// changed is a run with other documents on the machines, which is killed after so many commands.
func (p *park) changed(t *testing.T, documents string, limit int64, set func(*Cluster)) (*park, int64, error) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	next, n := p.again(t, limit, func() { cancel(errKilled) })
	next.Site.Kubeadm, next.Site.Plugins = documentsOf(t, documents), nil
	if set != nil {
		set(next.Cluster)
	}
	for _, one := range []Phase{&remember{next.Cluster}, &adaptImage{next.Cluster}, next.controlPlane(), next.reconfigure(), next.joinMasters(), &saveState{next.Cluster}} {
		if err := one.Run(ctx); err != nil {
			return next, n.Load(), fmt.Errorf("%s: %w", one.Title(), err)
		}
	}
	return next, n.Load(), nil
}

// wanted is what the state of the cluster has of its configuration.
func (p *park) wanted(t *testing.T) *state.Wanted {
	t.Helper()
	s, err := state.Parse(p.world.secret)
	if err != nil {
		t.Fatal(err)
	}
	return s.Wanted
}
