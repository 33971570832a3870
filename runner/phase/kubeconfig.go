package phase

import (
	"context"

	"github.com/kubefile/kubefile/runner/execute"
)

// kubeconfig lets root's kubectl work on every master. A file that is there already was made by someone else and stays.
type kubeconfig struct{ *Cluster }

func (*kubeconfig) Title() string { return "Install kubeconfig on the masters" }

const rootConfig = "/root/.kube/config"

func (p *kubeconfig) Run(ctx context.Context) error {
	return p.Each(ctx, p.Targeted(p.Masters()), func(ctx context.Context, m *execute.Member) error {
		there, err := m.Test(ctx, "-e", rootConfig)
		if err != nil || there {
			return err
		}
		return p.Do(ctx, m, "write "+rootConfig, func(ctx context.Context) error {
			content, err := m.Ask(ctx, "cat", execute.AdminConfig)
			if err != nil {
				return err
			}
			_, err = m.WriteKubeconfig(ctx, rootConfig, content)
			return err
		})
	})
}
