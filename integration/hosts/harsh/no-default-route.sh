#!/bin/bash
# no default route
on_network() {
  ip -n "$1" route flush exact default
  ip -n "$1" -6 route flush exact default
}
