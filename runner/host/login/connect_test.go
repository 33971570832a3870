package login

import (
	"testing"

	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/host/hosttest"
)

func testConnectReachesAllHosts(t *testing.T, s *sshServer) {
	hosttest.Sudo(t)
	s.Start(t, hosttest.Config{})
	var contacts []string
	gone := s.host("key")
	gone.Auth.Port = 1
	also := host.Question{Script: `printf '%s|' "$#" "$@"; echo end`, Args: []string{"it's", "$HOME", ""}}
	reports := host.Connect(t.Context(), s.dialer(&contacts).Dial, []host.Host{s.host("key"), gone, {Address: s.Address.Addr(), Local: true}}, "/var/lib", also)
	for i, ok := range []bool{true, false, true} {
		r := reports[i]
		if (r.Err == nil) != ok || (r.Facts != nil) != ok || (r.Conn != nil) != ok {
			t.Errorf("host %d: %+v", i, r)
		}
		if want := "3|it's|$HOME||end\n"; ok && string(r.Also) != want {
			t.Errorf("host %d answers %q to the other question, want %q", i, r.Also, want)
		}
		if r.Conn != nil {
			r.Conn.Close()
		}
	}
}
