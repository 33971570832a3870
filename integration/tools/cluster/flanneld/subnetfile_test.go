package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestReadSubnetFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "subnet.env")
	before, err := readSubnetFile(file)
	if err != nil || !before.network.Empty() || !before.subnet.Empty() || !before.network6.Empty() || !before.subnet6.Empty() {
		t.Fatalf("without a file: %+v, %v", before, err)
	}
	text := "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.1.1/24\n" +
		"FLANNEL_IPV6_NETWORK=fd00::/48\nFLANNEL_IPV6_SUBNET=fd00:0:0:2::1/64\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	before, err = readSubnetFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ got, want string }{
		{before.network.String(), "10.244.0.0/16"},
		{before.subnet.String(), "10.244.1.0/24"},
		{before.network6.String(), "fd00::/48"},
		{before.subnet6.String(), "fd00:0:0:2::/64"},
	} {
		if test.got != test.want {
			t.Errorf("got %s, want %s", test.got, test.want)
		}
	}
	if err := os.WriteFile(file, []byte("FLANNEL_NETWORK=10.244\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readSubnetFile(file); err == nil {
		t.Error("a damaged file was accepted")
	}
}
