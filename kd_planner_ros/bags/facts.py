"""What a recorder noted about its recording, read without the recording."""

from __future__ import annotations

from pathlib import Path

from kd_planner_ros.bags.files import custom_data_of, parse_metadata
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.foreign import reading


def custom_data(path: Path) -> dict[str, str]:
    """custom_data of the recording in folder ``path``; empty where nothing was noted.

    Raises:
        BagError: its metadata.yaml is missing or broken.
    """
    with reading(BagError, f"a readable metadata.yaml in {path}", "record it again"):
        return custom_data_of(parse_metadata((path / "metadata.yaml").read_text()))
