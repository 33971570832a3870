#!/bin/sh
# The command of every SSH session: runs what the client asked for in the namespaces of the host whose address it connected to.
# shellcheck disable=SC2086 # four words
set -- $SSH_CONNECTION
read -r pid < "/mnt/hosts/$3/pid" || exit 255
printf . >> "/mnt/hosts/$3/commands"
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
exec nsenter --target "$pid" --mount --uts -- sh -c "$SSH_ORIGINAL_COMMAND"
