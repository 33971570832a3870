package execute

// RunScript runs the script $1 of an image as its first line says, for files lose their mode on some ways, or by sh. What it writes others can
// read, whatever the umask of a hardened host is.
const RunScript = `umask 022
read -r first < "$1" || :
case $first in "#!"*) exec ${first#??} "$1" ;; *) exec sh "$1" ;; esac`
