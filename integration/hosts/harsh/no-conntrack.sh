#!/bin/bash
# no programs of conntrack, iptables, nftables and ebtables
conflicts() { echo firewall; }
on_disk() { chroot "$1" dpkg --purge --force-depends conntrack iptables nftables ebtables > /dev/null 2>&1; }
