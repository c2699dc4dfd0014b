"""Checkpoints: what is saved comes back, and what could not come back is refused when it is saved."""

from collections import OrderedDict
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from kd_planner_ros.core.errors import TrainingError
from kd_planner_ros.distill import checkpoint


def test_arrays_and_numbers_of_numpy_come_back(tmp_path):
    tensor = torch.arange(3.0)
    memory = {"held": np.arange(6, dtype=np.float32).reshape(2, 3), "step": np.int64(4), "names": [np.array(["a", "b"])], "tensor": tensor,
              "rows": np.zeros(2, [("x", "f4"), ("y", "i8")]), "pair": (1, np.float32(0.5)), "none": None}
    checkpoint.save(tmp_path, {"learner": {"memory": memory, "model": OrderedDict(a=tensor)}})
    found = checkpoint.load(tmp_path)["learner"]
    kept = found["memory"]
    assert kept["held"].dtype == np.float32 and (kept["held"] == memory["held"]).all() and kept["names"][0].tolist() == ["a", "b"]
    assert (type(kept["step"]), kept["step"], kept["pair"], kept["none"]) == (int, 4, (1, 0.5), None)
    assert kept["rows"].dtype == memory["rows"].dtype and torch.equal(kept["tensor"], tensor) and isinstance(found["model"], OrderedDict)


@pytest.mark.parametrize("value", [SimpleNamespace(a=1), np.array([None]), {1, 2}, lambda: 0])
def test_what_could_not_be_read_back_is_refused_by_its_place(tmp_path, value):
    checkpoint.save(tmp_path, {"step": 1})
    with pytest.raises(TrainingError, match=r"at state\.learner\.memory\[1\]; got .*; correct what memory"):
        checkpoint.save(tmp_path, {"learner": {"memory": [0, value]}})
    assert checkpoint.load(tmp_path) == {"step": 1} and [path.name for path in tmp_path.iterdir()] == ["last.pt"]
