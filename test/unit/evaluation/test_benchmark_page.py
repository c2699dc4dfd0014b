"""The pages of docs/benchmarks/ hold the tables that lie beside them."""

from __future__ import annotations

import pytest

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.evaluation.benchmark.page import FOLDER, pages


def test_the_pages_hold_the_tables_of_their_files():
    found = pages()
    assert FOLDER / "plankd.md" in found
    remedy = "run 'python -m kd_planner_ros.evaluation.benchmark.page' and commit docs/benchmarks"
    assert all(path.read_text() == text for path, text in found.items()), remedy
    used = {name for text in found.values() for name in text.split() if (FOLDER / "tables" / f"{name}.md").is_file()}
    assert used == {path.stem for path in (FOLDER / "tables").glob("*.md")}, "a table that no page shows"


def test_a_new_table_takes_the_old_ones_place(tmp_path):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "mine.md").write_text("| new |\n")
    (tmp_path / "page.md").write_text("# Mine\n<!-- table mine -->\n| old |\n<!-- end -->\nafter\n")
    assert list(pages(tmp_path).values()) == ["# Mine\n<!-- table mine -->\n| new |\n<!-- end -->\nafter\n"]
    (tmp_path / "tables" / "mine.md").unlink()
    with pytest.raises(ConfigError, match="mine.md; got no such file; copy the benchmark's table.md"):
        pages(tmp_path)
