#!/usr/bin/env bash
# Makes the lock files anew: pip install uv, then `bash requirements/lock.sh`.
set -euo pipefail
cd "$(dirname "$0")"
for name in plain sourced_ros jazzy; do
    # Jazzy's is a sourced distribution's with its rclpy and messages from PyPI: the other versions are the same.
    [ "$name" = jazzy ] && same=(--constraint sourced_ros.lock) || same=()
    { echo "torch==2.13.0"
      uv pip compile --quiet --universal --python-version 3.10 --no-header --no-emit-index-url --no-emit-find-links \
         --no-annotate "${same[@]}" "$name.in"
    } > "$name.lock.tmp"
    mv "$name.lock.tmp" "$name.lock"
done
