#!/bin/sh
# renew-certificate.sh PKI WORKDIR KUBEADM: makes the serving certificate of kube-apiserver again, with the configuration that it reads. The one that
# is there stays until the new one is complete. The certificate comes last: its names show that the work is done.
set -eu
umask 022 # as kubeadm: certificates can be read by all, keys by root
[ -e "$1/ca.key" ] || { echo "there is no $1/ca.key: the certificate was signed by a CA whose key is somewhere else" >&2; exit 1; }
rm -rf "$2"
mkdir -m 700 "$2"
ln -s "$1/ca.crt" "$1/ca.key" "$2/"
"$3" init phase certs apiserver --config /dev/stdin
mv -f "$2/apiserver.key" "$1/apiserver.key"
mv -f "$2/apiserver.crt" "$1/apiserver.crt"
rm -rf "$2"
