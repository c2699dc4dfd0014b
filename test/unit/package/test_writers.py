"""Files are written at one place: whole ones by core/files.py, so that none of them is ever half there."""

import re
from pathlib import Path

PACKAGE = Path(__file__).parents[3] / "kd_planner_ros"
DIRECT = re.compile(r"\.write_text\(|\.write_bytes\(|np\.savez?(?:_compressed)?\(|\.open\(\"[wa]|torch\.save\("
                    r"|\.savefig\((?:path|target|out)\b|\.part\"")
ALLOWED = {
    "core/files.py": "the place itself",
    "evaluation/run_folder.py": "rows that are written as they happen",
    "distill/log.py": "rows that are written as they happen",
    "evaluation/perceive/files.py": "inside whole_file",
    "samples/arrays.py": "rows, in a folder with a temporary name",
    "ros/graph/processes.py": "the logs of the nodes",
    "distill/checkpoint.py": "inside whole_file",
    "distill/teacher_cache.py": "inside whole_file", "samples/dataset.py": "inside whole_file",
    "distill/methods/plankd/scene_cache.py": "inside whole_file", "world/sumo_tools.py": "in a temporary folder, then renamed",
    "ros/graph/launching.py": "in the temporary folder of a launch", "ros/graph/prepare.py": "in the temporary folder of a launch",
    "bags/bag_file.py": "in a temporary folder", "world/map_files.py": "in a temporary folder",
    "evaluation/benchmark/ray_drive.py": "in a temporary folder of a worker"}


def test_whole_files_are_written_at_one_place():
    found = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if DIRECT.search(path.read_text())}
    assert sorted(found - set(ALLOWED)) == [], "use kd_planner_ros.core.files"
    assert sorted(set(ALLOWED) - found) == []
