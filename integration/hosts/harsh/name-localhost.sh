#!/bin/bash
# the hostname is localhost
# lab.sh names the host.
