#!/bin/bash
echo $docker-dir
