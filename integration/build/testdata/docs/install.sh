#!/bin/bash
set -e
kubectl apply -f applications/tool/
