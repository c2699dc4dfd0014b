"""The closed-loop evaluation around its drives, without a world: whose card is kept, and what a stopped call left undone."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.runs import way, write_run

from kd_planner_ros.core.route import Route
from kd_planner_ros.evaluation import closed_loop, one_route, score, worker
from kd_planner_ros.evaluation.drives import ClosedLoopConfig
from kd_planner_ros.networks.tcp.config import TCPConfig
from kd_planner_ros.networks.tcp.model import build_model
from kd_planner_ros.runtime.store import save_model
from kd_planner_ros.world import maps

SMALL = TCPConfig(size="3.1m", input_height=32, input_width=64)


def test_the_card_is_that_of_the_weights_that_drive(tmp_path, monkeypatch):
    """A folder of the same name in the working directory is not what the loader takes first."""
    for seed, folder in enumerate((tmp_path / "models", tmp_path / "here")):
        torch.manual_seed(seed)
        save_model(folder / "twin", "tcp", SMALL, build_model(SMALL).state_dict())
    monkeypatch.chdir(tmp_path / "here")
    for module in ("find", "paths"):
        monkeypatch.setattr(f"kd_planner_ros.runtime.{module}.models_folder", lambda: tmp_path / "models")
    monkeypatch.setattr(maps, "load_map", lambda name, stations="": SimpleNamespace(name=name))
    setup = worker.Setup(ClosedLoopConfig("twin", tmp_path / "out", engine="torch"))
    shipped = json.loads((tmp_path / "models" / "twin" / "card.json").read_text())
    assert setup.weights == setup.card["weights_sha256"] == shipped["weights_sha256"]
    chosen = worker.Setup(ClosedLoopConfig("auto", tmp_path / "out", engine="torch"))  # as in a notebook, without the command line
    assert chosen.name == "twin" and chosen.weights == setup.weights
    for name in ("expert", "constant_velocity"):
        assert worker.Setup(ClosedLoopConfig(name, tmp_path / "out")).card == {}


class _Setup:
    """One route, and nobody who could drive it."""

    name, weights, sensors, latency, notes = "nobody", "", (), one_route.NO_LATENCY, ()
    fallback_weights, fallback_facts = "", {}

    def __init__(self, config):
        self.config = config
        line = way(np.arange(0.0, 50.0, 1.0))
        self.route = Route("r", "default", line, np.zeros(50), np.full(50, 4, np.int8), line[[0, -1]])

    def routes(self):
        return [self.route]

    def close(self):
        pass


FACTS = {"route": "r", "town": "default", "status": "Completed", "completion": 100.0, "route_length_m": 49.0,
         "key_length_m": 49.0, "duration_game_s": 1.0, "outside_share": 0.0, "events": []}


@pytest.mark.parametrize("pictures", [True, False])
def test_a_drive_stopped_before_its_report_gets_it_with_the_next_call(tmp_path, monkeypatch, pictures):
    def stopped(setup, drive):
        write_run(drive.folder, seconds=1.0, pictures=pictures)
        score.write_statistics(drive.folder / "statistics.json", [score.route_record(FACTS)])
        raise KeyboardInterrupt

    config = ClosedLoopConfig("constant_velocity", tmp_path, report=True)
    monkeypatch.setattr(worker, "Setup", _Setup)
    monkeypatch.setattr(worker, "drive_one", stopped)
    with pytest.raises(KeyboardInterrupt):
        closed_loop.run(config, progress=False)
    pages = list(tmp_path.glob("seed_0/*/report.html"))
    closed_loop.run(config, progress=False)
    found = [page.relative_to(tmp_path).as_posix() for page in tmp_path.glob("seed_0/*/report.html")]
    assert not pages and len(found) == pictures
    assert all(page in (tmp_path / "report.html").read_text() for page in found)
