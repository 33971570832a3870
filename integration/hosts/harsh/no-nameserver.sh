#!/bin/bash
# /etc/resolv.conf is empty
conflicts() { echo loopback-nameserver; }
on_disk() { : > "$1/etc/resolv.conf"; }
