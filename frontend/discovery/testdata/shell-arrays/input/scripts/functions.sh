install() {
  local name=$1
  shift
  local args=(--set side=true "$@")
  helm upgrade -i "$name" ./charts/web "${args[@]}"
}
add() {
  local -n to=$1
  to+=(--set "$2")
}
args=(--set tag=function)
add args side=true
install other --set tag=shifted
helm install web ./charts/web "${args[@]}"
options() {
  while [ $# -gt 0 ]; do
    case "$1" in
      --tag) TAG=$2; shift 2 ;;
      --side=*) SIDE=${1#*=}; shift ;;
      *) shift ;;
    esac
  done
}
options --tag option --other --side=true
helm install web ./charts/web --set "tag=$TAG,side=$SIDE"
for arg in --one=1 --two=2; do
  case $arg in
    --one=*) ONE=${arg#*=} ;;
    --two=*) TWO=${arg#*=} ;;
  esac
done
crictl pull "example.com/loop:$ONE-$TWO"
