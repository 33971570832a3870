package reconfigure

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	_ "embed"
	"encoding/pem"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kube"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/kubeadm/difference"
	"github.com/kubefile/kubefile/runner/report"
	"github.com/kubefile/kubefile/runner/unit"
)

//go:embed renew-certificate.sh
var renewScript string

const (
	// renewDir is where a certificate is made, in the cluster's directory.
	renewDir = "new-certificate"
	// servedPatience is how long kube-apiserver may take to serve with another certificate, which it reads again by itself.
	servedPatience = 2 * time.Minute
	// changing is what SettingsMarker says before the first change.
	changing = "changing"
)

// eachMaster changes one master after the other. Every member of etcd that answered before has to answer after each.
func (p *Phase) eachMaster(ctx context.Context, config clusterConfig) error {
	var members []kube.Member
	for _, m := range p.Masters() {
		if !m.Joined {
			continue
		}
		before := len(p.Report.Changes())
		if members == nil && p.Stacked() && !p.DryRun {
			var err error
			if members, err = p.EtcdMembers(ctx); err != nil {
				return err
			}
		}
		for _, change := range []func(context.Context, *execute.Member) error{
			func(ctx context.Context, m *execute.Member) error { return p.controlPlane(ctx, m, config) },
			p.initFile,
			func(ctx context.Context, m *execute.Member) error { return p.kubelets(ctx, []*execute.Member{m}) },
		} {
			if err := change(ctx, m); err != nil {
				return err
			}
		}
		if p.DryRun || len(p.Report.Changes()) == before {
			continue
		}
		if err := p.etcdAnswers(ctx, m, members); err != nil {
			return err
		}
	}
	return nil
}

// etcdAnswers waits until all members of etcd answer that did before, as a master sees them.
func (p *Phase) etcdAnswers(ctx context.Context, m *execute.Member, before []kube.Member) error {
	if !p.Stacked() {
		return nil
	}
	why := errors.New("no answer")
	settled, err := execute.Until(ctx, execute.EtcdPatience, execute.PollInterval, func(ctx context.Context) (bool, error) {
		now, err := kube.Etcd{Kubectl: p.KubeOn(m), Node: m.Name}.Members(ctx)
		if ctx.Err() != nil {
			return false, nil
		}
		if why = err; err != nil {
			return false, nil
		}
		for _, was := range before {
			if was.Healthy && !slices.ContainsFunc(now, func(is kube.Member) bool { return is.ID == was.ID && is.Healthy }) {
				why = fmt.Errorf("its member %s does not answer", was)
			}
		}
		return why == nil, nil
	})
	if settled || err != nil {
		return err
	}
	return fmt.Errorf("%s: etcd does not answer as before within %s; run the same command again when it does: %w", m, execute.EtcdPatience, why)
}

// controlPlane changes the certificate and the static pods of a master.
func (p *Phase) controlPlane(ctx context.Context, m *execute.Member, config clusterConfig) error {
	if len(p.Settings.ofMasters()) == 0 {
		return nil
	}
	done, err := m.Marked(ctx, SettingsMarker, p.Settings.key())
	if err != nil || done {
		return err
	}
	if !p.DryRun {
		if err := m.Mark(ctx, SettingsMarker, changing); err != nil {
			return err
		}
	}
	if err := p.certificate(ctx, m, config.cluster); err != nil {
		return err
	}
	for _, part := range staticPods() {
		changes := p.Settings.of(part)
		if len(changes) == 0 {
			continue
		}
		err := p.Do(ctx, m, fmt.Sprintf("restart %s with %s", part, named(changes)), func(ctx context.Context) error {
			return p.staticPod(ctx, m, part, config.cluster)
		})
		if err != nil {
			return err
		}
	}
	if p.DryRun {
		return nil
	}
	return m.Mark(ctx, SettingsMarker, p.Settings.key())
}

// phaseConfig is the configuration for a phase of kubeadm init on a master that exists.
func (p *Phase) phaseConfig(m *execute.Member, cluster, certificatesDir string) ([]byte, error) {
	return kubeadm.PhaseConfig([]byte(cluster), *p.Kubeadm, p.KubeadmInit(m, *p.Kubeadm, p.Kubernetes), m.Marker != execute.InitMarker, certificatesDir)
}

// certificate renews the certificate of kube-apiserver if it has other names than it has to have.
func (p *Phase) certificate(ctx context.Context, m *execute.Member, cluster string) error {
	changes := p.Settings.of(difference.PartCertificate)
	if len(changes) == 0 {
		return nil
	}
	pki, err := kubeadm.CertificatesDir([]byte(cluster))
	if err != nil {
		return err
	}
	has, err := certificateOf(ctx, m, path.Join(pki, "apiserver.crt"))
	if err != nil {
		return err
	}
	wanted, removed := certificateNames(changes, p.KubeadmInit(m, *p.Kubeadm, p.Kubernetes).CertSANs)
	wanted = slices.DeleteFunc(wanted, func(name string) bool { return containsName(has, name) })
	removed = slices.DeleteFunc(removed, func(name string) bool { return !containsName(has, name) })
	if len(wanted)+len(removed) == 0 {
		return nil
	}
	what := "renew the certificate of kube-apiserver: " + strings.Join(slices.Concat(signed("+ ", wanted), signed("- ", removed)), " ")
	return p.Do(ctx, m, what, func(ctx context.Context) error {
		config, err := p.phaseConfig(m, cluster, m.Path(renewDir))
		if err != nil {
			return err
		}
		argv := []string{"sh", "-c", renewScript, "sh", pki, m.Path(renewDir), m.Program("kubeadm")}
		if err := p.Exec(ctx, m, host.Command{Argv: argv, Stdin: bytes.NewReader(config), Env: p.Environment(m).Variables(), Limit: execute.KubeadmLimit}); err != nil {
			return err
		}
		return p.served(ctx, m, wanted, removed)
	})
}

// signed are names with a sign before them, for a person.
func signed(sign string, names []string) (with []string) {
	for _, name := range names {
		with = append(with, sign+report.Cut(host.WithoutControls(name), maxSetting))
	}
	return with
}

// certificateOf returns the names and addresses of a certificate on a host; none when it is not there.
func certificateOf(ctx context.Context, m *execute.Member, file string) (names []string, err error) {
	content, err := m.Read(ctx, file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, nil
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: reading %s: %w", m, file, err)
	}
	names = certificate.DNSNames
	for _, address := range certificate.IPAddresses {
		names = append(names, address.String())
	}
	return names, nil
}

// served waits until kube-apiserver answers by the new names, and no longer by the others.
func (p *Phase) served(ctx context.Context, m *execute.Member, wanted, removed []string) error {
	ask := func(ctx context.Context, name string) error {
		_, err := p.KubeOn(m)(ctx, nil, "get", "--raw", "/readyz", "--tls-server-name", name, "--request-timeout=10s")
		return err
	}
	var why error
	ready, err := execute.Until(ctx, cmp.Or(p.HealthWait, servedPatience), execute.PollInterval, func(ctx context.Context) (bool, error) {
		was := why
		if _, why = p.KubeOn(m)(ctx, nil, "get", "--raw", "/readyz", "--request-timeout=10s"); why != nil {
			return false, nil
		}
		for _, name := range wanted {
			if !strings.HasPrefix(name, "*") && why == nil {
				why = ask(ctx, name)
			}
		}
		for _, name := range removed {
			if !strings.HasPrefix(name, "*") && why == nil && ask(ctx, name) == nil {
				why = fmt.Errorf("it still serves with a certificate for %s", name)
			}
		}
		if ctx.Err() != nil {
			why = was
			return false, nil
		}
		return why == nil, nil
	})
	if ready || err != nil {
		return err
	}
	return fmt.Errorf("kube-apiserver does not serve with its new certificate within %s; look at crictl ps -a and journalctl -u kubelet there, then run the same command again: %w",
		servedPatience, why)
}

// initFile changes the configuration of kubeadm that a master keeps for later runs.
func (p *Phase) initFile(ctx context.Context, m *execute.Member) error {
	old, err := m.Read(ctx, m.Path(execute.InitConfig))
	if err != nil || len(old) == 0 {
		return err // a later phase writes it
	}
	content, err := difference.PatchText(old, p.Settings.Applied, p.Settings.wanted, p.Kubernetes, kubeadm.ClusterKind, kubeadm.InitKind, kubeadm.KubeletKind, kubeadm.ProxyKind)
	if err != nil {
		return fmt.Errorf("%s: reading %s: %w", m, execute.InitConfig, err)
	}
	if content == nil {
		return nil
	}
	return p.Do(ctx, m, "write "+m.Path(execute.InitConfig), func(ctx context.Context) error {
		_, err := m.WriteFile(ctx, m.Path(execute.InitConfig), unit.SecretMode, content)
		return err
	})
}
