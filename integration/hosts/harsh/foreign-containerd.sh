#!/bin/bash
# another containerd runs, with its CRI disabled, as Docker installs it
packages() { echo containerd; }
on_disk() {
  mkdir -p "$1/etc/containerd"
  echo 'disabled_plugins = ["cri"]' > "$1/etc/containerd/config.toml"
}
