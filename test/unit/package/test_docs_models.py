"""The tables of models in README and docs are those that the cards give."""

import re
from pathlib import Path

import pytest

from kd_planner_ros.core.card import ModelCard
from kd_planner_ros.evaluation.benchmark.recorded import flatten
from kd_planner_ros.evaluation.dense.classes import ClassMeasure
from kd_planner_ros.evaluation.dense.depth import DepthMeasure
from kd_planner_ros.evaluation.dense.masks import MaskMeasure
from kd_planner_ros.evaluation.dense.vocabulary import Classes
from kd_planner_ros.runtime.zoo import SEEN, _row, markdown, zoo

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(("page", "link"), [("README.md", "models"), ("docs/models.md", "../models")])
def test_the_table_is_generated(page, link):
    found = re.search(rf"<!-- table: kd-planner models list --markdown {link} -->\n(.*?)<!-- end of table -->",
                      (ROOT / page).read_text(), re.S)
    assert found, "the markers around the table are gone"
    wanted = markdown(zoo(ROOT / "models"), link)
    assert found[1] == wanted, f"put the output of 'kd-planner models list --markdown {link}' between the markers"


def test_every_shipped_model_says_what_it_is_for():
    assert [row.name for row in zoo(ROOT / "models") if not row.use] == []


def test_a_row_by_hand():
    score = {"driving_score": 50.04, "route_completion": 99.96, "seeds": [0, 1], "std": {"driving_score": 1.26}}
    scores = {"closed_loop_town05_short": score, "closed_loop_default_town": {**score, "seeds": [0]},
              "latency": {"p50_ms": 8.04, "engine": "torch"}}
    card = ModelCard("m", "tcp", {"size": "3.1m"}, "", 3_107_417, scores=scores, use="tests")
    assert _row(card).cells("up") == ("[`m`](up/m/card.json)", "tests", "1 camera 900x256", "3.1 M", "8.0 ms (torch)",
                                      "Town05 Short 50.0 ± 1.3 / 100.0 % (2 seeds); default town 50.0 / 100.0 % (1 seed)")


def test_a_perceivers_row_has_its_own_headline():
    score = {"outputs/depth/metric/abs_rel": 0.1181, "outputs/classes/mean_iou": 0.5514, "outputs/drivable/iou": 0.96, "frames": 9}
    scores = {"validation": {"abs_rel": 0.2}, "dense_town05": score, "dense_empty": {"frames": 0}, "dense_generated_towns":
              {name: value for name, value in score.items() if "classes" not in name}}
    card = ModelCard("seer", "unified_encoder", {"size": "nano"}, "", 5_100_000, scores=scores, use="tests")
    assert _row(card).cells("up")[2:] == ("1 camera 448x336", "5.1 M", "-", "town05 Abs Rel 0.118, mIoU 0.551, drivable IoU 0.960; "
                                          "generated towns Abs Rel 0.118, drivable IoU 0.960")


def test_a_perceivers_headline_has_the_names_of_the_evaluation():
    """The names are those that ``evaluate dense`` gives, flattened as a benchmark keeps them."""
    depth, classes, mask = DepthMeasure(80.0), ClassMeasure(Classes(("Road",))), MaskMeasure()
    given = flatten({"depth": depth.figures({}), "classes": classes.figures({}), "drivable": mask.figures({})})
    assert set(SEEN.values()) <= set(given)
