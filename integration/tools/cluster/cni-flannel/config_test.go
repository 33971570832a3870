package main

import (
	"encoding/json"
	"testing"
)

const ipv4Env = "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.1.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n"

func TestDelegate(t *testing.T) {
	for _, test := range []struct{ name, conf, env, want string }{
		{
			name: "upstream's manifest",
			conf: `{"cniVersion":"1.0.0","name":"cbr0","type":"flannel","delegate":{"hairpinMode":true,"isDefaultGateway":true}}`,
			env:  ipv4Env,
			want: `{"cniVersion":"1.0.0","hairpinMode":true,"ipMasq":false,` +
				`"ipam":{"ranges":[[{"subnet":"10.244.1.0/24"}]],"routes":[{"dst":"10.244.0.0/16"}],"type":"host-local"},` +
				`"isDefaultGateway":true,"isGateway":true,"mtu":1450,"name":"cbr0","type":"bridge"}`,
		},
		{
			name: "the user's values win",
			conf: `{"cniVersion":"0.3.1","name":"n","runtimeConfig":{"mac":"00:11:22:33:44:55"},"delegate":{"type":"ptp",` +
				`"mtu":1400,"ipMasq":false,"ipam":{"dataDir":"/d","routes":[{"dst":"0.0.0.0/0"}]}}}`,
			env: "FLANNEL_NETWORK=10.1.0.0/16\nFLANNEL_SUBNET=10.1.2.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n",
			want: `{"cniVersion":"0.3.1","ipMasq":false,` +
				`"ipam":{"dataDir":"/d","ranges":[[{"subnet":"10.1.2.0/24"}]],` +
				`"routes":[{"dst":"10.1.0.0/16"},{"dst":"0.0.0.0/0"}],"type":"host-local"},` +
				`"mtu":1400,"name":"n","runtimeConfig":{"mac":"00:11:22:33:44:55"},"type":"ptp"}`,
		},
		{
			name: "two families, the plugin masquerades",
			conf: `{"cniVersion":"1.0.0","name":"n"}`,
			env: "FLANNEL_NETWORK=10.1.0.0/16\nFLANNEL_SUBNET=10.1.2.1/24\nFLANNEL_IPV6_NETWORK=fd00::/48\n" +
				"FLANNEL_IPV6_SUBNET=fd00:0:0:2::1/64\nFLANNEL_MTU=1430\nFLANNEL_IPMASQ=false\n",
			want: `{"cniVersion":"1.0.0","ipMasq":true,"ipam":{"ranges":[[{"subnet":"10.1.2.0/24"}],[{"subnet":"fd00:0:0:2::/64"}]],` +
				`"routes":[{"dst":"10.1.0.0/16"},{"dst":"fd00::/48"}],"type":"host-local"},` +
				`"isGateway":true,"mtu":1430,"name":"n","type":"bridge"}`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			conf, err := parseConfig([]byte(test.conf))
			if err != nil {
				t.Fatal(err)
			}
			env, err := parseSubnetEnv(test.env)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(conf.delegate(env))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != test.want {
				t.Errorf("got\n%s, want\n%s", got, test.want)
			}
		})
	}
}

func TestBadInputIsRefused(t *testing.T) {
	for _, conf := range []string{`{`, `{"delegate":{"name":"other"}}`, `{"delegate":"bridge"}`} {
		if _, err := parseConfig([]byte(conf)); err == nil {
			t.Errorf("configuration %s was accepted", conf)
		}
	}
	for _, env := range []string{
		"",
		"FLANNEL_NETWORK=10.1.0.0/16\nFLANNEL_MTU=1450\n",
		"FLANNEL_NETWORK=10.1.0.0/16\nFLANNEL_SUBNET=10.1.2.1/24\n",
		"FLANNEL_NETWORK=10.1.0.0\nFLANNEL_SUBNET=10.1.2.1/24\nFLANNEL_MTU=1450\n",
		ipv4Env + "FLANNEL_IPMASQ=perhaps\n",
	} {
		if _, err := parseSubnetEnv(env); err == nil {
			t.Errorf("subnet file %q was accepted", env)
		}
	}
}

func FuzzParseSubnetEnv(f *testing.F) {
	f.Add(ipv4Env)
	f.Add("FLANNEL_IPV6_NETWORK=fd00::/48\nFLANNEL_IPV6_SUBNET=fd00:0:0:2::1/64\nFLANNEL_MTU=1\n")
	f.Fuzz(func(t *testing.T, text string) {
		env, err := parseSubnetEnv(text)
		if err == nil && (len(env.subnets) == 0 || env.mtu == 0) {
			t.Errorf("%q gave %+v", text, env)
		}
	})
}
