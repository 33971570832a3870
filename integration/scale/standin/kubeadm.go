package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	masterLabel = "node-role.kubernetes.io/control-plane"
	settings    = "/var/lib/kubelet/config.yaml"
)

// kubeadm writes the files that a kubeadm leaves on a host, and registers the node.
func kubeadm(args []string) error {
	switch {
	case len(args) > 1 && args[0] == "token" && args[1] == "create":
		fmt.Println("abcdef.0123456789abcdef")
		return nil
	case len(args) > 0 && args[0] == "register": // for a host that is a copy of another
		return register(false)
	case len(args) > 0 && (args[0] == "init" || args[0] == "join"):
		return become(args[0] == "init")
	}
	return fmt.Errorf("kubeadm %s is not replaced", strings.Join(args, " "))
}

// become makes the host a node.
func become(master bool) error {
	authority, err := os.ReadFile(filepath.Join(world, "ca.crt"))
	if err != nil {
		return err
	}
	config := fmt.Sprintf("apiVersion: v1\nkind: Config\nclusters:\n- cluster:\n    certificate-authority-data: %s\n    server: https://apiserver.cluster.local:6443\n",
		base64.StdEncoding.EncodeToString(authority))
	files := map[string]string{"/etc/kubernetes/kubelet.conf": config, settings: "kind: KubeletConfiguration\n", "/etc/kubernetes/pki/ca.crt": string(authority)}
	if master {
		files["/etc/kubernetes/admin.conf"] = config
		files["/var/lib/etcd/member/wal/0.wal"] = "x"
		for _, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
			files["/etc/kubernetes/manifests/"+name+".yaml"] = "kind: Pod\n"
		}
	}
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			return err
		}
	}
	return register(master)
}

// register makes the Node of the host.
func register(master bool) error {
	own, err := address()
	if err != nil {
		return err
	}
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	labels := map[string]any{"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
	if master {
		labels[masterLabel] = ""
	}
	return store("nodes", name, object{
		"kind":     "Node",
		"metadata": map[string]any{"name": name, "labels": labels},
		"spec":     map[string]any{},
		"status": map[string]any{
			"addresses":  []any{map[string]any{"type": "InternalIP", "address": own}, map[string]any{"type": "Hostname", "address": name}},
			"conditions": []any{map[string]any{"type": "Ready", "status": "True"}},
			"nodeInfo":   map[string]any{"kubeletVersion": kubernetes},
		},
	})
}
