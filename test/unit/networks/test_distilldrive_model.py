"""The DistillDrive student and its teacher as modules: counts, masks, memory, and one vocabulary."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.networks import noise

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.scene import ActorKind
from kd_planner_ros.distill.start import warm_start
from kd_planner_ros.networks.distilldrive import model as student
from kd_planner_ros.networks.distilldrive.boxes import fan, moved, moved_boxes
from kd_planner_ros.networks.distilldrive.config import CANDIDATES, CONFIGURATIONS, KINDS, DistillDriveConfig
from kd_planner_ros.networks.distilldrive.generative import Generative, divergence
from kd_planner_ros.networks.distilldrive.layers import Attention
from kd_planner_ros.networks.distilldrive.processor import build_processor
from kd_planner_ros.networks.distilldrive.training import build_task
from kd_planner_ros.networks.distilldrive.vision import Aggregation, in_pictures
from kd_planner_ros.networks.distilldrive_teacher import model as teacher
from kd_planner_ros.networks.distilldrive_teacher.config import CONFIGURATIONS as TEACHERS
from kd_planner_ros.networks.distilldrive_teacher.config import DistillDriveTeacherConfig
from kd_planner_ros.runtime.paths import models_folder
from kd_planner_ros.runtime.store import load_model


def parameters(module) -> float:
    return sum(one.numel() for one in module.parameters()) / 1e6


def built(config, module):
    torch.manual_seed(0)
    return module.build_model(config).eval()


@pytest.fixture(scope="module")
def privileged():
    return DistillDriveTeacherConfig(), built(DistillDriveTeacherConfig(), teacher)


def scene(config, agents, lines, seed=0):
    """Noise of so many road users and lines; the rest of the slots are empty."""
    example = teacher.example_inputs(config)
    inputs = noise(example, seed) | {name: example[name] for name in ("motion", "kinds", "line_kinds")}
    for name, count in (("there", agents), ("line_there", lines)):
        inputs[name] = (torch.arange(inputs[name].shape[1]) < count).float()[None]
    return inputs


def test_the_counts_are_those_of_the_published_sizes():
    full, nano = CONFIGURATIONS
    with torch.device("meta"):
        small = student.build_model(DistillDriveConfig(signals=False, speed="predicted", target=False, proposals=0))
        large = teacher.build_model(TEACHERS[0])
        assert parameters(small) - parameters(small.backbone) - parameters(small.neck) == pytest.approx(3.08 - 1.52, rel=0.08)
        assert parameters(large) == pytest.approx(11.4, rel=0.07)
        assert parameters(teacher.build_model(replace(TEACHERS[1], speed="predicted", target=False))) == pytest.approx(0.90, rel=0.07)
        assert nano.signals and parameters(student.build_model(nano)) < 4.0, "8 MB in 16 bits"
        shapes = student.build_model(full).planner.plan_anchors.shape
    assert (full.spec.agents, full.spec.lines, shapes) == (900, 100, (3, 6, 6, 2))


@pytest.mark.parametrize(("agents", "lines"), [(0, 0), (0, 3), (5, 0), (48, 24)])
def test_any_number_of_road_users_and_lines_gives_eighteen_queries(privileged, agents, lines):
    config, model = privileged
    with torch.no_grad():
        found = model(**scene(config, agents, lines))
    assert found["queries"].shape == (1, CANDIDATES, config.spec.width) and found["offsets"].shape == (1, CANDIDATES, 6, 2)
    assert all(found[name].isfinite().all() for name in teacher.OUTPUTS)


def test_what_is_not_there_is_not_seen(privileged):
    config, model = privileged
    inputs = scene(config, 5, 3)
    inputs["future_known"] = torch.ones_like(inputs["future_known"])
    with torch.no_grad():
        before = model(**inputs)["queries"]
        for name, slot, seen in (("lines", 1, True), ("lines", 10, False), ("boxes", 2, True), ("boxes", 20, False),
                                 ("future", 2, True), ("future", 20, False)):
            changed = {**inputs, name: inputs[name].clone()}
            changed[name][:, slot] += 3.0
            differs = not torch.equal(model(**changed)["queries"], before)
            assert differs == seen, (name, slot)


def test_a_teacher_of_history_does_not_look_ahead():
    config = DistillDriveTeacherConfig(agent_input="history")
    model, inputs = built(config, teacher), scene(config, 5, 3)
    inputs["future_known"] = torch.ones_like(inputs["future_known"])
    with torch.no_grad():
        assert torch.equal(model(**inputs)["queries"], model(**inputs | {"future": inputs["future"] + 5.0})["queries"])
        inputs["past_known"] = torch.ones_like(inputs["past_known"])
        assert not torch.equal(model(**inputs)["queries"], model(**inputs | {"past": inputs["past"] + 5.0})["queries"])


def test_student_and_teacher_begin_with_one_vocabulary(privileged):
    model = built(DistillDriveConfig(), student)
    for name in ("plan_anchors", "motion_anchors"):
        assert torch.equal(getattr(model.planner, name), getattr(privileged[1].planner, name)), name
    ends = fan(3, 6, 6, 0.5)[:, :, -1]
    assert (ends[0, :, 1] < 0.0).all() and (ends[1, :, 1] > 0.0).all() and (ends[2, :, 1] == 0.0).all(), "right, left, straight on"
    assert len(KINDS) == len(set(KINDS)) and KINDS[0] == ActorKind.CAR


def test_memory_counts_only_where_there_is_one():
    config = DistillDriveConfig()
    model, inputs = built(config, student), noise(student.example_inputs(config))
    inputs["motion"] = torch.tensor([[-2.0, 0.0, 1.0, 0.0, 0.5]])
    inputs["seen"] = torch.ones_like(inputs["seen"])
    inputs |= {name: torch.ones_like(inputs[name]) for name in ("agent_queue_kept", "ego_queue_kept", "agent_confidence")}
    with torch.no_grad():
        for known in (0.0, 1.0):
            inputs["known"] = torch.full((1,), known)
            found = model(**inputs)
            for name in ("agent_features", "line_anchors", "ego_queue"):
                other = model(**inputs | {name: inputs[name] + 1.0})
                assert torch.equal(found["offsets"], other["offsets"]) == (known == 0.0), (name, known)


@pytest.mark.parametrize(("config", "module"), [(DistillDriveConfig(cameras=1), student), (DistillDriveTeacherConfig(), teacher)])
def test_a_frame_that_comes_twice_is_planned_twice(config, module):
    """The memory is then of the same instant: no motion, and no time between."""
    model = built(config, module)
    inputs = scene(config, 5, 3) if module is teacher else noise(module.example_inputs(config)) | {"seen": torch.ones(1, 1)}
    inputs |= module.empty_memory(config) | {"motion": torch.tensor([[0.0, 0.0, 1.0, 0.0, 0.0]]), "known": torch.zeros(1)}
    with torch.no_grad():
        first = model(**inputs)
        again = model(**inputs | {name: first[f"next_{name}"] for name in module.MEMORY} | {"known": torch.ones(1)})
    assert all(again[name].isfinite().all() for name in module.OUTPUTS) and not torch.equal(first["offsets"], again["offsets"])


@pytest.mark.parametrize("repo", [False, True])
def test_an_empty_scene_teaches_a_student_and_its_validation_asks_no_posterior(repo):
    config = DistillDriveConfig(cameras=1, repo_latent=repo)
    model, task = built(config, student), build_task(build_processor(config))
    task.modules(model)
    inputs = noise(student.example_inputs(config)) | {"seen": torch.ones(1, 1), "known": torch.zeros(1)}
    targets = {"boxes": torch.zeros(1, 48, 10), "kinds": torch.full((1, 48), -1), "shown": torch.zeros(1, 48, dtype=torch.bool),
               "future": torch.full((1, 48, 6, 2), torch.nan), "lines": torch.zeros(1, 20, 10, 2), "line_kinds": torch.full((1, 20), -1),
               "plan": torch.ones(1, 6, 2).cumsum(1), "plan_known": torch.tensor([True]), "command": torch.tensor([2]),
               "status": torch.zeros(1, 10), "next_status": torch.zeros(1, 10), "weight": torch.ones(1),
               "projection": inputs["projection"], "seen": inputs["seen"], "groups": torch.zeros(1, 16, 44, dtype=torch.uint8),
               "depths": torch.full((1, 16, 44), 20.0)}
    outputs = model(**inputs)
    assert outputs["queries"].shape == (1, CANDIDATES, config.spec.width)
    loss = task.loss(outputs, targets, inputs)
    assert all(part.isfinite() for part in loss.parts.values()) and "latent" in loss.parts and float(loss.parts["motion"]) == 0.0
    task._posterior.forward = None  # whoever asks it fails
    with torch.no_grad():
        assert "latent" not in task.loss(outputs, targets, inputs).parts
    with pytest.raises(TypeError):
        task.loss(outputs, targets, inputs)


def test_an_attention_without_keys_gives_nothing():
    torch.manual_seed(0)
    attention = Attention(8, 2).eval()
    x, keep = torch.randn(1, 2, 8), torch.tensor([[True, False, False]])
    keys = torch.randn(1, 3, 8)
    with torch.no_grad():
        assert not attention(x, keys, keys, torch.zeros(1, 3, dtype=torch.bool)).any()
        alone = attention(x, keys[:, :1], keys[:, :1])
        assert torch.allclose(attention(x, keys, keys, keep), alone, atol=1e-6)


def test_points_and_boxes_are_moved_by_the_way_of_the_car():
    quarter = torch.tensor([[1.0, -2.0, 0.0, 1.0, 0.5]])  # the old x axis is the new y axis
    assert moved(torch.tensor([[[3.0, 0.0]]]), quarter).tolist() == [[[1.0, 1.0]]]
    box = torch.tensor([[[3.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 0.0]]])
    driven = moved_boxes(box, quarter, drive=True)[0, 0]
    assert driven[:2].tolist() == [1.0, 2.0] and driven[6:].tolist() == [1.0, 0.0, 0.0, 2.0]


def test_points_are_looked_at_in_the_pictures_that_show_them():
    projection = torch.tensor([[[[0.5, -0.5, 0.0, 0.0], [0.5, 0.0, -0.5, 0.0], [1.0, 0.0, 0.0, 0.0]],
                                [[-0.5, -0.5, 0.0, 0.0], [-0.5, 0.0, -0.5, 0.0], [-1.0, 0.0, 0.0, 0.0]]]])  # ahead, and back
    places, inside = in_pictures(torch.tensor([[[10.0, 0.0, 0.0], [10.0, 5.0, 0.0], [-4.0, 0.0, 0.0], [1.0, 30.0, 0.0]]]), projection)
    assert inside[0].tolist() == [[True, True, False, False], [False, False, True, False]]
    assert places[0, 0, :2].tolist() == [[0.0, 0.0], [-0.5, 0.0]] and places[0, 1, 2].tolist() == [0.0, 0.0]
    torch.manual_seed(0)
    look = Aggregation(CONFIGURATIONS[1].spec, 2).eval()
    maps = [torch.randn(2, 96, 4, 8), torch.randn(2, 96, 2, 4)]
    points = torch.tensor([[[[10.0, 0.0, 0.0], [9.0, 1.0, 0.0]], [[1.0, 30.0, 0.0], [1.0, 30.0, 0.0]]]])
    with torch.no_grad():
        found = look(torch.zeros(1, 2, 96), torch.zeros(1, 2, 96), points, maps, projection, torch.tensor([[True, True]]))
        weights = look._weights(torch.zeros(1, 2, 96), projection, in_pictures(points.flatten(1, 2), projection)[1].view(1, 2, 2, 2))
        blind = look(torch.zeros(1, 2, 96), torch.zeros(1, 2, 96), points, maps, projection, torch.tensor([[False, True]]))
        other = look(torch.zeros(1, 2, 96), torch.zeros(1, 2, 96), points, [maps[0] + torch.tensor([0.0, 1.0]).view(2, 1, 1, 1), maps[1]],
                     projection, torch.tensor([[True, True]]))
    assert weights.sum((1, 2, 5))[0].T.tolist() == [[pytest.approx(1.0)] * 4, [0.0] * 4], "a point that no camera shows weighs nothing"
    assert torch.equal(found, other), "the camera that looks back shows none of the points"
    assert torch.equal(blind[:, 0], blind[:, 1]), "nothing is seen of either"


def test_the_latent_variable_of_a_token_is_its_own():
    torch.manual_seed(0)
    part = Generative(CONFIGURATIONS[1].spec).eval()
    tokens = torch.randn(2, 3, 96)
    changed = tokens.clone()
    changed[1, 2] += 1.0
    with torch.no_grad():
        one, other = part(tokens), part(changed)
        assert torch.equal(one, part(tokens)), "the mean, not a draw"
    same = (one == other).all(-1)
    assert same.tolist() == [[True, True, True], [True, True, False]]
    gaussian = torch.randn(4, 16), torch.randn(4, 16)
    assert divergence(gaussian, gaussian).abs().max() < 1e-5 and (divergence(gaussian, (torch.zeros(4, 16), torch.zeros(4, 16))) > 0).all()


def test_a_longer_horizon_is_a_setting():
    config = DistillDriveConfig(horizon_s=4.0)
    with torch.device("meta"):
        assert student.build_model(config).planner.plan_anchors.shape == (3, 6, 8, 2)
    assert np.isclose(config.steps * 0.5, 4.0)


def test_the_backbone_is_the_small_unified_encoders_without_its_last_stage():
    ours, theirs = student.build_model(DistillDriveConfig()).backbone.eval(), load_model(models_folder() / "unified_nano")[0].encoder.eval()
    assert warm_start(ours, theirs) == frozenset(ours.state_dict())
    pictures = torch.randn(1, 3, 128, 352)
    with torch.no_grad():
        assert all(torch.equal(one, other) for one, other in zip(ours(pictures), theirs(pictures)[1:3], strict=True))


def test_nano_needs_transformers_and_full_does_not(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *rest: None)
    with pytest.raises(ConfigError, match="package transformers for network distilldrive"):
        student.build_model(DistillDriveConfig())
    with torch.device("meta"):
        student.build_model(CONFIGURATIONS[0])
