for values in etc/more.d/*.yaml; do
  [ -e "$values" ] || continue
  helm upgrade --install web charts/web -f "$values"
done
