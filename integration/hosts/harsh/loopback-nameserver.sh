#!/bin/bash
# the only nameserver in /etc/resolv.conf is 127.0.0.1
conflicts() { echo no-nameserver; }
on_disk() { echo 'nameserver 127.0.0.1' > "$1/etc/resolv.conf"; }
