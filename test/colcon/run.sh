#!/usr/bin/env bash
# Builds and tests the package with colcon in a scratch workspace, as a ROS 2 user would; PY names the interpreter
# whose environment has colcon. Prints `colcon: ok` at the end.
set -euo pipefail
repo=$(cd "$(dirname "$0")/../.." && pwd)
py=${PY:-$(command -v python3)}
PATH=$(dirname "$py"):$PATH
workspace=$(mktemp -d)
trap 'rm -rf "$workspace"' EXIT
mkdir -p "$workspace/src/kd_planner_ros"
# What git would hand to a stranger: tracked and new files, nothing ignored.
(cd "$repo" && git ls-files -co --exclude-standard -z | xargs -0 -I{} sh -c '[ -e "{}" ] && printf "%s\0" "{}"' \
    | tar --null --files-from=- -cf -) | tar -xf - -C "$workspace/src/kd_planner_ros"
cd "$workspace"
colcon build --packages-select kd_planner_ros --event-handlers console_direct-
prefix=$workspace/install/kd_planner_ros
for path in lib/kd_planner_ros/planner lib/kd_planner_ros/world lib/kd_planner_ros/kd-planner \
            share/kd_planner_ros/package.xml share/ament_index/resource_index/packages/kd_planner_ros; do
    [ -e "$prefix/$path" ] || { echo "colcon: expected $path in the install space"; exit 1; }
done
for folder in launch config models; do
    [ -n "$(find "$repo/$folder" -type f 2>/dev/null)" ] || continue
    [ -d "$prefix/share/kd_planner_ros/$folder" ] || { echo "colcon: $folder was not installed"; exit 1; }
done
set +u; source install/local_setup.bash; set -u
colcon test --packages-select kd_planner_ros --pytest-args test/unit/package/test_import_arrows.py --event-handlers console_direct-
colcon test-result --verbose
"$prefix/lib/kd_planner_ros/kd-planner" --help > /dev/null
echo "colcon: ok"
