"""Every shipped model still answers what it answered when its reference was stored (float32, engine torch, any machine)."""

import numpy as np
import pytest
from support.reference_outputs import FOLDER, answers, load_float32

from kd_planner_ros.runtime.find import list_models

SHIPPED = [path.name for path in list_models()]
TOLERANCE = 1e-4
"""Absolute and relative. Processors and versions of torch differ by less; on one machine the difference is 0."""


def test_every_shipped_model_has_a_reference_and_none_is_left_over():
    assert sorted(path.stem for path in FOLDER.glob("*.npz")) == SHIPPED != []


@pytest.mark.parametrize("name", SHIPPED)
def test_the_answers_are_those_of_the_reference(name):
    model = load_float32(name)
    found, again = answers(model), answers(model)
    assert all(np.array_equal(value, again[key]) for key, value in found.items()), "not bit-equal within one run"
    with np.load(FOLDER / f"{name}.npz") as wanted:
        assert set(wanted) == set(found)
        for key in wanted:
            np.testing.assert_allclose(found[key], wanted[key], rtol=TOLERANCE, atol=TOLERANCE, err_msg=key)


def test_a_changed_answer_is_noticed():
    model = load_float32(SHIPPED[-1])
    parameter = next(model.engine._model.parameters())
    parameter.data.mul_(1.01)
    with np.load(FOLDER / f"{SHIPPED[-1]}.npz") as wanted:
        found = answers(model)
        assert any(not np.allclose(found[key], wanted[key], TOLERANCE, TOLERANCE) for key in wanted)
        assert all(np.allclose(found[key], wanted[key], TOLERANCE, TOLERANCE) for key in wanted if key.startswith("input."))
