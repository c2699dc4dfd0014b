"""Every command line and every recipe of the pages is taken as it is written: by its parser, and by the config behind it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml
from support.bags import write_bag

from kd_planner_ros.cli import main as cli
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.distill.footage import NAMES, find_footage
from kd_planner_ros.distill.recipes import train_config

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "guides").glob("*.md")),
         *sorted((ROOT / "docs" / "notes").glob("*.md"))]


def commands(page):
    """The command lines of ``page`` in blocks of code, joined where they go on, without the remark behind them."""
    text = page.read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if match := re.match(r"\s*(?:\$ )?kd-planner (?=\S)", line):
            yield re.split(r"\s+#", line[match.end():])[0].strip()


LINES = [(page.name, line) for page in PAGES for line in commands(page)]


def test_the_pages_hold_commands():
    assert len(LINES) > 20 and {line.split()[0] for _, line in LINES} >= {"record", "train", "evaluate", "replay", "bags", "explain"}


@pytest.mark.parametrize(("page", "line"), LINES)
def test_a_command_of_a_page_is_parsed(page, line, capsys):
    words = shlex.split(line)
    try:
        args, unknown = cli.build_parser(words[0]).parse_known_args(words)
    except SystemExit:
        pytest.fail(f"{page}: {capsys.readouterr().err}")
    known = {"train"}  # options of network and method are looked up when the command runs
    assert not unknown or words[0] in known and all(not word.startswith("--") or "." in word for word in unknown)


TRAININGS = [(page, line) for page, line in LINES if line.startswith("train ") and "--recipe my" not in line and "stranger" not in line]
"""Those of the stranger's package are run by test_stranger.py."""


@pytest.mark.parametrize(("page", "line"), TRAININGS)
def test_a_training_of_a_page_is_begun(page, line, tmp_path, monkeypatch):
    """With the training itself replaced by a function that keeps its settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(cli.TRACEBACK, "1")
    for name in ("recordings", "recordings/views", "recordings/shared", "my_bags"):
        (tmp_path / name).mkdir(exist_ok=True)
    (tmp_path / "config").symlink_to(ROOT / "config")
    kept = []
    monkeypatch.setattr("kd_planner_ros.distill.train.train", lambda config, *rest, **more: kept.append(config) or exit(0))
    with pytest.raises(SystemExit):
        cli.main(shlex.split(line))
    name = re.search(r"--name (\S+)", line)[1]
    assert [config.name for config in kept] == [name]


BLOCKS = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/guides/train_a_student.md").read_text(), re.DOTALL)
FOOTAGE = [block for block in BLOCKS if NAMES.keys() & yaml.safe_load(block).keys()]


@pytest.mark.parametrize("block", FOOTAGE)
def test_a_data_set_of_the_guide_is_one(block, tmp_path):
    """All that is missing is the data set."""
    (tmp_path / "data.yaml").write_text(block)
    with pytest.raises(BagError):
        find_footage(train_config({"bags": [str(tmp_path / "data.yaml")], "name": "mine"}))


@pytest.mark.parametrize("block", [block for block in BLOCKS if block not in FOOTAGE])
def test_a_recipe_of_the_guide_is_one(block):
    recipe = yaml.safe_load(block)
    config = train_config({"bags": "recordings", "name": "mine", **recipe})
    assert config.network == recipe.get("network", "tcp") and len(config.stages) == len(recipe.get("stages", ()))


def test_a_check_of_a_recording_works_as_the_guide_says(tmp_path, monkeypatch, capsys):
    write_bag(tmp_path / "my_bag", labels=False)
    monkeypatch.chdir(tmp_path)
    line = next(line for page, line in LINES if page == "bring_your_bag.md" and line.startswith("bags check"))
    assert cli.main(shlex.split(line)) == 0
    assert "can be used for" in capsys.readouterr().out
