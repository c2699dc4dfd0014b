"""The contracts by role: what a class, and what an object, must keep."""

import pytest

from kd_planner_ros.core.errors import PlannerError
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.networks.planner import Model, Perceiver, Planner, Processor, require_model, require_perceiver, require_planner


class Eye(Perceiver):
    name, rig, rate_hz = "eye", SensorRig(), 10.0

    def reset(self):
        pass

    def perceive(self, frame):
        return frame


def test_a_perceiver_passes_its_checks_and_is_no_planner():
    assert require_perceiver(Eye()).role == "perceiver" and require_model(Eye()).name == "eye"
    with pytest.raises(PlannerError, match="expected a Planner; got 'eye', a perceiver"):
        require_planner(Eye())
    with pytest.raises(PlannerError, match="a Planner or a Perceiver; got object"):
        require_model(object())


@pytest.mark.parametrize("base, members, words", [
    (Perceiver, {"perceive": lambda self: None}, "perceive with 1 argument"),
    (Perceiver, {"reset": lambda self, now: None}, "reset with 0 argument"),
    (Perceiver, {"perceive": 3}, "perceive with 1 argument"),
    (Perceiver, {"role": "planner"}, "one role"),
    (Planner, {"role": "oracle"}, "one role"),
    (Planner, {"rate_hz": "fast"}, "rate_hz"),
    (Processor, {"decode": lambda self, outputs: None}, "decode with 2 argument"),
    (Processor, {"encode": lambda self, frames, more: None}, "encode with 1 argument"),
])
def test_a_class_that_breaks_the_contract_fails_when_it_is_defined(base, members, words):
    with pytest.raises(PlannerError, match=words):
        type("Wrong", (base,), members)


def test_one_class_has_one_role():
    with pytest.raises(PlannerError, match="one role for Both.*perceiver, planner"):
        type("Both", (Planner, Perceiver), {})
    assert issubclass(Planner, Model) and Processor[int] is not None
