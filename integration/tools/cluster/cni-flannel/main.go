// Command flannel is the CNI plugin of type "flannel": it reads the node's subnet from the file that flanneld writes and lets
// the bridge plugin with host-local addresses do the work. Upstream's plugin is not on the Go module proxy; configuration and
// behaviour on Linux are those of https://github.com/flannel-io/cni-plugin.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/version"
	"github.com/containernetworking/plugins/pkg/utils/buildversion"
)

// timeout bounds one call of the delegate; the container runtime's own limit is longer.
const timeout = time.Minute

func main() {
	skel.PluginMainFuncs(skel.CNIFuncs{Add: add, Check: check, Del: del},
		version.PluginSupports("0.3.0", "0.3.1", "0.4.0", "1.0.0"), buildversion.BuildString("flannel"))
}

// add keeps the delegate's configuration, so that DEL and CHECK see the same one whatever happened to the subnet since.
func add(args *skel.CmdArgs) error {
	conf, err := parseConfig(args.StdinData)
	if err != nil {
		return err
	}
	env, err := readSubnetFile(conf.SubnetFile)
	if err != nil {
		return err
	}
	delegate, err := json.Marshal(conf.delegate(env))
	if err != nil {
		return err
	}
	kept := conf.keptFile(args)
	if err := os.MkdirAll(filepath.Dir(kept), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(kept, delegate, 0o600); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	result, err := invoke.DelegateAdd(ctx, conf.delegateType(), delegate, nil)
	if err != nil {
		return fmt.Errorf("delegating ADD to %s: %w", conf.delegateType(), err)
	}
	return result.Print()
}

func check(args *skel.CmdArgs) error {
	conf, err := parseConfig(args.StdinData)
	if err != nil {
		return err
	}
	kept, err := os.ReadFile(conf.keptFile(args))
	if err != nil {
		return fmt.Errorf("container %s is not known here: %w", args.ContainerID, err)
	}
	var delegate map[string]any
	if err := json.Unmarshal(kept, &delegate); err != nil {
		return fmt.Errorf("%s: %w", conf.keptFile(args), err)
	}
	delegate["prevResult"] = conf.PrevResult
	data, err := json.Marshal(delegate)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return invoke.DelegateCheck(ctx, conf.delegateType(), data, nil)
}

// del succeeds for a container that is not known: runtimes repeat DEL until it does.
func del(args *skel.CmdArgs) error {
	conf, err := parseConfig(args.StdinData)
	if err != nil {
		return err
	}
	kept, err := os.ReadFile(conf.keptFile(args))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := invoke.DelegateDel(ctx, conf.delegateType(), kept, nil); err != nil {
		return fmt.Errorf("delegating DEL to %s: %w", conf.delegateType(), err)
	}
	return os.Remove(conf.keptFile(args))
}
