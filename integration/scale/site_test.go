//go:build scale

package scale

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/kubefile/kubefile/registryproxy"
	"github.com/kubefile/kubefile/runner/balancer"
	"github.com/kubefile/kubefile/runner/host/hosttest"
)

// mounted is where the directory of the site is for all hosts.
const mounted = "/mnt"

// What the hosts' network has.
const (
	apiService = "10.96.0.1"
	dnsService = "10.96.0.10"
)

// site is hosts that share one machine: one sshd for all their addresses, and for each its own mounts and its own name.
type site struct {
	t     *testing.T
	hosts []netip.Addr // the first is the master
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t}
	s.run("mount", "--bind", t.TempDir(), mounted)
	t.Cleanup(func() { exec.Command("umount", "--lazy", mounted).Run() })
	s.network()
	s.programs()
	s.base()
	s.sshd()
	return s
}

// run runs a command that has to succeed.
func (s *site) run(argv ...string) string {
	s.t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return string(out)
}

func (s *site) write(name, content string, mode os.FileMode) {
	s.t.Helper()
	file := filepath.Join(mounted, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), mode); err != nil {
		s.t.Fatal(err)
	}
}

// network makes all addresses of hosts and services this machine's, in a network of its own.
func (s *site) network() {
	s.t.Helper()
	for _, line := range []string{
		"link set lo up", "link add eth0 type veth peer name eth1", "address add 10.90.255.254/16 dev eth0", "link set eth0 up", "link set eth1 up",
		"route add default dev eth0", "route add local 10.90.0.0/16 dev lo", "route add local 10.96.0.0/12 dev lo",
	} {
		s.run(append([]string{"ip"}, strings.Fields(line)...)...)
	}
	api, err := net.Listen("tcp", net.JoinHostPort(apiService, "443"))
	if err != nil {
		s.t.Fatal(err)
	}
	dns, err := net.ListenPacket("udp", net.JoinHostPort(dnsService, "53"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { api.Close(); dns.Close() })
	go accept(api)
	go answer(dns)
}

// accept accepts connections, and ends them.
func accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		conn.Close()
	}
}

// answer says that every name is the API's service.
func answer(c net.PacketConn) {
	packet := make([]byte, 1500)
	for {
		n, from, err := c.ReadFrom(packet)
		if err != nil {
			return
		}
		end := bytes.IndexByte(packet[12:n], 0) // of the name that is asked for; type and class follow
		if end < 0 || n < 12+end+5 {
			continue
		}
		reply := append([]byte{packet[0], packet[1], 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0}, packet[12:12+end+5]...)
		reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4)
		c.WriteTo(append(reply, netip.MustParseAddr(apiService).AsSlice()...), from)
	}
}

// programs compiles what runs on the hosts, and sealer-run.
func (s *site) programs() {
	s.t.Helper()
	for name, pkg := range map[string]string{"standin": "./standin", "sealer-run": "../../cmd/sealer-run"} {
		s.run("go", "build", "-buildvcs=false", "-ldflags", "-s -w", "-o", filepath.Join(mounted, "bin", name), pkg)
	}
	for _, name := range []string{"kubeadm", "kubectl"} {
		s.run("ln", "-s", "standin", filepath.Join(mounted, "bin", name))
	}
	for _, name := range []string{"enter.sh", "host.sh"} {
		s.run("cp", name, filepath.Join(mounted, "bin"))
	}
}

// base is what all hosts have before anything is installed, and what the programs on them know of the site.
func (s *site) base() {
	s.t.Helper()
	for _, dir := range []string{"etc/systemd/system", "var/lib", "root", "opt", "run/systemd/system"} {
		s.run("mkdir", "-p", filepath.Join(mounted, "base", dir))
	}
	for _, name := range []string{"passwd", "group", "os-release"} {
		s.run("cp", "-L", "/etc/"+name, filepath.Join(mounted, "base/etc", name))
	}
	s.run("cp", "-a", "/etc/alternatives", filepath.Join(mounted, "base/etc"))
	s.write("base/etc/hosts", "127.0.0.1 localhost\n", 0o644)
	s.write("base/etc/resolv.conf", "nameserver "+dnsService+"0\n", 0o644)
	for _, dir := range []string{"bin", "sbin"} {
		s.run("mkdir", "-p", filepath.Join(mounted, "shared", dir))
	}
	for _, name := range []string{"systemctl", "ip"} {
		s.run("ln", "-s", filepath.Join(mounted, "bin/standin"), filepath.Join(mounted, "shared/sbin", name))
	}
	s.write("world/ca.crt", s.authority(), 0o644)
	s.write("world/runs/"+registryproxy.Unit, s.address(0).String(), 0o644)
	s.write("world/runs/"+balancer.Unit, s.address(1).String(), 0o644)
}

// authority is a certificate that can be that of a cluster.
func (s *site) authority() string {
	s.t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kubernetes"}, IsCA: true, BasicConstraintsValid: true,
		NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// sshd serves all hosts.
func (s *site) sshd() {
	s.t.Helper()
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		s.t.Fatal(err)
	}
	hosttest.WriteKey(s.t, filepath.Join(mounted, "host_key"), "")
	login := hosttest.WriteKey(s.t, filepath.Join(mounted, "key"), "")
	s.write("authorized_keys", string(ssh.MarshalAuthorizedKey(login.PublicKey())), 0o600)
	s.write("sshd_config", fmt.Sprintf(`ListenAddress 0.0.0.0:22
HostKey %[1]s/host_key
AuthorizedKeysFile %[1]s/authorized_keys
ForceCommand %[1]s/bin/enter.sh
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
MaxStartups 1000
# As in hosttest: a bash that sshd starts must not read the tester's ~/.bashrc.
SetEnv SHLVL=1
`, mounted), 0o600)
	log, err := os.Create(filepath.Join(mounted, "sshd.log"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", filepath.Join(mounted, "sshd_config"))
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		s.t.Fatal("this test needs Debian's openssh-server (make packages): ", err)
	}
	s.t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
}

// address is that of the nth host, from 0.
func (s *site) address(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 90, byte(1 + n/200), byte(1 + n%200)})
}

// grow adds hosts until there are so many. What they have at first is in a directory.
func (s *site) grow(n int, disk string) {
	s.t.Helper()
	for i := len(s.hosts); i < n; i++ {
		address := s.address(i)
		dir := filepath.Join(mounted, "hosts", address.String())
		if err := os.MkdirAll(dir, 0o755); err != nil {
			s.t.Fatal(err)
		}
		var said bytes.Buffer
		cmd := exec.Command("unshare", "--mount", "--uts", "--propagation", "private",
			filepath.Join(mounted, "bin/host.sh"), address.String(), fmt.Sprintf("host-%d", i), disk)
		cmd.Stderr = &said
		if err := cmd.Start(); err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		s.await(filepath.Join(dir, "pid"), &said)
		s.hosts = append(s.hosts, address)
	}
}

// await waits for a file.
func (s *site) await(file string, said fmt.Stringer) {
	s.t.Helper()
	for range 3000 {
		if _, err := os.Stat(file); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.t.Fatalf("%s does not appear: %s", file, said)
}

// copyOf returns what is on the disk of a host, as the first content of the disks of others.
func (s *site) copyOf(n int) string {
	s.t.Helper()
	disk := filepath.Join(mounted, "disk")
	s.run("cp", "-a", filepath.Join(mounted, "base"), disk)
	s.run("cp", "-a", filepath.Join(mounted, "hosts", s.hosts[n].String(), "upper")+"/.", disk)
	return disk
}
