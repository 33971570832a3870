#!/usr/bin/env bash
# demo.sh: from nothing to a three-host cluster with the dashboard on it: starts the lab's services, builds the base and the dashboard's image,
# writes the latter to one OCI archive, and runs it on hosts without a route out. The cluster stays until make hosts-down.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
top=$PWD
out=$top/_out/demo
began=$SECONDS
say() { printf '\n\033[1m==> %s\033[0m\n' "$*"; }
lab=${LAB_NAME:+LAB_NAME=$LAB_NAME }
interrupted() {
  trap '' INT TERM HUP
  say "Interrupted. Resume: ${lab}make demo   Stop what is up: ${lab}make hosts-down down"
  exit 130
}
trap interrupted INT TERM HUP
# With the compiler's settings of the outer make, which GOFLAGS has.
make --no-print-directory FOR=demo template up
# shellcheck disable=SC1091 # made by make up
. _out/lab.env
# The demo's known hosts and logs are its own, not the user's.
export XDG_CONFIG_HOME=$out/config XDG_STATE_HOME=$out/state
mkdir -p "$out"
rm -rf "${out:?}/config" # the hosts are new, and so are their keys

say "Three hosts: systemd, sshd, no route out"
integration/hosts/hosts.sh up 3
for i in 1 2 3; do
  if integration/hosts/on "$i" test -e /var/lib/sealer; then integration/hosts/hosts.sh fresh "$i"; fi
done

say "Build kubernetes:v1.34.4 and dashboard:v2.2.0 with docker buildx build, the latter into one file, too"
archive=$out/dashboard.tar
ARCHIVE=$archive integration/lab/examples.sh kubernetes dashboard 2>&1 | tee "$out/build.log" | grep --line-buffered -E '^#[0-9]+ \[|^127\.|ERROR|error:'
ls -lh "$archive"

# The lab's hosts may not lower a process's score for the out-of-memory killer; the variable has containerd ask for no less than its own.
site=(-m 10.77.0.11 -n 10.77.0.12-10.77.0.13 -e CONTAINERD_RESTRICT_OOM_SCORE_ADJ=true)
say "sealer-run dashboard.tar ${site[*]}"
flags=$(version/version.sh flags)
CGO_ENABLED=0 go build -trimpath -ldflags "$flags" -o _out/sealer-run ./cmd/sealer-run
key=_out/hosts/id_lab
[ "${LAB_NAME:-kf}" = kf ] || key=_out/hosts-$LAB_NAME/id_lab
run() { integration/hosts/lan _out/sealer-run "$@" --pk "$key"; }
run "$archive" "${site[@]}"

say "Wait for the dashboard's pods"
kubectl() { integration/hosts/on 1 kubectl "$@"; }
for deployment in kubernetes-dashboard dashboard-metrics-scraper; do
  kubectl -n kubernetes-dashboard rollout status "deployment/$deployment" --timeout=180s
done

say "kubectl get nodes"
kubectl get nodes
say "kubectl get pods -A"
kubectl get pods -A
say "sealer-run status --served: what the embedded registry served"
run status --served -m 10.77.0.11 2> /dev/null | grep -v @sha256
say "Done in $((SECONDS - began)) s. Log in: ${lab}integration/hosts/on 1   Stop: ${lab}make hosts-down down"
