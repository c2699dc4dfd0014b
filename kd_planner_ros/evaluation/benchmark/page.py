"""Puts result tables into the pages of docs/benchmarks/.

A page holds ``<!-- table NAME -->`` ... ``<!-- end -->``; what stands between is ``docs/benchmarks/tables/NAME.md``, a table as
``kd-planner benchmark`` writes it to ``table.md``. To publish a new result, copy its ``table.md`` there and run
``python -m kd_planner_ros.evaluation.benchmark.page``. A test compares the pages with the tables.
"""

from __future__ import annotations

import re
from pathlib import Path

import kd_planner_ros
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.files import write_text

FOLDER = Path(kd_planner_ros.__file__).parents[1] / "docs" / "benchmarks"
_PLACE = re.compile(r"<!-- table (\S+) -->\n.*?<!-- end -->\n", re.DOTALL)


def pages(folder: Path = FOLDER) -> dict[Path, str]:
    """The text of every page of ``folder`` that holds tables, with the tables as their files give them.

    Raises:
        ConfigError: a page names a table without a file.
    """
    found = {}
    for path in sorted(folder.glob("*.md")):
        text = path.read_text()
        if _PLACE.search(text):
            found[path] = _PLACE.sub(lambda match: f"<!-- table {match[1]} -->\n{_table(folder, match[1])}<!-- end -->\n", text)
    return found


def _table(folder: Path, name: str) -> str:
    path = folder / "tables" / f"{name}.md"
    if not path.is_file():
        raise ConfigError(f"the table {path}", "no such file", "copy the benchmark's table.md there, or correct the page")
    return path.read_text()


def main() -> None:
    """Write every page."""
    for path, text in pages().items():
        write_text(path, text)
        print(path)


if __name__ == "__main__":
    main()
