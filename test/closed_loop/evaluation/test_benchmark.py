"""The benchmark in the real world with a planner that needs no weights: resume, tables, bad input, Ray."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from types import ModuleType

import pytest

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.evaluation import worker
from kd_planner_ros.evaluation.benchmark import driving, outcomes
from kd_planner_ros.evaluation.benchmark import run as benchmark
from kd_planner_ros.evaluation.benchmark.config import BenchmarkConfig
from kd_planner_ros.world import events

NAME = "constant_velocity"


@pytest.fixture(scope="module", autouse=True)
def short_drives():
    """Drives of at most 12 s: what is tested here is the same however far they lead."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "TIMEOUT_S_PER_M", 0.0)
        patch.setattr(events, "TIMEOUT_BASE_S", 12.0)
        yield


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> BenchmarkConfig:
    return BenchmarkConfig("default-town", tmp_path_factory.mktemp("whole"), (NAME,), seeds=1, train=False,
                           routes_count=2, vehicles=4, walkers=0, latency_frames=0)


@pytest.fixture(scope="module")
def whole(config):
    """The benchmark in one go."""
    return benchmark.run(config)


def test_one_outcome_a_model_and_seed_and_the_table_of_it(config, whole):
    path = outcomes.result_path(config.out, NAME, 0)
    summary = json.loads(path.read_text())["_checkpoint"]["global_record"]["summary"]
    (row,) = whole.rows
    assert row["mean"]["driving_score"] == pytest.approx(summary["driving_score"]) and row["drives"] == 2
    assert row["mean"]["route_completion"] > 1.0 and row["parameters"] is None and row["paper"] == {}
    for name in ("table.json", "table.csv", "report.html", "benchmark.json"):
        assert (config.out / name).stat().st_size > 50


def test_stopped_in_the_middle_it_goes_on_with_the_same_numbers(config, whole, tmp_path, monkeypatch):
    other = replace(config, out=tmp_path / "other")
    original, done = worker.drive_one, []

    def stop_at_the_second(setup, drive):
        if len(done) == 1:
            raise KeyboardInterrupt
        done.append(drive)
        return original(setup, drive)

    monkeypatch.setattr(worker, "drive_one", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        benchmark.run(other)
    assert not outcomes.result_path(other.out, NAME, 0).exists()
    monkeypatch.undo()
    kept = (done[0].folder / "statistics.json").stat().st_mtime_ns
    again = benchmark.run(other)
    assert (done[0].folder / "statistics.json").stat().st_mtime_ns == kept, "a finished drive was driven again"
    assert again.rows == whole.rows
    monkeypatch.setattr(worker, "drive_one", stop_at_the_second)
    assert benchmark.run(other).rows == whole.rows, "what is finished is not driven again"


def test_another_benchmark_in_the_same_folder_and_other_weights_are_refused(config, whole):
    with pytest.raises(ConfigError, match="vehicles 4.*vehicles 5.*another --out"):
        benchmark.run(replace(config, vehicles=5))
    with pytest.raises(ConfigError, match="other weights"):
        driving.drive_model(config.out, None, NAME, NAME, "abc", 0, {}, None)


def test_without_training_missing_models_are_left_out_or_named(config, tmp_path):
    bare = replace(config, models_dir=tmp_path, out=tmp_path / "out")
    with pytest.raises(ConfigError, match="tcp_25m8.*no finished weights"):
        benchmark.run(replace(bare, models=("tcp_25m8",)))
    with pytest.raises(ConfigError, match="a model of the recipe.*none"):
        benchmark.run(replace(bare, models=()))
    with pytest.raises(ConfigError, match="no --bags"):
        benchmark.run(replace(bare, models=("tcp_25m8",), train=True))
    assert not (tmp_path / "out").exists()


def test_ray_that_is_not_there_is_one_line(config, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match="'ray'.*pip install 'ray"):
        benchmark.run(replace(config, ray="auto"))


class _FakeRay(ModuleType):
    """Ray's calls that we use, done at once in this process; arguments and results go through pickle, as they would."""

    def __init__(self):
        super().__init__("ray")
        self.address, self.tasks = "", []

    def init(self, address, **_):
        if address == "nowhere":
            raise ConnectionError("no cluster")
        self.address = address

    def put(self, thing):
        import pickle

        return pickle.dumps(thing)

    def remote(self, function):
        import pickle

        class Remote:
            @staticmethod
            def remote(parcel, *words):
                self.tasks.append(words)
                return pickle.dumps(function(pickle.loads(parcel), *words))
        return Remote

    def wait(self, tasks, num_returns):
        return tasks[-num_returns:], tasks[:-num_returns]

    def get(self, task):
        import pickle

        return pickle.loads(task)


def test_drives_spread_with_ray_are_the_same(config, whole, tmp_path, monkeypatch):
    ray = _FakeRay()
    monkeypatch.setitem(sys.modules, "ray", ray)
    spread = benchmark.run(replace(config, out=tmp_path / "spread", ray="ray://head:10001"))
    assert ray.address == "ray://head:10001" and len(ray.tasks) == 2
    assert spread.rows == whole.rows
    with pytest.raises(ConfigError, match="a Ray cluster at nowhere.*ray start"):
        benchmark.run(replace(config, ray="nowhere"))


def test_drives_on_a_real_ray_are_the_same(config, whole, tmp_path, monkeypatch):
    ray = pytest.importorskip("ray", reason="needs Ray: pip install ray")
    monkeypatch.setenv("RAY_worker_niceness", "0")
    try:
        spread = benchmark.run(replace(config, out=tmp_path / "spread", ray="local"))
    finally:
        ray.shutdown()
    assert spread.rows == whole.rows
    drives = sorted(path.relative_to(config.out) for path in config.out.rglob("drives/**/*.*") if path.is_file())
    assert len(drives) > 4
    for path in drives:
        assert (tmp_path / "spread" / path).read_bytes() == (config.out / path).read_bytes(), path


def test_the_command_refuses_in_one_line(tmp_path):
    words = ["--suite", "town05-short", "--maps-dir", str(tmp_path), "--out", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-m", "kd_planner_ros.cli.main", "benchmark", "plankd", *words],
                          capture_output=True, text=True)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and "--maps-dir" in done.stderr
