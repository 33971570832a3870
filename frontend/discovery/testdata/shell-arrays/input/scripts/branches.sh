if [ -z "$1" ]; then
  echo usage
  exit 1
fi
if [ "$1" = new ]; then
  args=(--set tag=new)
elif [ "$1" = old ]; then
  args=(--set tag=old)
else
  echo "what is $1" >&2
  exit 1
fi
if [ -n "$SIDE" ]; then
  args+=(--set side=true)
fi
helm install web ./charts/web "${args[@]}"
case $ENVIRONMENT in
  big) size=big ;;
  *) size=small ;;
esac
crictl pull "example.com/size:$size"
