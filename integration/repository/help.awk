# help.awk prints the targets of a Makefile that have a text after "##", under the titles of their groups.
/^## / { printf "\n%s:\n", substr($0, 4) }
/^[a-z0-9-]+:.*## / {
  target = $0; sub(/:.*/, "", target)
  text = $0; sub(/.*## /, "", text)
  printf "  %-14s %s\n", target, text
}
