"""Scene flow and motion mask from the three-encoder teacher: nothing to learn from an equal one, units, and what is refused."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from kd_planner_ros.core.errors import CardError, ConfigError
from kd_planner_ros.distill.methods.base import MethodContext
from kd_planner_ros.distill.methods.registry import find_method
from kd_planner_ros.distill.teacher import Teacher
from kd_planner_ros.distill.teacher_cache import keepable
from kd_planner_ros.networks.unified_encoder.config import UnifiedEncoderConfig
from kd_planner_ros.networks.unified_encoder.training import STAGES
from kd_planner_ros.networks.unified_teacher.config import UnifiedTeacherConfig

METHOD = find_method("scene_motion")
STUDENT = UnifiedEncoderConfig(size="tiny")


def built(student=STUDENT, teacher=UnifiedTeacherConfig(size="tiny"), **options):
    card = SimpleNamespace(name="wise", network="unified_teacher")
    known = Teacher(torch.nn.Identity(), teacher, card)
    return METHOD.build(MethodContext("unified_encoder", student, (known,), None, METHOD.options(**options), {}))


def answers(sources=1, factor=1.0):
    generator = torch.Generator().manual_seed(0)
    found = {"depth": factor * (1.0 + torch.rand(2, 16, 24, generator=generator))}
    for scale in range(4):
        size = 16 >> scale, 24 >> scale
        found[f"flow_{scale}"] = factor * torch.randn(2 * sources, 3, *size, generator=generator)
        found[f"motion_{scale}"] = torch.randn(2 * sources, 1, *size, generator=generator)
    return found | {"flow": found["flow_0"]}


def told(method, student, teacher):
    return float(method.losses(student, [{name: teacher[name] for name in method.teacher_fields}], {}, 0.0)["scene_motion"])


def test_an_equal_teacher_teaches_nothing_and_a_different_one_by_equation_3():
    method, own = built(gain=2.0), answers()
    assert told(method, own, own) == 0.0
    off = {name: one + 5.0 if name.startswith("flow") else one for name, one in own.items()}
    assert told(method, own, off) == pytest.approx(2.0 * 0.1 * 5.0 / STUDENT.metres_per_unit, rel=1e-5)
    off = {name: torch.full_like(one, 100.0) if name.startswith("motion") else one for name, one in own.items()}
    still = own | {name: torch.full_like(one, -100.0) for name, one in own.items() if name.startswith("motion")}
    assert told(method, still, off) == pytest.approx(2.0 * 0.001, rel=1e-4)


def test_coarse_scales_alone_can_be_compared():
    method = built(finest=2)
    assert method.teacher_fields == ("flow_2", "motion_2", "flow_3", "motion_3")
    own = answers()
    assert told(method, own, own | {"flow_1": own["flow_1"] + 1.0}) == 0.0 < told(method, own, own | {"flow_3": own["flow_3"] + 1.0})


def test_a_teacher_of_another_unit_is_scaled_by_depth():
    """It has learnt from video; it answers for two sources, and a student with one hears the first one."""
    video = UnifiedTeacherConfig(size="tiny", metric=False, rotation_scale=0.1, logit_bound=4.0, metres_per_unit=44.0)
    own, other = answers(2), answers(2, factor=3.0)
    student = replace(STUDENT, metric=False)
    assert told(built(student, video), own, other) == pytest.approx(0.0, abs=1e-6)
    assert told(built(student, video, align=False), own, other) > 1e-3
    first = {name: one[:2] if name != "depth" else one for name, one in own.items()}
    assert told(built(STUDENT, video), first, other) == pytest.approx(0.0, abs=1e-6)


def test_a_student_may_compare_its_pictures_and_refine_its_pose_as_no_teacher_can():
    method, taught = built(replace(STUDENT, matching=True, aligned_pose=True)), answers()
    for scale in range(4):
        taught[f"flow_{scale}"] = torch.full_like(taught[f"flow_{scale}"], 2.0)
    own = {**taught, **{f"flow_{scale}": taught["flow_0"].clone() for scale in range(4)}}  # its flow is whole at every scale
    assert told(method, own, taught) == pytest.approx(0.0, abs=1e-6)
    assert told(method, own | {"flow_3": own["flow_3"] + 1.0}, taught) > 1e-3


def test_what_does_not_fit_is_refused():
    assert METHOD.accepts("unified_encoder", ["unified_teacher"]) == ""
    for student, teachers in (("tcp", ["unified_teacher"]), ("unified_encoder", []), ("unified_encoder", ["unified_encoder"])):
        assert "unified_teacher" in METHOD.accepts(student, teachers)
    with pytest.raises(CardError, match="camera_fov_deg 100.*'wise' with camera_fov_deg 60"):
        built(teacher=UnifiedTeacherConfig(size="tiny", camera_fov_deg=60.0))
    with pytest.raises(CardError, match="'wise', which has learnt from labels.*unified_teacher.supervision self"):
        built(replace(STUDENT, metric=False))
    with pytest.raises(ConfigError, match="gain"):
        from kd_planner_ros.distill.config import TrainConfig
        TrainConfig(bags=(), network="unified_encoder", size="tiny", method="scene_motion", teacher="wise",
                    sections={"scene_motion": {"gain": 0.0}})


def test_answers_with_several_rows_a_sample_are_not_kept():
    """The rows of a cache are those of the samples."""
    assert keepable({"flow_1": torch.zeros(1, 3, 8, 12)}, 10_000) == ["flow_1"]
    assert not keepable({"flow_1": torch.zeros(2, 3, 8, 12)}, 10_000)


def test_the_teacher_has_no_say_while_the_students_flow_and_mask_are_not_trained():
    """Table of the paper's stages: flow and mask are frozen as they began in the first one, and their error would reach the encoder."""
    assert [stage.method for stage in STAGES] == ["imitation", None, None, None] and not STAGES[0].trains("flow")
