package execute

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kube"
)

// etcdAnswers is a host whose etcd has a healthy member h1, and a member h2.
type etcdAnswers struct{ idle }

func (c *etcdAnswers) Run(ctx context.Context, cmd host.Command) error {
	text := `[{"endpoint":"https://10.0.0.1:2379","health":true},{"endpoint":"https://10.0.0.2:2379","health":true}]`
	if slices.Contains(cmd.Argv, "member") {
		text = `{"members":[{"ID":1,"name":"h1","peerURLs":["https://10.0.0.1:2380"],"clientURLs":["https://10.0.0.1:2379"]},
			{"ID":2,"name":"h2","peerURLs":["https://10.0.0.2:2380"],"clientURLs":["https://10.0.0.2:2379"]}]}`
	}
	_, err := io.WriteString(cmd.Stdout, text)
	return err
}

// etcd may answer and still list the member that was removed.
func TestMemberStaysInEtcd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := reached(0)
		s.First().Conn, s.First().Name = &etcdAnswers{idle{s.First().Host}}, "h1"
		_, err := s.settledEtcd(t.Context(), kube.Member{ID: 2, Name: "h2"})
		if err == nil || !strings.Contains(err.Error(), "still lists") || strings.Contains(err.Error(), "%!") {
			t.Errorf("the error is %v, want that etcd still lists the member", err)
		}
	})
}
