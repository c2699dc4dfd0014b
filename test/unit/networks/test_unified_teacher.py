"""The three-encoder teacher: parameters of the table, the student's inputs and outputs, encoders that share nothing."""

import pytest
import torch
from support.unified import TINY

from kd_planner_ros.networks.unified_encoder.model import OUTPUTS, UnifiedEncoder, example_inputs
from kd_planner_ros.networks.unified_teacher.config import UnifiedTeacherConfig
from kd_planner_ros.networks.unified_teacher.model import build_model
from kd_planner_ros.runtime.params import count_parameters

torch.set_num_threads(1)
PARTS = {"depth": "encoder", "mask_logits": "encoder", "pose": "ego", "flow": "pair", "motion": "pair"}
"""Outputs, and the encoder that each learns from."""


@pytest.fixture(scope="module")
def teacher():
    torch.manual_seed(0)
    return build_model(UnifiedTeacherConfig(size="tiny", camera_width=64, camera_height=48))


def test_parameters_of_the_full_size_are_those_of_the_table():
    with torch.device("meta"):
        model = build_model(UnifiedTeacherConfig(size="full"))
    found = {name: count_parameters(model.get_submodule(name)) / 1e6 for name in ("encoder", "depth", "pose", "flow", "motion")}
    assert found == pytest.approx({"encoder": 27.52, "depth": 12.91, "pose": 1.31, "flow": 6.4, "motion": 6.4}, rel=0.01)
    assert 11.0 < count_parameters(model.ego) / 1e6 < 11.3  # a ResNet-18 without classifier has 11.18, the stem of two pictures included


def test_it_answers_as_its_student(teacher, monkeypatch):
    """For one source and for two, which are heard one by one where the source stands first."""
    monkeypatch.setattr(teacher, "ordered", False)
    torch.manual_seed(1)
    inputs = {name: one if name == "task" else torch.randn_like(one) for name, one in example_inputs(TINY, 2).items()}
    other = torch.randn_like(inputs["before"])
    with torch.no_grad():
        first, second = teacher.eval()(**inputs), teacher(**(inputs | {"before": other}))
        both = teacher(**(inputs | {"before": torch.cat([inputs["before"], other])}))
        student = UnifiedEncoder(TINY).eval()(**inputs)
    assert set(OUTPUTS) <= set(first)
    assert {name: one.shape for name, one in first.items()} == {name: one.shape for name, one in student.items()}
    for name in ("pose", "flow", "motion"):
        assert torch.allclose(both[name], torch.cat([first[name], second[name]]), atol=1e-5), name
    assert torch.equal(first["depth"], both["depth"])


@pytest.mark.parametrize("output", PARTS)
def test_no_output_teaches_another_outputs_encoder(teacher, output):
    inputs = {name: one if name == "task" else torch.randn_like(one) for name, one in example_inputs(TINY, 2).items()}
    teacher.train().zero_grad(set_to_none=True)
    teacher(**inputs)[output].sum().backward()
    taught = {name.split(".")[0] for name, one in teacher.named_parameters() if one.grad is not None and one.grad.abs().sum() > 0}
    assert taught & {"encoder", "ego", "pair"} == {PARTS[output]}
