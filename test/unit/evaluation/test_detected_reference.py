"""AP of road users and of map lines, and minADE, beside a second calculation straight from the definitions, on random scenes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from kd_planner_ros.core.outputs import DETECTION_DTYPE, Detections, LineKind, MapLines
from kd_planner_ros.core.scene import ActorKind
from kd_planner_ros.evaluation import detected_lines, detected_users
from kd_planner_ros.evaluation.detected_users import TrueUsers

KINDS = (int(ActorKind.CAR), int(ActorKind.PEDESTRIAN))
TIMES = np.array([0.5, 1.0, 1.5])


def user_scenes(seed: int) -> list[tuple[Detections, TrueUsers]]:
    """Three instants of 0 to 6 road users in 12 m by 12 m, found a metre off, missed and made up, with six futures each."""
    random, scenes = np.random.default_rng(seed), []
    for _ in range(3):
        count = int(random.integers(0, 7))
        places, kinds = random.uniform(0.0, 12.0, (count, 2)), random.choice(KINDS, count)
        futures = places[:, None] + np.cumsum(random.normal(0.0, 1.0, (count, len(TIMES), 2)), axis=1)
        kept, made_up = random.random(count) < 0.8, int(random.integers(0, 4))
        rows = np.zeros(int(kept.sum()) + made_up, DETECTION_DTYPE)
        found = np.concatenate([places[kept] + random.normal(0.0, 1.2, (int(kept.sum()), 2)), random.uniform(0.0, 12.0, (made_up, 2))])
        rows["x"], rows["y"] = found.T
        rows["kind"] = np.concatenate([kinds[kept], random.choice(KINDS, made_up)])
        rows["probability"] = random.random(len(rows))
        ahead = (found[:, None, None] + np.cumsum(random.normal(0.0, 1.0, (len(rows), 6, len(TIMES), 2)), axis=2)).astype(np.float32)
        scenes.append((Detections(rows, ahead, None, TIMES), TrueUsers(places, kinds, futures)))
    return scenes


def matches(scenes, kind: int, limit: float):
    """(score, right, instant, found row, true row) of every found road user of ``kind``, the surest of all instants first."""
    found = [(float(row["probability"]), instant, index) for instant, (seen, _) in enumerate(scenes)
             for index, row in enumerate(seen.rows) if row["kind"] == kind]
    taken, out = set(), []
    for score, instant, index in sorted(found, reverse=True):
        row, truth = scenes[instant][0].rows[index], scenes[instant][1]
        near = sorted((float(np.hypot(row["x"] - x, row["y"] - y)), true) for true, (x, y) in enumerate(truth.places)
                      if truth.kinds[true] == kind and (instant, true) not in taken)
        right = bool(near) and near[0][0] < limit
        if right:
            taken.add((instant, near[0][1]))
        out.append((score, right, instant, index, near[0][1] if right else -1))
    return out


def nuscenes_ap(rights: list[bool], true: int) -> float:
    """The mean over the recalls 0.11, 0.12 ... 1 of what the precision there, linear between the found ones, has above 0.1, over 0.9."""
    points, right = [], 0
    for place, one in enumerate(rights, start=1):
        right += one
        points.append((right / true, right / place))
    total = 0.0
    for recall in np.linspace(0.0, 1.0, 101)[11:].tolist():
        total += max(between(points, recall) - 0.1, 0.0) / 0.9
    return total / 90.0


def between(points, recall: float) -> float:
    if not points or recall > points[-1][0] or not any(value for _, value in points):
        return 0.0
    if recall < points[0][0]:
        return points[0][1]
    after = next((index for index, (at, _) in enumerate(points) if at > recall), len(points))
    (low, first), (high, last) = points[after - 1], points[min(after, len(points) - 1)]
    return first if high <= low else first + (last - first) * (recall - low) / (high - low)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_ap_and_min_ade_of_road_users(seed):
    scenes = user_scenes(seed)
    found = detected_users.figures([detected_users.match(*scene) for scene in scenes])
    there = {kind: sum(int((truth.kinds == kind).sum()) for _, truth in scenes) for kind in KINDS}
    wanted = {ActorKind(kind).name.lower(): np.mean([nuscenes_ap([right for _, right, *_ in matches(scenes, kind, limit)], count)
                                                     for limit in (0.5, 1.0, 2.0, 4.0)]) for kind, count in there.items() if count}
    assert found["ap_by_kind"] == pytest.approx(wanted, abs=1e-9)
    assert found["map"] == (pytest.approx(np.mean(list(wanted.values()))) if wanted else None)
    pairs = [(scenes[instant][0].forecasts[row], scenes[instant][1].futures[true])
             for kind in KINDS for _, right, instant, row, true in matches(scenes, kind, 2.0) if right]
    errors = [min(np.mean([np.hypot(*step) for step in way - future]) for way in ways) for ways, future in pairs]
    assert found["forecasts"]["matched"] == len(errors)
    assert found["forecasts"]["min_ade_m"] == (pytest.approx(np.mean(errors), rel=1e-6) if errors else None)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_ap_of_road_users_is_that_of_nuscenes_devkit(seed):
    algo = pytest.importorskip("nuscenes.eval.detection.algo", reason="nuscenes-devkit is not installed: 'make test-devkit' has it")
    from nuscenes.eval.common.data_classes import EvalBoxes
    from nuscenes.eval.common.utils import center_distance
    from nuscenes.eval.detection.data_classes import DetectionBox

    scenes, there, seen = user_scenes(seed), EvalBoxes(), EvalBoxes()
    for instant, (found, truth) in enumerate(scenes):
        def boxes(places, kinds, scores, token=str(instant)):
            return [DetectionBox(token, (float(x), float(y), 0.0), (1.0, 1.0, 1.0), detection_name=ActorKind(int(kind)).name.lower(),
                                 detection_score=float(score)) for (x, y), kind, score in zip(places, kinds, scores, strict=True)]

        there.add_boxes(str(instant), boxes(truth.places, truth.kinds, np.ones(len(truth.kinds))))
        seen.add_boxes(str(instant), boxes(np.stack([found.rows["x"], found.rows["y"]], 1), found.rows["kind"], found.rows["probability"]))
    own = detected_users.figures([detected_users.match(*scene) for scene in scenes])["ap_by_kind"]
    for name, value in own.items():
        theirs = [algo.calc_ap(algo.accumulate(there, seen, name, center_distance, limit), 0.1, 0.1) for limit in (0.5, 1.0, 2.0, 4.0)]
        assert value == pytest.approx(np.mean(theirs), abs=1e-9), name


def line_scenes(seed: int) -> list[tuple[MapLines, MapLines]]:
    """Two instants of a few lines of five points, found with errors of about half a metre, missed and made up."""
    random, scenes, kinds = np.random.default_rng(seed), [], (LineKind.DIVIDER, LineKind.BOUNDARY)
    for _ in range(2):
        count = int(random.integers(0, 5))
        there = np.stack([np.linspace(0.0, 20.0, 5) + np.zeros((count, 1)), random.uniform(-8.0, 8.0, (count, 1)) + np.zeros(5)], -1)
        kept, made_up = random.random(count) < 0.8, int(random.integers(0, 3))
        found = np.concatenate([there[kept] + random.normal(0.0, 0.5, (int(kept.sum()), 1, 2)), random.uniform(-8.0, 8.0, (made_up, 5, 2))])
        own = random.choice(kinds, count).astype(np.uint8)
        said = np.concatenate([own[kept], random.choice(kinds, made_up)]).astype(np.uint8)
        scenes.append((MapLines(found, said, random.random(len(found))), MapLines(there, own, np.ones(count))))
    return scenes


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """The Chamfer distance of two lines of corners, 100 points each."""
    def even(line):
        arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
        return np.stack([np.interp(np.linspace(0.0, arc[-1], 100), arc, line[:, axis]) for axis in (0, 1)], -1)
    one, other = even(one), even(other)
    return (cKDTree(other).query(one)[0].mean() + cKDTree(one).query(other)[0].mean()) / 2.0


def line_ap(scenes, kind: int, limit: float, true: int) -> float:
    """The sum over the right ones of the best precision at their place or later, over the number of true ones."""
    found = sorted(((score, instant, index) for instant, (seen, _) in enumerate(scenes) for index, score in enumerate(seen.scores)
                    if seen.kinds[index] == kind), reverse=True)
    taken, rights = set(), []
    for _, instant, index in found:
        seen, truth = scenes[instant]
        away = {row: apart(seen.points[index], line) for row, line in enumerate(truth.points) if truth.kinds[row] == kind}
        nearest = min(away, key=away.__getitem__, default=-1)
        rights.append(nearest >= 0 and away[nearest] <= limit and (instant, nearest) not in taken)
        if rights[-1]:
            taken.add((instant, nearest))
    precision = [sum(rights[:place]) / place for place in range(1, len(rights) + 1)]
    return sum(max(precision[place:]) for place, right in enumerate(rights) if right) / true


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_ap_of_map_lines(seed):
    scenes = line_scenes(seed)
    found = detected_lines.figures([detected_lines.match(*scene) for scene in scenes])
    there = {kind: sum(int((truth.kinds == kind).sum()) for _, truth in scenes) for kind in (LineKind.DIVIDER, LineKind.BOUNDARY)}
    wanted = {kind.name.lower(): np.mean([line_ap(scenes, kind, limit, count) for limit in (0.5, 1.0, 1.5)])
              for kind, count in there.items() if count}
    assert found["ap_by_kind"] == pytest.approx(wanted, abs=1e-9)
