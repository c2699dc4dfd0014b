"""Every example of every help text works as it is written.

Each line is parsed by its own parser, and its command is begun: with whatever takes longer than a moment (a drive, a training, a
measurement) replaced by a function that keeps the settings, so that every value is checked as in earnest. What takes a moment runs in
earnest. Files and models that an example names are made first, as the help texts say they come about.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from support.bags import write_bag
from support.commands import all_parsers
from support.fuzz import ROUTES

from kd_planner_ros.cli import main as cli

BEGUN = {  # command: where the function is that takes long
    "drive": "kd_planner_ros.ros.graph.drive.drive", "record": "kd_planner_ros.record.record.record",
    "train": "kd_planner_ros.distill.train.train", "replay": "kd_planner_ros.ros.graph.replay.replay",
    "benchmark": "kd_planner_ros.evaluation.benchmark.run.run", "explain": "kd_planner_ros.evaluation.explain.run",
    "evaluate closed-loop": "kd_planner_ros.evaluation.closed_loop.run", "evaluate compare":
    "kd_planner_ros.evaluation.compare.run", "evaluate latency-sweep":
    "kd_planner_ros.evaluation.latency_sweep.run",
    "evaluate open-loop": "kd_planner_ros.evaluation.open_loop.run", "evaluate pdms": "kd_planner_ros.evaluation.pdm.run.run",
    "evaluate dense": "kd_planner_ros.evaluation.dense.run.run",
    "evaluate steering": "kd_planner_ros.evaluation.steering.run", "perceive": "kd_planner_ros.evaluation.perceive.run.run",
    "bench world": "kd_planner_ros.world.render.bench.bench_world", "bench record": "kd_planner_ros.record.record.record",
    "bench train": "kd_planner_ros.evaluation.bench_train.bench_train", "bench latency": "kd_planner_ros.runtime.bench.bench_latency",
    "bench sizes": "kd_planner_ros.evaluation.bench_sizes.bench_sizes", "bench drive": "kd_planner_ros.ros.graph.drive.drive",
    "bags check": "", "bags nuscenes": "kd_planner_ros.bags.nuscenes.convert.convert",
    "bags navsim": "kd_planner_ros.bags.navsim.convert.convert",
    "bags dair": "kd_planner_ros.bags.dair.convert.convert", "bags dair-example":
    "kd_planner_ros.bags.dair.example.write_example",
    "routes": "kd_planner_ros.world.route_listing.list_routes", "models list": "", "models params":
    "kd_planner_ros.runtime.params.table", "models check": "kd_planner_ros.runtime.store.load_model", "models sensors": "",
    "bench v2x": "kd_planner_ros.v2x.bench.bench_messages", "v2x keys": "kd_planner_ros.v2x.key_files.make_keys"}
"""Empty: it runs in earnest."""
ALSO = {"bench train": "kd_planner_ros.evaluation.bench_distill.bench_distill",
        "benchmark": "kd_planner_ros.evaluation.benchmark.all_suites.run_all"}
REAL = {"kd-planner evaluate open-loop --bag recordings/default_drawn_0-0_WetSunset_s0 --planner constant_velocity --json",
        "kd-planner models list", "kd-planner models sensors tcp64_7m6 --out sensors.json"}
RECORDING = "recordings/default_drawn_0-0_WetSunset_s0"


class Begun(Exception):
    """The function that takes long was reached."""


def examples():
    """Every line of every epilog that is a command, without the remark behind it."""
    found = {}
    for _, parser in all_parsers():
        for line in (parser.epilog or "").splitlines():
            if match := re.match(r"\s+((?:torchrun .* kd_planner_ros.cli.main|kd-planner) .*)$", line):
                found[re.split(r"\s{3,}", match[1].strip())[0]] = None
    return list(found)


EXAMPLES = examples()


def test_there_are_examples_of_every_command():
    assert len(EXAMPLES) > 30 and set(REAL) <= set(EXAMPLES)
    assert {words.split()[1] for words in EXAMPLES if words.startswith("kd-planner")} == set(cli.COMMANDS)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with what the examples name."""
    folder = tmp_path_factory.mktemp("place")
    write_bag(folder / RECORDING, labels=False)
    for name in ("bags/town01", "bags/town03", "recordings/town01", "recordings/town03"):
        (folder / name).mkdir(parents=True)
    for name in ("routes.xml", "town05_short.xml", "town01_short.xml"):
        (folder / name).write_text(ROUTES)
    (folder / "my_student.yaml").write_text("network: tcp\nsize: 3.1m\nbags: [bags/town01]\n")
    (folder / "my_benchmark.yaml").write_text("kind: open_loop\nmodels: [constant_velocity]\nsuites: {a: {bags: a}}\n"
                                               "figures: {steer_mae: {}}\n")
    (folder / "town.yaml").write_text("stations: [{id: north, x: 1.0, y: 2.0}]\n")
    for name in ("my_bag", "my_bags/one"):
        shutil.copytree(folder / RECORDING, folder / name)
    return folder


@pytest.mark.parametrize("line", EXAMPLES)
def test_an_example_works_as_it_is_written(line, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    words = shlex.split(line[line.index("kd_planner_ros.cli.main") + 24:] if line.startswith("torchrun") else line.partition(" ")[2])
    name = " ".join(words[:2]) if " ".join(words[:2]) in BEGUN else words[0]
    target = BEGUN[name]
    kept = []

    def begin(config, *rest, **more):
        kept.append(config)
        raise Begun

    for one in filter(None, (target, ALSO.get(name))) if line not in REAL else ():
        if one.startswith("kd_planner_ros.ros."):
            pytest.importorskip("rclpy", reason="rclpy is not installed: use the pinned environment ('make setup')")
        monkeypatch.setattr(one, begin)
    monkeypatch.setenv(cli.TRACEBACK, "1")
    try:
        assert cli.main(words) == 0, capsys.readouterr().err
        assert not target or line in REAL
    except Begun:
        assert kept
    out = capsys.readouterr().out
    if "--json" in words and not kept:
        json.loads(out.splitlines()[-1])


def test_the_recording_that_examples_name_is_what_record_writes_first():
    from kd_planner_ros.record.jobs import RecordConfig, plan_jobs
    from kd_planner_ros.world.maps import load_map

    jobs, _ = plan_jobs(RecordConfig(Path("recordings"), count=1), load_map("default"))
    assert str(jobs[0].path) == RECORDING
    assert any(line.startswith("kd-planner record --out recordings ") for line in EXAMPLES)


def test_recordings_of_examples_have_the_camera_of_the_model_that_reads_them():
    """The first recording is for the default planner, the shared one for the perceiver that examples name."""
    from kd_planner_ros.cli.options import from_args
    from kd_planner_ros.record.jobs import RecordConfig, recording_rig
    from kd_planner_ros.runtime.facts import model_facts, resolve_model

    rigs = {}
    for line in EXAMPLES:
        if line.startswith("kd-planner record "):
            args = cli.build_parser("record").parse_args(shlex.split(line)[1:])
            rigs[str(args.out)] = recording_rig(from_args(RecordConfig, args))
    for out, model in (("recordings", resolve_model("auto")[0]), ("recordings/shared", "unified_nano")):
        (wanted,), (found, *_) = model_facts(model).rig.cameras, rigs[out].cameras
        assert (found.id, found.width, found.height, found.fov_deg, found.pose) == (
            wanted.id, wanted.width, wanted.height, wanted.fov_deg, wanted.pose), out
    assert any("open-loop" in line and "--planner tcp64_7m6" in line for line in EXAMPLES)
    assert any(f"--bag recordings/shared --model {'unified_nano'}" in line for line in EXAMPLES)


def test_models_that_examples_name_are_shipped_or_trained_by_an_example():
    """MODEL, in capital letters, stands for one of the reader's own."""
    from kd_planner_ros.networks.registry import is_weightless
    from kd_planner_ros.runtime.find import list_models

    known = {folder.name for folder in list_models()} | {"auto", "expert", "MODEL"}
    known |= {name for line in EXAMPLES for name in re.findall(r"train .*--name (\S+)", line)}
    options = re.compile(r"--(?:planner|model|models|student|teacher|perception) ([^-]\S*(?: [^-]\S*)*)")
    named = {name for line in EXAMPLES for words in options.findall(line) for name in words.split()}
    assert {name for name in named if name not in known and not is_weightless(name)} == set()
