"""DistillDrive at the published size: 900 boxes, 100 lines, ResNet-50, six cameras of 704x256 and four maps; 150 road users and 50 lines
of the teacher. Random weights, batch 1."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.networks import noise

from kd_planner_ros.networks.distilldrive import model as student
from kd_planner_ros.networks.distilldrive.config import CONFIGURATIONS
from kd_planner_ros.networks.distilldrive.processor import build_processor, projection
from kd_planner_ros.networks.distilldrive.training import build_task
from kd_planner_ros.networks.distilldrive_teacher import model as teacher
from kd_planner_ros.networks.distilldrive_teacher.config import CONFIGURATIONS as TEACHERS
from kd_planner_ros.networks.distilldrive_teacher.processor import build_processor as teacher_processor
from kd_planner_ros.networks.distilldrive_teacher.training import build_task as teacher_task

FULL, TEACHER = CONFIGURATIONS[0], TEACHERS[0]
WHO = ("student", "teacher")
SHAPES = {
    student: {"offsets": (18, 6, 2), "scores": (18,), "queries": (18, 256), "status": (10,), "boxes": (900, 10), "box_logits": (900, 7),
              "agent_offsets": (900, 6, 12, 2), "lines": (100, 40), "line_logits": (100, 6), "kept": (600,),
              "next_agent_features": (600, 256), "next_line_anchors": (33, 40), "next_agent_queue": (600, 3, 256),
              "next_ego_queue": (3, 18, 256)},
    teacher: {"offsets": (18, 6, 2), "queries": (18, 256), "status": (18, 10), "agent_offsets": (150, 6, 12, 2),
              "agent_scores": (150, 6), "next_agent_queue": (150, 3, 256), "next_ego_queue": (3, 18, 256)}}
MOTION = torch.tensor([[-2.5, 0.0, 1.0, 0.0, 0.5]])
"""2.5 m ahead in 0.5 s."""


def frame_of(config, module):
    """A frame of noise with every camera, or with all road users and lines; nothing is remembered."""
    inputs, example = noise(module.example_inputs(config)), module.example_inputs(config)
    inputs |= {name: one for name, one in example.items() if name in module.MEMORY or name in ("motion", "known", "kinds", "line_kinds")}
    if module is student:
        views = np.stack([projection(spec, config) for spec in config.camera_specs])
        return inputs | {"seen": example["seen"], "projection": torch.from_numpy(views)[None]}
    return inputs | {name: torch.ones_like(one) for name, one in inputs.items() if name.endswith(("there", "_known"))}


def remembered(inputs, found, module):
    """The frame after ``found``: the same one, 0.5 s later."""
    memory = {name: found[f"next_{name}"].detach() for name in module.MEMORY}
    return inputs | memory | {"motion": MOTION, "known": torch.ones(1)}


def shapes_of(found, module):
    return {name: tuple(found[name].shape[1:]) for name in SHAPES[module]}


@pytest.mark.parametrize(("config", "module", "millions", "published"), [(FULL, student, 85.03, 84.06), (TEACHER, teacher, 12.09, 11.96),
                                                                         (CONFIGURATIONS[1], student, 2.67, 2.43)], ids=[*WHO, "nano"])
def test_counts_are_those_of_the_table(config, module, millions, published):
    """docs/notes/distilldrive.md; on the meta device."""
    assert config is not FULL or (config.cameras, config.spec.strides) == (6, (4, 8, 16, 32))
    faithful = replace(config, signals=False, speed="predicted", target=False, **({} if config is TEACHER else {"proposals": 0}))
    for own, count in ((config, millions), (faithful, published)):
        with torch.device("meta"):
            model = module.build_model(own)
        assert sum(one.numel() for one in model.parameters()) / 1e6 == pytest.approx(count, abs=0.005)


@pytest.mark.slow
@pytest.mark.parametrize(("config", "module"), [pytest.param(FULL, student, marks=pytest.mark.long), (TEACHER, teacher)], ids=WHO)
def test_a_frame_and_the_next_one_are_planned(config, module):
    torch.manual_seed(0)
    model, inputs = module.build_model(config).eval(), frame_of(config, module)
    with torch.inference_mode():
        first = model(**inputs)
        second = model(**remembered(inputs, first, module))
    for found, frames in ((first, 1), (second, 2)):
        assert shapes_of(found, module) == SHAPES[module]
        assert all(found[name].isfinite().all() for name in module.OUTPUTS)
        assert found["next_ego_queue_kept"].tolist() == [[float(index < frames) for index in range(3)]]
    assert not torch.equal(first["offsets"], second["offsets"]), "it remembers"
    assert module is teacher or len(first["kept"].unique()) == 600


def truth(agents, lines, config):
    """Three road users, a border, a crossing and a red light's stop line ahead, and a car that drives on."""
    boxes, kinds = torch.zeros(1, agents, 10), torch.full((1, agents), -1)
    boxes[..., 7], kinds[0, :3] = 1.0, torch.tensor([0, 5, 2])
    boxes[0, :3, :6] = torch.tensor([[15.0, 0.5, 0.8, 1.5, 0.6, 0.4], [9.0, 4.0, 0.9, -0.7, -0.7, 0.5], [30.0, -4.0, 1.5, 2.4, 0.9, 1.1]])
    steps = torch.arange(1.0, 13.0)[:, None] * torch.tensor([2.0, 0.0])
    shapes, line_kinds = torch.zeros(1, lines, 20, 2), torch.full((1, lines), -1)
    line_kinds[0, :3] = torch.tensor([2, 0, 3])
    shapes[0, :2] = torch.stack([torch.linspace(1.0, 25.0, 20), torch.full((20,), 4.0)], 1)
    shapes[0, 2] = torch.stack([torch.full((20,), 12.0), torch.linspace(-1.5, 1.5, 20)], 1)
    return {"boxes": boxes, "kinds": kinds, "shown": kinds >= 0, "future": boxes[:, :, None, :2] + steps, "lines": shapes,
            "line_kinds": line_kinds, "plan": steps[None, :config.steps], "plan_known": torch.tensor([True]),
            "command": torch.tensor([2]), "status": torch.zeros(1, 10), "next_status": torch.zeros(1, 10), "weight": torch.ones(1)}


@pytest.mark.slow
@pytest.mark.parametrize(("config", "module", "task_of"), [
    (replace(FULL, cameras=1), student, lambda config: build_task(build_processor(config))),
    (TEACHER, teacher, lambda config: teacher_task(teacher_processor(config)))], ids=WHO)
def test_every_weight_learns_in_one_step(config, module, task_of):
    """The student with one camera, which has the weights of six: what six sample for the backward pass is 6.1 GB by itself (6 layers,
    41,700 points, 6 cameras, 4 maps, 256 channels of 4 bytes)."""
    torch.manual_seed(0)
    model, inputs, task = module.build_model(config), frame_of(config, module), task_of(config)
    beside = task.modules(model)
    with torch.no_grad():
        inputs = remembered(inputs, model.eval()(**inputs), module)
    targets = truth(150, 100 if module is student else 50, config) | {
        name: inputs[name] for name in ("projection", "seen") if name in inputs}
    targets |= {"groups": torch.ones(1, 32, 88, dtype=torch.uint8), "depths": torch.full((1, 32, 88), 20.0)}
    loss = task.loss(model.train()(**inputs), targets, inputs)
    loss.total.backward()
    assert set(loss.parts) == {name for name, weight in task.weights.items() if weight} and torch.isfinite(loss.total)
    learning = {name: one for part in (model, beside) for name, one in part.named_parameters() if one.requires_grad}
    assert [name for name, one in learning.items() if one.grad is None or not one.grad.isfinite().all()] == []
