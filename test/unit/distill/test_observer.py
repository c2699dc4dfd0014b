"""A watched training run: what it tells, a pause that costs no schedule, and an end on request."""

import time

import pytest
import torch
from support.training import but

from kd_planner_ros.distill import checkpoint
from kd_planner_ros.distill.observer import Observer
from kd_planner_ros.distill.train import train


class Watch(Observer):
    """Keeps everything it is told; pauses for a second before step ``pause_at``; stops after ``stop_at``."""

    def __init__(self, pause_at=None, stop_at=None):
        self.told, self.pause_at, self.stop_at = [], pause_at, stop_at

    def began(self, step, total, samples, held_out):
        self.began_s = time.perf_counter()
        self.told.append(("began", step, total, samples, held_out))

    def stepped(self, step, progress, values):
        self.told.append(("stepped", step, progress, values["loss"]))
        self.paused = step == self.pause_at
        self.stopped = step == self.stop_at

    def validated(self, step, scores):
        self.told.append(("validated", step, scores["l2_m"]))

    def saved(self, step, folder):
        self.told.append(("saved", step, folder.name))
        self.saved_s = time.perf_counter()

    def wait(self):
        self.told.append(("waits",))
        time.sleep(1.0)
        self.paused = False


@pytest.fixture
def config(train_config):
    return but(train_config, name="watched", batch=2, validation_share=0.5)


def test_a_run_tells_how_it_goes(config):
    watch = Watch()
    report = train(config, watch)
    kinds = [one[0] for one in watch.told]
    assert watch.told[0] == ("began", 0, report.steps, 4, 4) and kinds.count("stepped") == report.steps
    assert kinds[-1] == "saved" and kinds.count("validated") == 2  # after each epoch
    progress = [one[2] for one in watch.told if one[0] == "stepped"]
    assert progress == sorted(progress) and 0.0 <= progress[0] and progress[-1] < 1.0


@pytest.mark.slow
def test_a_pause_saves_and_counts_for_nothing(config):
    plain = train(but(config, name="plain"))
    watch = Watch(pause_at=2)
    report = train(config, watch)
    assert watch.told[watch.told.index(("waits",)) - 1] == ("saved", 2, "watched")
    assert report.finished and 60.0 * report.minutes < watch.saved_s - watch.began_s - 0.99
    one, other = (checkpoint.load(config.runs_dir / name)["learner"]["model"] for name in ("plain", "watched"))
    assert plain.steps == report.steps and all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.slow
def test_an_end_on_request_keeps_a_checkpoint(config):
    report = train(config, Watch(stop_at=2))
    assert not report.finished and report.steps == 2
    rest = Watch()
    assert train(config, rest).finished and rest.told[0][1] == 2
