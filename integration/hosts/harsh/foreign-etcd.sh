#!/bin/bash
# another etcd runs, with its data in /var/lib/etcd and ports 2379 and 2380
packages() { echo etcd-server etcd-client; }
on_disk() { echo 'ETCD_DATA_DIR=/var/lib/etcd' >> "$1/etc/default/etcd"; }
