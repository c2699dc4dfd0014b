"""What a recorder noted about its recording, read without the recording."""

from __future__ import annotations

import re
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from kd_planner_ros.core.errors import BagError

_BLOCK = re.compile(r"^  custom_data:.*\n(?:    .*\n)*", re.MULTILINE)
"""Alone, for the message definitions after it take YAML a second a file."""


def custom_data(path: Path) -> dict[str, str]:
    """custom_data of the recording in folder ``path``; empty where nothing was noted.

    Raises:
        BagError: its metadata.yaml is missing or broken.
    """
    try:
        block = _BLOCK.search((path / "metadata.yaml").read_text())
        noted = YAML(typ="safe").load(block[0])["custom_data"] if block else None
        return {str(key): str(value) for key, value in (noted or {}).items()}
    except (OSError, UnicodeDecodeError, YAMLError, AttributeError) as error:
        raise BagError(f"a readable metadata.yaml in {path}", type(error).__name__, "record it again") from None
