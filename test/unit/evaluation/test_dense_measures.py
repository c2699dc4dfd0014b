"""Depth errors and class IoU against plain loops on random cases, and against numbers worked out by hand."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kd_planner_ros.core.outputs import DenseOutput
from kd_planner_ros.evaluation.dense.classes import ClassMeasure, RowClass
from kd_planner_ros.evaluation.dense.depth import DEPTH_FIGURES, DepthMeasure, RowMedian, depth_errors, told_depth
from kd_planner_ros.evaluation.dense.instants import Grid
from kd_planner_ros.evaluation.dense.measure import Tally
from kd_planner_ros.evaluation.dense.vocabulary import IGNORED, Classes, match_tags
from kd_planner_ros.imaging.palette import TAGS

ROAD, CAR, TRUCK, SKY, POLE = (next(i for i, (name, _) in enumerate(TAGS) if name == wanted)
                               for wanted in ("Road", "Car", "Truck", "Sky", "Pole"))
CASES = {"max_examples": 60, "deadline": None}


def scored(measure, pairs):
    """The measure's figures over (found, truth) pairs, a frame each."""
    tally = Tally()
    for found, truth in pairs:
        tally.add(measure.counts(found, truth))
    return measure.figures(tally.sums)


def loop_depth(pairs: list[tuple[float, float]], max_m: float) -> dict[str, float]:
    """The same by one loop over (prediction, truth) pairs."""
    sums = dict.fromkeys(DEPTH_FIGURES, 0.0)
    for found, truth in pairs:
        found = min(max(found, 1e-3), max_m)
        sums["abs_rel"] += abs(found - truth) / truth
        sums["sq_rel"] += (found - truth) ** 2 / truth
        sums["rmse_m"] += (found - truth) ** 2
        sums["rmse_log"] += (math.log(found) - math.log(truth)) ** 2
        for power in (1, 2, 3):
            sums[f"delta_{power}"] += max(found / truth, truth / found) < 1.25 ** power
    means = {name: value / len(pairs) for name, value in sums.items()}
    return means | {name: math.sqrt(means[name]) for name in ("rmse_m", "rmse_log")}


@given(seed=st.integers(0, 2**32 - 1), frames=st.integers(1, 4), height=st.integers(1, 6), width=st.integers(1, 7),
       max_m=st.sampled_from([10.0, 80.0]))
@settings(**CASES)
def test_depth_is_what_a_loop_finds(seed, frames, height, width, max_m):
    random, shown = np.random.default_rng(seed), []
    wanted = {"metric": [], "median_scaled": []}
    left = dict.fromkeys(("no_truth", "beyond_max", "unknown", "frames", "frames_without_metres"), 0)
    pixels = 0
    for _ in range(frames):
        truth = np.exp(random.uniform(-1.0, 5.0, (height, width))).astype(np.float32)
        found = (truth * np.exp(random.normal(0.2, 0.4, truth.shape))).astype(np.float32)
        for array, bad, chance in ((truth, np.nan, 0.1), (truth, np.inf, 0.05), (found, np.nan, 0.15), (found, -1.0, 0.05),
                                   (found, np.inf, 0.05)):
            array[random.random(truth.shape) < chance] = bad
        shown.append((found, truth))
        pairs = []
        for one, other in zip(found.ravel().tolist(), truth.ravel().tolist(), strict=True):
            if not math.isfinite(other) or other < 1e-3:
                left["no_truth"] += 1
            elif other > max_m:
                left["beyond_max"] += 1
            elif math.isnan(one):
                left["unknown"] += 1
            else:
                pairs.append((min(max(one, 1e-3), float(np.finfo(np.float32).max)), other))
        pixels += len(pairs)
        if not pairs:
            left["frames"] += 1
            continue
        scale = statistics.median(other for _, other in pairs) / statistics.median(one for one, _ in pairs)
        wanted["metric"].append(loop_depth(pairs, max_m))
        wanted["median_scaled"].append(loop_depth([(one * scale, other) for one, other in pairs], max_m))
    result = scored(DepthMeasure(max_m, (max_m, 5.0)), shown)
    assert result["to_5_m"] == {way: scored(DepthMeasure(5.0), shown)[way] for way in wanted}
    assert result["left_out"] == left and result["pixels"] == pixels and result["frames"] == frames - left["frames"]
    for way, errors in wanted.items():
        for name in DEPTH_FIGURES:
            expected = statistics.fmean(one[name] for one in errors) if errors else None
            assert result[way][name] == (None if expected is None else pytest.approx(expected, rel=1e-6, abs=1e-9))


def test_a_frame_without_metres_counts_after_median_scaling_alone():
    """Rows of a comparison are then judged on the same frames, whether or not a network found its ground plane in them."""
    random = np.random.default_rng(0)
    truth = random.uniform(1.0, 50.0, (2, 4, 6)).astype(np.float32)
    known, rough = truth * np.float32(1.1), truth[1] * random.uniform(0.5, 2.0, (4, 6)).astype(np.float32)
    lost = told_depth(DenseOutput("depth", np.full((4, 6), np.nan, np.float32), meta={"raw": "unscaled"}, raw=0.01 * rough))
    both = scored(DepthMeasure(80.0), [(known[0], truth[0]), (lost, truth[1])])
    alone = scored(DepthMeasure(80.0), [(known[0], truth[0])])
    whole = scored(DepthMeasure(80.0), [(known[0], truth[0]), (rough, truth[1])])
    assert both["metric"] == alone["metric"] and both["left_out"]["frames_without_metres"] == 1
    assert both["median_scaled"]["abs_rel"] == pytest.approx(whole["median_scaled"]["abs_rel"], rel=1e-5) and both["frames"] == 2
    sky = DenseOutput("depth", np.where(truth[0] < 20.0, known[0], np.float32(np.nan)), raw=known[0])
    assert scored(DepthMeasure(80.0), [(told_depth(sky), truth[0])]) == alone, "a wall that was taken for sky is not left out"


@given(seed=st.integers(0, 2**32 - 1), frames=st.integers(1, 3), height=st.integers(1, 6), width=st.integers(1, 7))
@settings(**CASES)
def test_class_iou_is_what_sets_of_pixels_find(seed, frames, height, width):
    random = np.random.default_rng(seed)
    labels, tags_of = ("road", "Car+Truck", "nonsense", "SKY"), ({ROAD}, {CAR, TRUCK}, set(), {SKY})
    measure, shown = ClassMeasure(Classes(labels)), []
    recorded: list[set] = [set() for _ in labels]
    answered: list[set] = [set() for _ in labels]
    ignored = right = unknown = 0
    for frame in range(frames):
        tags = random.choice([ROAD, CAR, TRUCK, SKY, POLE], (height, width)).astype(np.uint8)
        found = random.choice([0, 1, 2, 3, 4, 5, 255], (height, width)).astype(np.uint8)  # two ids have no label, 255 says nothing
        shown.append((found, measure.classes.truth(tags)))
        for row in range(height):
            for column in range(width):
                wanted = [k for k, one in enumerate(tags_of) if tags[row, column] in one]
                if not wanted:
                    ignored += 1
                    continue
                if found[row, column] == 255:
                    unknown += 1
                    continue
                recorded[wanted[0]].add((frame, row, column))
                if found[row, column] < len(labels):
                    answered[found[row, column]].add((frame, row, column))
                right += int(found[row, column] == wanted[0])
    result = scored(measure, shown)
    expected = {label: len(a & b) / len(a | b) if a | b and tags else None
                for label, a, b, tags in zip(labels, recorded, answered, tags_of, strict=True)}
    assert result["iou"] == pytest.approx(expected)
    known = [value for value in expected.values() if value is not None]
    assert result["mean_iou"] == (pytest.approx(sum(known) / len(known)) if known else None)
    assert result["left_out"] == {"no_class": ignored, "unknown": unknown, "labels_without_tag": ["nonsense"]}
    judged = frames * height * width - ignored - unknown
    assert result["pixels"] == judged and result["accuracy"] == (pytest.approx(right / judged) if judged else None)


def test_errors_by_hand():
    """2 m for 4 m and 8 m for 8 m: |d - t| / t is 1/2 and 0, (d - t)^2 / t is 1 and 0, the ratio 2 lies above 1.25^3."""
    found = dict(zip(DEPTH_FIGURES, depth_errors(np.array([2.0, 8.0]), np.array([4.0, 8.0]), 80.0), strict=True))
    assert found == pytest.approx({"abs_rel": 0.25, "sq_rel": 0.5, "rmse_m": math.sqrt(2.0), "rmse_log": math.log(2.0) / math.sqrt(2.0),
                                   "delta_1": 0.5, "delta_2": 0.5, "delta_3": 0.5})


def test_a_wrong_scale_is_forgiven_by_median_scaling_alone():
    truth = np.linspace(2.0, 60.0, 50).reshape(5, 10)
    result = scored(DepthMeasure(80.0), [(truth / 4.0, truth)])
    assert result["metric"]["abs_rel"] == pytest.approx(0.75) and result["metric"]["delta_3"] == 0.0
    assert result["median_scaled"]["abs_rel"] == pytest.approx(0.0, abs=1e-9) and result["median_scaled"]["delta_1"] == 1.0


def test_labels_are_matched_whatever_their_spelling():
    class_of_tag, unmatched = match_tags(("traffic light", "Person", "road_line", "car+bus", "ghost"))
    names = {name: class_of_tag[number] for number, (name, _) in enumerate(TAGS)}
    assert (names["TrafficLight"], names["Pedestrian"], names["RoadLine"], names["Car"], names["Bus"]) == (0, 1, 2, 3, 3)
    assert names["Road"] == IGNORED and unmatched == ("ghost",)


@given(seed=st.integers(0, 2**32 - 1), frames=st.integers(1, 4), height=st.integers(1, 5), width=st.integers(1, 6))
@settings(**CASES)
def test_the_depth_baseline_is_the_median_of_each_row(seed, frames, height, width):
    random, baseline = np.random.default_rng(seed), RowMedian(80.0)
    truths = np.exp(random.uniform(-1.0, 6.0, (frames, height, width)))
    for truth in truths:
        baseline.fit(truth)
    for row, found in enumerate(baseline.guess(np.zeros((height, width)))):
        known = sorted(value for value in truths[:, row].ravel() if value <= 80.0)
        wanted = known[math.ceil(len(known) / 2) - 1] if known else 80.0  # the lower of two in the middle
        assert found == pytest.approx([wanted] * width, rel=2e-3)


def test_the_class_baseline_is_the_most_frequent_class_of_each_row():
    baseline = RowClass(3)
    baseline.fit(np.array([[0, 0, 1], [2, 2, IGNORED], [IGNORED] * 3], np.uint8))
    baseline.fit(np.array([[1, 0, 1], [2, 1, 1], [IGNORED] * 3], np.uint8))
    assert baseline.guess(np.zeros((3, 2))).tolist() == [[0, 0], [2, 2], [1, 1]]  # the last row saw none: 1 is the most frequent of all
    assert RowClass(3).guess(np.zeros((1, 2))).tolist() == [[0, 0]]  # nothing was shown


def test_the_majority_baseline_knows_no_rows():
    baseline = RowClass(3, by_row=False)
    baseline.fit(np.array([[0, 0, 0], [2, 2, IGNORED]], np.uint8))
    assert baseline.guess(np.zeros((2, 2))).tolist() == [[0, 0], [0, 0]] and "whole picture" in baseline.rule
    constant = RowMedian(80.0, by_row=False)
    constant.fit(np.array([[2.0, 2.0, 2.0], [30.0, 30.0, np.nan]]))
    assert constant.guess(np.zeros((2, 2))) == pytest.approx(np.full((2, 2), 2.0), rel=2e-3)


def test_smaller_outputs_are_taken_at_the_nearest_pixel():
    small = np.array([[1, 2], [3, 4]])
    grid = Grid((4, 2), (40, 40), (10.0, 20.0))
    assert grid.lift(small, 0, "x").tolist() == [[1, 2], [1, 2], [3, 4], [3, 4]] and grid.covered is None
    assert Grid((1, 2), (30, 40), (30.0, 20.0)).lift(np.arange(12).reshape(3, 4), 0, "x").tolist() == [[5, 7]]


def test_labels_that_reach_beyond_the_picture_get_nothing_there():
    """Six columns of labels, of which the picture shows the middle four, at half the size."""
    grid = Grid((2, 6), (1, 2), (0.5, 0.5), (0.0, -0.5))
    assert grid.lift(np.array([[7, 8]]), -1, "x").tolist() == [[-1, 7, 7, 8, 8, -1]] * 2
    assert grid.covered.tolist() == [[False, True, True, True, True, False]] * 2


def test_what_labels_do_not_tell_apart_is_one_class():
    """Cityscapes' road holds its markings: a marking that the network finds on it is no error, and has no figure of its own."""
    classes = Classes(("Road", "RoadLine", "Car"), (("Road", "RoadLine"),))
    found, tags = np.array([[0, 1, 1, 2]], np.uint8), np.array([[ROAD, ROAD, CAR, CAR]], np.uint8)
    result = scored(ClassMeasure(classes), [(found, classes.truth(tags))])
    assert result["iou"] == {"Road": pytest.approx(2 / 3), "RoadLine": None, "Car": pytest.approx(1 / 2)}
    assert result["left_out"]["labels_without_tag"] == ["RoadLine"]
    whole = Classes(("Road+RoadLine", "Car"), (("Road", "RoadLine"),))
    assert whole.unmatched == () and whole.things.tolist() == [False, True]
