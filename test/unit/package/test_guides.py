"""The code of the guides runs as it is printed: a block that names a file is that file, a block 'run' is run behind it."""

import re
from pathlib import Path

import pytest
import yaml
from support.plugins import distribution

from kd_planner_ros.cli.main import build_parser
from kd_planner_ros.cli.options import from_args
from kd_planner_ros.record.jobs import RecordConfig, recording_rig
from kd_planner_ros.runtime.facts import model_facts

GUIDES = Path(__file__).parents[3] / "docs" / "guides"
BLOCK = re.compile(r"^```(\w+) (\S+)\n(.*?)^```$", re.S | re.M)


def blocks(guide):
    """(language, file name or 'run', text) of every marked block of a guide, in its order."""
    return BLOCK.findall((GUIDES / guide).read_text())


def install(monkeypatch, folder, found):
    """The package that the files among the blocks ``found`` make."""
    files = {name: text for language, name, text in found if name != "run" and language == "python"}
    (project,) = [text for _, name, text in found if name == "pyproject.toml"]
    points = {}
    for group, lines in re.findall(r'^\[project\.entry-points\."([\w.]+)"\]\n((?:.+\n)*)', project, re.M):
        points[group] = dict(re.findall(r'^(\w+) = "(.+)"$', lines, re.M))
    assert points, "the guide's pyproject.toml names no entry point"
    distribution(monkeypatch, folder, re.search(r'^name = "(.+)"$', project, re.M)[1], points, files)


@pytest.mark.parametrize("guide", ["add_a_planner.md"])
def test_the_code_of_the_guide_runs(guide, monkeypatch, tmp_path):
    found = blocks(guide)
    install(monkeypatch, tmp_path, found)
    monkeypatch.chdir(tmp_path)
    code = [text for language, name, text in found if (language, name) == ("python", "run")]
    ran = [exec(compile(text, guide, "exec"), {"__name__": guide}) for text in code]
    assert ran, "no block of the guide is marked 'run'"


def test_the_recording_of_the_smallest_benchmark_has_the_camera_of_each_of_its_models():
    ((_, _, text),) = blocks("add_a_benchmark.md")
    (line,) = re.findall(r"^kd-planner record (.*)$", (GUIDES / "add_a_benchmark.md").read_text(), re.M)
    (found,) = recording_rig(from_args(RecordConfig, build_parser("record").parse_args(["record", *line.split()]))).cameras
    wanted = [spec for name in yaml.safe_load(text)["models"] for spec in model_facts(name).rig.cameras]
    assert wanted and {(spec.id, spec.width, spec.height) for spec in wanted} == {(found.id, found.width, found.height)}


def test_what_the_guide_shows_is_in_the_package_that_is_tested():
    package = Path(__file__).parents[2] / "support" / "stranger"
    found = blocks("add_a_perception_network.md")
    assert len(found) >= 8
    assert [name for _, name, text in found if text not in (package / name).read_text() + "\n"] == []
