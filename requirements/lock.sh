#!/usr/bin/env bash
# Makes the lock files anew: pip install uv, then `bash requirements/lock.sh`.
set -euo pipefail
cd "$(dirname "$0")"
for name in plain sourced_ros; do
    { echo "torch==2.13.0"
      uv pip compile --quiet --universal --python-version 3.10 --no-header --no-emit-index-url --no-emit-find-links \
         --no-annotate "$name.in"
    } > "$name.lock.tmp"
    mv "$name.lock.tmp" "$name.lock"
done
