"""The guide's comparison of DistillDrive's plans with TCP's, as printed: one drive recorded for both, PDMS, and the benchmark."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from support.networks import save_seeded

from kd_planner_ros.cli import main as cli
from kd_planner_ros.cli.options import from_args
from kd_planner_ros.record.drive_route import drive_route
from kd_planner_ros.record.jobs import RecordConfig, plan_jobs, recording_rig
from kd_planner_ros.runtime.paths import models_folder
from kd_planner_ros.world.maps import load_map
from kd_planner_ros.world.simulation import World

PAGE = Path(__file__).parents[3] / "docs" / "guides" / "train_a_student.md"
SEEDED = {"ego_status_distilldrive": ("ego_status", {}), "distilldrive_teacher": ("distilldrive_teacher", {"size": "nano"}),
          "base_0": ("distilldrive", {"size": "nano"})}
"""Models of the guide that are not shipped, by name."""
OTHERS = ("constant_velocity", "expert", "models/tcp64_7m6")


def words_of(*begin: str) -> list[list[str]]:
    """The commands of the guide that read or write the drives of both rigs and begin so."""
    lines = re.findall(r"^    kd-planner (.*)$", PAGE.read_text().replace("\\\n", " "), re.M)
    return [words for words in map(shlex.split, lines) if words[:len(begin)] == [*begin] and (
        "town05_plans" in " ".join(words) or begin[0] == "benchmark")]


def replaced(words: list[str], **values: list[str]) -> list[str]:
    """``words`` with other values behind some options, which may be new."""
    for name, own in values.items():
        option = "--" + name.replace("_", "-")
        if option not in words:
            words = [*words, option]
        at = words.index(option) + 1
        end = next((place for place in range(at, len(words)) if words[place].startswith("--")), len(words))
        words = [*words[:at], *own, *words[end:]]
    return words


def record_here(config: RecordConfig) -> None:
    """Record the one route that ``config`` asks for in this process: a worker of its own would load the renderer's kernels again, which
    takes longer than the drive."""
    rig, road = recording_rig(config), load_map(config.map)
    (job,), failed = plan_jobs(config, road)
    job.path.parent.mkdir(parents=True)
    world = World(road, rig, vehicles=config.vehicles, walkers=config.walkers)
    try:
        report = drive_route(world, road, job, rig, lambda frames: False)
    finally:
        world.close()
    assert not failed and report.status == "Completed" and job.path.is_dir()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The drives of the guide's two recordings, a short one in place of its ten, and models that have learnt nothing."""
    place = tmp_path_factory.mktemp("two_rigs")
    configs = [from_args(RecordConfig, cli.build_parser("record").parse_args(words)) for words in words_of("record")]
    assert len(configs) == 2 and len({config.pictures_per_s for config in configs}) == 1
    for config in configs:
        record_here(replace(config, out=place / config.out, map="default", count=1, seed=910, min_m=40.0, max_m=65.0, vehicles=4,
                            walkers=2, fps=2, labels=()))  # a drive of 12 s, without a red light
    for name, (network, fields) in SEEDED.items():
        save_seeded(place / "grid" / name, network, fields)
    return place


def test_pdms_of_planners_of_both_rigs_is_over_the_same_scenes(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    (words,) = words_of("evaluate", "pdms")
    names = {*SEEDED, *OTHERS}
    assert names <= set(cli.build_parser("evaluate").parse_args(words).planners)
    words = replaced(words, planners=[str(models_folder().parent / name) if "/" in name else name for name in sorted(names)],
                     horizons=["2"], engine=["torch"], resamples=["100"])
    assert cli.main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (found["recordings"], found["drives"]) == (2, 1) and found["scenes"] >= 3
    assert found["no_sensors"] == {} and set(found["without_plan"].values()) == {0}
    over = found["horizons"]["2"]
    assert set(over["planners"]) == {Path(name).name for name in names} and over["scenes"] == found["scenes"] and not over["not_scored"]


def test_the_benchmark_compares_plans_of_both_rigs_at_the_same_instants(folder, monkeypatch):
    """Of models that the recipe does not name: it refuses others of its names."""
    monkeypatch.chdir(folder)
    (words,) = [one for one in words_of("benchmark") if one[1] == "distilldrive_plans"]
    (folder / "grid" / "seeded").symlink_to(folder / "grid" / "base_0")
    words = replaced(words, models=["constant_velocity", "tcp64_7m6", "seeded"], latency_frames=["0"], engine=["torch"], out=["out"])
    assert cli.main(words) == 0
    rows = {row["model"]: row for row in json.loads((folder / "out" / "table.json").read_text())["rows"]}
    assert set(rows) == {"constant_velocity", "tcp64_7m6", "seeded"}
    assert len({row["plans"] for row in rows.values()}) == 1 and rows["seeded"]["plans"] > 10
    assert all(row["mean"]["nuscenes/vad/l2_m/2"] > 0.0 for row in rows.values())
