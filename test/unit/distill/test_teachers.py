"""Several teachers of other networks: each with samples of its own, paired by stamp, cached apart, asked in the step without a cache."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.plugins import distribution
from support.training import but, training_in
from support.views import write_views

from kd_planner_ros.bags.find import find_bags
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.plugins import METHODS
from kd_planner_ros.distill.learner import Learner
from kd_planner_ros.distill.methods.registry import find_method, method_names
from kd_planner_ros.distill.parallel import join
from kd_planner_ros.distill.recorded import cameras
from kd_planner_ros.distill.teacher_source import _partner
from kd_planner_ros.distill.train import train
from kd_planner_ros.networks.registry import find_network
from kd_planner_ros.runtime.store import load_model, save_model
from kd_planner_ros.samples.dataset import Samples
from kd_planner_ros.samples.shards import build_shards

CONFIG = """
    from dataclasses import dataclass, field
    SHARED_INPUTS = False
    @dataclass(frozen=True)
    class Config:
        pull: float = field(default=0.5, metadata={"help": "weight of the pull towards both teachers"})
    def accepts(student, teachers):
        return "" if sorted(teachers) == ["interfuser", "tcp"] else "an InterFuser and a TCP"
"""
METHOD = """
    from kd_planner_ros.distill.methods.base import Distiller
    class Both(Distiller):
        teacher_fields = ("waypoints",)
        def __init__(self, pull):
            super().__init__()
            self.pull = pull
        def losses(self, student, teachers, truth, epoch):
            ends = sum(one["waypoints"][:, -1] for one in teachers) / len(teachers)
            return {"both": self.pull * (student["waypoints"][:, -1] - ends).abs().mean()}
    def build(context):
        return Both(context.options.pull)
"""
FIELDS = {"interfuser": {"size": "3.8m", "front_px": 32, "side_px": 32, "focus_px": 32, "lidar_px": 32, "camera_width": 64,
                         "camera_height": 48, "side_width": 64, "side_height": 48},
          "tcp": {"size": "3.1m", "input_height": 64, "input_width": 96, "camera_width": 64, "camera_height": 48}}


@pytest.fixture
def config(tmp_path, monkeypatch):
    torch.set_num_threads(1)
    distribution(monkeypatch, tmp_path, "td-two", {METHODS: {"both": "td_two.both"}},
                 {"td_two/both/config.py": CONFIG, "td_two/both/method.py": METHOD})
    for number, rate in enumerate((0.25, -0.25)):
        write_views(tmp_path / "bags" / f"b{number}", rate, seed=number)
    for number, (name, values) in enumerate(FIELDS.items()):
        torch.manual_seed(number)
        given = find_network(name).config(values)
        save_model(tmp_path / "models" / f"wise_{name}", name, given, find_network(name).build_model(given).state_dict(),
                   {"data": {"maps": ["Town03"]}})
    return training_in(tmp_path, method="both", teacher="wise_interfuser,wise_tcp", epochs=1)


def attached(config):
    bags = find_bags(config.bags)
    learner = Learner(config, join("cpu"), *cameras(bags[0]))
    shards = build_shards(bags, config.cache, learner.task, progress=False)
    learner.distillation.attach(dict(zip(shards, bags, strict=True)))
    return learner, Samples(shards)


@pytest.mark.slow
def test_a_strangers_method_trains_with_two_teachers(config):
    assert "both" in method_names() and find_method("both").options().pull == 0.5
    assert train(config).finished
    card = load_model(config.models_dir / "student")[2]
    assert card.training["method"] == "both" and card.training["recipe"]["both"] == {"pull": 0.5}
    assert [one["name"] for one in card.training["teachers"]] == ["wise_interfuser", "wise_tcp"] and "Town03" in card.maps_seen
    folders = {path.name.partition(".teacher")[2] for path in config.cache.glob("*.teacher*")}
    assert len(folders) == 2 and len(list(config.cache.glob("*.teacher*"))) == 4  # two teachers of two recordings


@pytest.mark.slow
def test_answers_are_the_teachers_own_whether_kept_or_asked(config):
    found = {}
    for keep in (True, False):
        learner, samples = attached(but(config, teacher_cache=keep, augment=False))
        batch = learner.prepare(samples, np.array([5, 0, 3, 7]), 0)
        assert any(name.startswith("teacher2.array.") for name in batch.extras) != keep
        found[keep] = learner.distillation._answers(batch, dict)
    for kept, asked in zip(found[True], found[False], strict=True):
        torch.testing.assert_close(kept["waypoints"], asked["waypoints"], atol=1e-4, rtol=1e-4)
    assert found[True][0]["waypoints"].shape == (4, 10, 2) and found[True][1]["waypoints"].shape == (4, 4, 2)


def test_teachers_that_a_method_does_not_take_are_refused(config):
    with pytest.raises(ConfigError, match="an InterFuser and a TCP for method 'both'.*'wise_tcp' of network tcp"):
        train(replace(config, teacher="wise_tcp"))
    with pytest.raises(ConfigError, match="one teacher of the student's own network 'tcp' for method 'at'"):
        train(but(config, method="at", teacher="wise_interfuser"))


@pytest.mark.slow
def test_samples_without_a_partner_are_counted_and_not_drawn(config, capsys):
    learner, samples = attached(config)
    source, shard = learner.distillation.sources[0], samples.shards[0]
    other, partner = source._own[shard]
    assert (partner >= 0).all() and (other.rows["stamp"][partner] == shard.rows["stamp"]).all()
    partner[1] = -1
    usable = learner.distillation.usable(samples)
    assert not usable[1] and usable.sum() == len(samples) - 1
    assert f"1 of {len(samples)} samples left out: teacher 'wise_interfuser'" in capsys.readouterr().err
    turned = SimpleNamespace(rows=other.rows[::-1])
    assert (turned.rows["stamp"][_partner(shard, turned)] == shard.rows["stamp"]).all()
