package phase

import "context"

// kubeconfig lets root's kubectl work on every master. A file that is there already was made by someone else and stays.
type kubeconfig struct{ *Cluster }

func (*kubeconfig) Title() string { return "Install kubeconfig on the masters" }

const rootConfig = "/root/.kube/config"

func (p *kubeconfig) Run(ctx context.Context) error {
	return p.each(ctx, p.targeted(p.masters()), func(ctx context.Context, m *member) error {
		there, err := m.holds(ctx, "test", "-e", rootConfig)
		if err != nil || there {
			return err
		}
		return p.Do(ctx, m, "write "+rootConfig, func(ctx context.Context) error {
			content, err := m.ask(ctx, "cat", adminConfig)
			if err != nil {
				return err
			}
			_, err = m.WriteKubeconfig(ctx, rootConfig, content)
			return err
		})
	})
}
