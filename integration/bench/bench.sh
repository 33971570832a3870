#!/usr/bin/env bash
# bench.sh: the README's figures, each as a ratio of two measurements of this run. Hosts are reinstalled.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
top=$PWD
out=$top/_out/bench
mkdir -p "$out"
set -a
# shellcheck disable=SC1091 # made by make up
. _out/lab.env
set +a
export XDG_CONFIG_HOME=$out/config XDG_STATE_HOME=$out/state
rm -rf "${out:?}/config"
log=$out/log
: > "$log"

seconds() { # seconds COMMAND...: how long it takes, to the hundredth
  local from to
  from=$(date +%s.%N)
  "$@" >> "$log" 2>&1 || { tail -20 "$log" >&2; exit 1; }
  to=$(date +%s.%N)
  echo "$to - $from" | bc
}
row() { # row WHAT A UNIT B: A against B
  printf '%-66s %8.2f   %s %s against %s %s\n' "$1" "$(echo "scale=4; $2 / $4" | bc)" "$2" "$3" "$4" "$3"
}
# shellcheck source-path=SCRIPTDIR/../hosts
. integration/hosts/packages.sh
need bc

# --- the build against the same steps in a plain Dockerfile, which embeds nothing ----------------------------------------
base=$REGISTRY/kubernetes:v1.34.4
integration/lab/examples.sh >> "$log" 2>&1
printf 'FROM %s\nADD http://%s/files/dashboard/recommended.yaml recommended.yaml\n' "$base" "$UPSTREAM" > "$out/Dockerfile"
plain() {
  docker buildx build --builder "$BUILDX_BUILDER" -f "$out/Dockerfile" --output "type=image,name=$REGISTRY/bench:plain,push=true,compression=zstd" "$@" "$out"
}
kubefile() {
  docker buildx build --builder "$BUILDX_BUILDER" -f examples/dashboard/Kubefile --build-arg BUILDKIT_SYNTAX="$FRONTEND" --build-arg KUBEFILE_MIRRORS \
    --build-context "kubernetes:v1.34.4=docker-image://$base" --build-arg "URL=http://$UPSTREAM/files/dashboard/recommended.yaml" \
    --output "type=image,name=$REGISTRY/bench:kubefile,push=true,compression=zstd" "$@" examples/dashboard
}
plain_cold=$(seconds plain --no-cache)
kubefile_cold=$(seconds kubefile --no-cache)
plain_warm=$(seconds plain)
kubefile_warm=$(seconds kubefile)

# --- a hundred embedded images, of which each build names other ones, against no image at all -----------------------------------
mkdir -p "$out/hundred" "$out/none"
printf 'FROM scratch\nCOPY . /\n' | tee "$out/hundred/Kubefile" > "$out/none/Kubefile"
echo "# nothing" > "$out/none/imageList"
for i in $(seq 100); do echo "quay.io/bench/image-$i:$(date +%s)"; done > "$out/hundred/imageList"
listed() { # listed DIRECTORY
  docker buildx build --builder "$BUILDX_BUILDER" -f "$1/Kubefile" --build-arg BUILDKIT_SYNTAX="$FRONTEND" --build-arg KUBEFILE_MIRRORS \
    --output "type=image,name=$REGISTRY/bench:hundred,push=true" "$1"
}
none=$(seconds listed "$out/none")
hundred=$(seconds listed "$out/hundred")
none_warm=$(seconds listed "$out/none")
hundred_warm=$(seconds listed "$out/hundred")

# --- finding images in a chart, against what people do: helm template | grep image: ----------------------------------------------
go build -o "$out/kubefile-frontend" ./cmd/kubefile-frontend
found() { for _ in 1 2 3 4 5; do "$out/kubefile-frontend" discover --kube-version v1.34.4 frontend/discovery/testdata/chart/input; done; }
grepped() { for _ in 1 2 3 4 5; do _out/bin/helm template x frontend/discovery/testdata/chart/input/charts/web | grep image:; done; }
found=$(seconds found)
grepped=$(seconds grepped)

# --- RUN on a cluster image, by a BuildKit that has nothing yet, against the same line in a plain Dockerfile -----------------
mkdir -p "$out/run"
printf 'FROM %s\nRUN ["kubectl", "version", "--client"]\n' "$base" > "$out/run/Kubefile"
clean() { # clean COMMAND...: runs it with a BuildKit of its own at $BUILDKIT_HOST
  local dir daemon status=0
  dir=$(mktemp -d)
  sed "s|^root = .*|root = \"$dir/root\"|; s|^  socketPath = .*|  socketPath = \"$dir/o\"|; s|^  address = .*|  address = [\"unix://$dir/s\"]|" _out/lab/buildkitd.toml > "$dir/buildkitd.toml"
  _out/bin/buildkitd --config "$dir/buildkitd.toml" >> "$log" 2>&1 &
  daemon=$!
  export BUILDKIT_HOST=unix://$dir/s
  until _out/bin/buildctl debug workers > /dev/null 2>&1 || ! kill -0 $daemon; do sleep 0.1; done
  "$@" || status=$?
  kill $daemon
  wait $daemon || :
  rm -rf "$dir"
  return $status
}
run_of() { # run_of FRONTEND OPTION...: builds the two lines
  _out/bin/buildctl build --local context="$out/run" --local dockerfile="$out/run" --opt filename=Kubefile \
    --output "type=image,name=$REGISTRY/bench:run,push=true" --frontend "$@"
}
pulled() { # pulled OFFSET: bytes that the registry has sent of the base's layers since its log had OFFSET bytes
  tail -c "+$(($1 + 1))" "$REGISTRY_ACCESS_LOG" | awk '$6 == "\"GET" && $7 ~ "^/v2/kubernetes/blobs/" {n += $10} END {print n + 0}'
}
run_plain() { clean run_of dockerfile.v0; }
run_kubefile() { clean run_of gateway.v0 --opt source="$FRONTEND" --opt "build-arg:KUBEFILE_MIRRORS=$KUBEFILE_MIRRORS"; }
at=$(stat -c %s "$REGISTRY_ACCESS_LOG")
run_plain=$(seconds run_plain)
run_plain_bytes=$(pulled "$at")
at=$(stat -c %s "$REGISTRY_ACCESS_LOG")
run_kubefile=$(seconds run_kubefile)
run_kubefile_bytes=$(pulled "$at")

# --- a run on five hundred hosts that changes nothing, against one on fifty --------------------------------------------------
need openssh-server openssh-client
go test -count=1 -timeout 90m -tags scale ./integration/scale -v -hosts=50,500 > "$out/scale" 2>> "$log" && within_bars=yes || within_bars=
on_hosts() { awk -v what="$1" -v hosts="$2" '$1 == what && $2 == hosts && $3 == "hosts" {print $4}' "$out/scale"; }

# --- bytes and time on bare hosts -----------------------------------------------------------------------------------------
flags=$(version/version.sh flags)
CGO_ENABLED=0 go build -trimpath -ldflags "$flags" -o _out/sealer-run ./cmd/sealer-run
rm -rf "$out/layout"
_out/bin/oras cp --no-tty --from-plain-http "$REGISTRY/dashboard:v2.2.0" --to-oci-layout "$out/layout:v2.2.0" >> "$log"
integration/hosts/hosts.sh up 3 >> "$log"
for i in 1 2 3; do integration/hosts/hosts.sh fresh $i >> "$log"; done
key=_out/hosts/id_lab
[ "${LAB_NAME:-kf}" = kf ] || key=_out/hosts-$LAB_NAME/id_lab
run() { integration/hosts/lan _out/sealer-run "$@" --pk "$key"; }
received() { integration/hosts/on "$1" ip -s link show eth0 | awk '/RX:/ {getline; print $1}'; }
before1=$(received 1)
before2=$(received 2)
sealer=$(seconds run "$out/layout:v2.2.0" -m 10.77.0.11 -n 10.77.0.12-10.77.0.13 -e CONTAINERD_RESTRICT_OOM_SCORE_ADJ=true)
after1=$(received 1)
after2=$(received 2)
need_of() { _out/sealer-run inspect "$out/layout:v2.2.0" --output json | tr -d ' ,"' | awk -F: -v key="$1" '$1 == key {print $2}'; }
rootfs=$(need_of rootfsBytes)
images=$(need_of imageBytes)
again=$(seconds run "$out/layout:v2.2.0" -m 10.77.0.11 -n 10.77.0.12-10.77.0.13 -e CONTAINERD_RESTRICT_OOM_SCORE_ADJ=true)

# --- the same cluster by hand: kubeadm alone, on the same hosts, with everything installed and the same registry ----------------
dir=/var/lib/sealer/data/default
by_hand() {
  local i join joins=()
  integration/hosts/on 1 "cd $dir/rootfs && bin/kubeadm init --config ../kubeadm-init.yaml --skip-token-print" || return
  join=$(integration/hosts/on 1 "kubeadm token create --print-join-command --kubeconfig /etc/kubernetes/admin.conf") || return
  for i in 2 3; do
    integration/hosts/on $i "$join" &
    joins+=($!)
  done
  for i in "${joins[@]}"; do wait "$i" || return; done
  integration/hosts/on 1 "export KUBECONFIG=/etc/kubernetes/admin.conf; cd $dir/rootfs && kubectl apply -f applications/flannel/kube-flannel.yml -f recommended.yaml &&
    kubectl wait --for=condition=Ready nodes --all --timeout=300s"
}
for i in 3 2 1; do
  integration/hosts/on $i "$dir/rootfs/bin/kubeadm reset -f && rm -rf /etc/cni/net.d/* && { ip link delete cni0; ip link delete flannel.1; crictl rmi --all; } || :" >> "$log" 2>&1
done
hand=$(seconds by_hand)

echo
row "build of examples/dashboard, cold, against a plain Dockerfile" "$kubefile_cold" s "$plain_cold"
row "the same, nothing changed (2 s over BuildKit's own is the bar)" "$kubefile_warm" s "$plain_warm"
row "build with 100 embedded images, first time, against none" "$hundred" s "$none"
row "the same, nothing changed" "$hundred_warm" s "$none_warm"
row "images of a chart five times, against helm template and grep" "$found" s "$grepped"
row "bytes of the base that a RUN pulls, against a plain Dockerfile" "$run_kubefile_bytes" B "$run_plain_bytes"
row "time of that build on an empty BuildKit, frontend included" "$run_kubefile" s "$run_plain"
row "bytes a worker received, against its layers" "$((after2 - before2))" B "$rootfs"
row "bytes the master received, against its layers" "$((after1 - before1))" B "$((rootfs + images))"
row "sealer-run from bare hosts to Ready, against kubeadm alone" "$sealer" s "$hand"
row "the same command again, against the first time" "$again" s "$sealer"
for what in status plan apply; do
  row "$what of 500 hosts without a change, against 50 (11 is the bar)" "$(on_hosts $what 500)" s "$(on_hosts $what 50)"
done
echo "the run on 500 hosts took at most $(awk '$2 == 500 && $9 == "MB" && $8 > most {most = $8} END {print most + 0}' "$out/scale") MB of memory (150 is the bar)"
[ -n "$within_bars" ] || { tail -20 "$out/scale" >&2; exit 1; }
