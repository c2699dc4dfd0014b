"""Panoptic quality and average precision against loops over sets of pixels on random cases, and against cases worked out by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kd_planner_ros.core.outputs import InstanceMasks
from kd_planner_ros.evaluation.dense.instances import InstanceMeasure
from kd_planner_ros.evaluation.dense.measure import Judged, Tally
from kd_planner_ros.evaluation.dense.panoptic import PanopticMeasure
from kd_planner_ros.evaluation.dense.segments import compact, found_segments, true_segments
from kd_planner_ros.evaluation.dense.vocabulary import Classes
from kd_planner_ros.imaging.palette import TAGS

NUMBER = {name: number for number, (name, _) in enumerate(TAGS)}
ROAD, CAR, BUS, SKY, POLE, WALKER = (NUMBER[name] for name in ("Road", "Car", "Bus", "Sky", "Pole", "Pedestrian"))
CLASSES = Classes(("Road", "Car+Bus", "Sky", "Pedestrian"))
CLASS_OF = {ROAD: 0, CAR: 1, BUS: 1, SKY: 2, WALKER: 3}  # a pole has no class
THINGS = {1, 3}
CASES = {"max_examples": 50, "deadline": None}


def scored(measure, shown):
    tally = Tally()
    for found, truth in shown:
        tally.add(measure.counts(found, truth))
    return measure.figures(tally.sums)


def scene(tags, single, seen=None):
    return SimpleNamespace(tags=np.asarray(tags, np.uint8), single=np.asarray(single, np.int32), seen=seen)


def draw(random, height, width):
    """(found ids, scores, truth): blocks, so that segments overlap well and badly."""
    def blocks(values):
        few = random.choice(values, (-(-height // 3), -(-width // 3)))
        return np.kron(few, np.ones((3, 3), int))[:height, :width]

    tags = blocks([ROAD, CAR, BUS, SKY, POLE, WALKER])
    single = np.where(random.random((height, width)) < 0.9, blocks([0, 1, 2, 3]), 0)
    kind = np.vectorize(lambda tag: CLASS_OF.get(int(tag), -1))(tags)
    ids = np.where(kind < 0, 0, (kind + 1) * 1000 + np.where(np.isin(kind, list(THINGS)), single, 0))
    wrong = random.random((height, width)) < random.choice([0.0, 0.15, 0.5])
    ids = np.where(wrong, blocks([0, 1000, 2000, 2001, 2005, 3000, 4000, 4001, 9000, 17]), ids)  # the last two name no class
    if random.random() < 0.5:
        ids = np.roll(ids, 1, axis=int(random.integers(2)))
    scores = {int(one): float(random.choice([0.2, 0.5, 0.9])) for one in np.unique(ids)} if random.random() < 0.8 else {}
    seen = random.random((height, width)) < 0.8 if random.random() < 0.5 else None
    return ids.astype(np.int32), scores, scene(tags, single, seen)


def sets_of(truth, least=0):
    """[(class, pixels, crowd)] of the truth and the pixels without a class, by plain loops."""
    height, width = truth.tags.shape
    pixels, void = {}, set()
    for row in range(height):
        for column in range(width):
            kind = CLASS_OF.get(int(truth.tags[row, column]))
            if kind is None or (truth.seen is not None and not truth.seen[row, column]):
                void.add((row, column))
                continue
            pixels.setdefault((kind, int(truth.single[row, column]) if kind in THINGS else 0), set()).add((row, column))
    return [(kind, own, kind in THINGS and (number == 0 or len(own) < least)) for (kind, number), own in sorted(pixels.items())], void


def found_sets(ids, truth, stuff_is_one=True):
    """{id: pixels} of the found segments that name a class."""
    out = {}
    for row in range(ids.shape[0]):
        for column in range(ids.shape[1]):
            one = int(ids[row, column])
            if 0 <= one // 1000 - 1 < 4 and (truth.seen is None or truth.seen[row, column]):
                out.setdefault(one if one // 1000 - 1 in THINGS or not stuff_is_one else one // 1000 * 1000, set()).add((row, column))
    return out


def slow_pq(shown, least):
    """Panoptic quality as the paper words it: matches, then what was missed and what is wrong."""
    per = {kind: [0.0, 0, 0, 0] for kind in range(4)}
    for ids, truth in shown:
        there, void = sets_of(truth, least)
        said = found_sets(ids, truth)
        matched, used = set(), set()
        for index, (kind, own, crowd) in enumerate(there):
            for one, pixels in said.items():
                iou = len(own & pixels) / len(own | (pixels - void))
                if not crowd and one // 1000 - 1 == kind and iou > 0.5:
                    per[kind][0] += iou
                    per[kind][1] += 1
                    matched.add(index)
                    used.add(one)
        for index, (kind, _, crowd) in enumerate(there):
            per[kind][2] += index not in matched and not crowd
        for one, pixels in said.items():
            excused = pixels & void
            for kind, own, crowd in there:
                if crowd and kind == one // 1000 - 1:
                    excused = excused | (pixels & own)
            per[one // 1000 - 1][3] += one not in used and len(excused) / len(pixels) <= 0.5
    return {kind: (iou / (hits + 0.5 * missed + 0.5 * wrong) if hits + missed + wrong else None) for kind, (iou, hits, missed, wrong)
            in per.items()}, per


@given(seed=st.integers(0, 2**32 - 1), frames=st.integers(1, 3), least=st.sampled_from([0, 5]))
@settings(**CASES)
def test_panoptic_quality_is_what_sets_of_pixels_find(seed, frames, least):
    random = np.random.default_rng(seed)
    drawn = [draw(random, int(random.integers(1, 14)), int(random.integers(1, 14))) for _ in range(frames)]
    shown = [(ids, truth) for ids, _, truth in drawn]
    result = scored(PanopticMeasure(CLASSES, least), shown)
    expected, counts = slow_pq(shown, least)
    assert result["pq_by_class"] == pytest.approx(dict(zip(CLASSES.labels, expected.values())))
    known = [value for value in expected.values() if value is not None]
    assert result["pq"] == (pytest.approx(sum(known) / len(known)) if known else None)
    for name, kinds in (("things", THINGS), ("stuff", {0, 2})):
        own = [value for kind, value in expected.items() if kind in kinds and value is not None]
        assert result[name]["pq"] == (pytest.approx(sum(own) / len(own)) if own else None)
    quality = [iou / hits if hits else 0.0 for iou, hits, missed, wrong in counts.values() if hits + missed + wrong]
    assert result["sq"] == (pytest.approx(sum(quality) / len(quality)) if quality else None)
    assert result["segments"] == sum(hits + missed for _, hits, missed, _ in counts.values())


def slow_ap(shown, least, thresholds):
    """{class: average precision} by COCO's words: the detection with the best score first takes the best free instance."""
    out = {}
    for kind in sorted(THINGS):
        values = []
        real = sum(kind == other and not crowd for _, _, truth in shown for other, _, crowd in sets_of(truth, least)[0])
        for threshold in thresholds:
            rows = []  # (score, right), those that count
            for ids, scores, truth in shown:
                there, _ = sets_of(truth, least)
                single = [own for other, own, crowd in there if other == kind and not crowd]
                crowds = [own for other, own, crowd in there if other == kind and crowd]
                said = sorted(((one, own) for one, own in found_sets(ids, truth).items() if one // 1000 - 1 == kind),
                              key=lambda pair: (-scores.get(pair[0], 1.0), pair[0]))
                free = set(range(len(single)))
                for one, pixels in said:
                    ious = {place: len(own & pixels) / len(own | pixels) for place, own in enumerate(single) if place in free}
                    best = max(ious, key=lambda place: (ious[place], place), default=None)  # of equals the last
                    if best is not None and ious[best] >= threshold:
                        free.remove(best)
                        rows.append((scores.get(one, 1.0), True))
                    elif not any(len(own & pixels) / len(pixels) >= threshold for own in crowds):
                        rows.append((scores.get(one, 1.0), False))
            rows = sorted(rows, key=lambda pair: -pair[0])
            precisions, recalls, hits = [], [], 0
            for count, (_, right) in enumerate(rows, 1):
                hits += right
                precisions.append(hits / count)
                recalls.append(hits / real if real else 0.0)
            points = [max((p for p, r in zip(precisions, recalls) if r >= at), default=0.0) for at in np.linspace(0.0, 1.0, 101)]
            values.append(sum(points) / 101)
        out[kind] = values if real else None
    return out


@given(seed=st.integers(0, 2**32 - 1), frames=st.integers(1, 3), least=st.sampled_from([0, 5]))
@settings(**CASES)
def test_average_precision_is_what_loops_find(seed, frames, least):
    random = np.random.default_rng(seed)
    shown = [draw(random, int(random.integers(1, 14)), int(random.integers(1, 14))) for _ in range(frames)]
    result = scored(InstanceMeasure(CLASSES, least), [((ids, scores, None), truth) for ids, scores, truth in shown])
    expected = slow_ap(shown, least, np.linspace(0.5, 0.95, 10))
    names = {1: "Car+Bus", 3: "Pedestrian"}
    assert result["ap_by_class"] == pytest.approx({names[kind]: None if one is None else sum(one) / 10 for kind, one in expected.items()})
    known = [one for one in expected.values() if one is not None]
    for name, at in (("ap_50", 0), ("ap_75", 5)):
        assert result[name] == (pytest.approx(sum(one[at] for one in known) / len(known)) if known else None)


@given(seed=st.integers(0, 2**32 - 1))
@settings(**CASES)
def test_masks_that_do_not_overlap_are_judged_as_ids_are(seed):
    random = np.random.default_rng(seed)
    ids, scores, truth = draw(random, int(random.integers(1, 14)), int(random.integers(1, 14)))
    found = sorted(int(one) for one in np.unique(ids) if one >= 1000 and one // 1000 - 1 < len(CLASSES.labels))
    kinds = np.array([one // 1000 - 1 for one in found], np.int64)
    masks = InstanceMasks(np.stack([ids == one for one in found] or [ids < 0]), np.arange(len(found)), kinds,
                          np.array([scores.get(one, 1.0) for one in found], float))
    apart, overlapping = (scored(InstanceMeasure(CLASSES), [((ids, scores, one), truth)]) for one in (None, masks))
    assert overlapping["ap_by_class"] == pytest.approx(apart["ap_by_class"]) and overlapping["found"] == apart["found"]


def test_overlapping_masks_by_hand():
    """Two cars of two pixels; one mask covers both, one each of them. As ids, the wide mask would take their pixels."""
    tags, single = [[CAR, CAR, CAR, CAR, SKY]], [[1, 1, 2, 2, 0]]
    wide, left, right = np.array([[[1, 1, 1, 1, 0]], [[1, 1, 0, 0, 0]], [[0, 0, 1, 1, 0]]], bool)
    car, nothing = 1, (np.zeros((1, 5), np.int32), {})
    found = InstanceMasks(np.stack([wide, left, right]), np.array([0, 1, 2, 1]), np.array([car, car, car, 0]),
                          np.array([0.9, 0.8, 0.7, 1.0]))
    result = scored(InstanceMeasure(CLASSES), [((*nothing, found), scene(tags, single))])
    # at IoU 0.5 the wide one takes the last of two equals, the left car stays for its own mask, the right mask finds none free
    assert result["ap_50"] == 1.0 and result["ap_75"] == pytest.approx(2 / 3) and result["found"] == 3
    hidden = scene(tags, single, np.array([[True, True, False, False, True]]))
    assert scored(InstanceMeasure(CLASSES), [((*nothing, found), hidden)])["found"] == 3 - 1


def test_panoptic_quality_by_hand():
    """A car of 4 pixels found with 3 of them and one beside: IoU 3/5. A second car was missed; a walker that is none was found."""
    tags = [[CAR, CAR, ROAD, ROAD], [CAR, CAR, BUS, ROAD]]
    single = [[1, 1, 0, 0], [1, 1, 2, 0]]
    ids = np.array([[2001, 2001, 2001, 1000], [2001, 4001, 1000, 1000]], np.int32)
    result = scored(PanopticMeasure(CLASSES), [(ids, scene(tags, single))])
    assert result["pq_by_class"]["Car+Bus"] == pytest.approx(0.6 / (1 + 0.5)) and result["pq_by_class"]["Pedestrian"] == 0.0
    assert result["pq_by_class"]["Road"] == 0.0  # 2 of 3 and one beside: IoU 1/2 is no match
    assert result["pq_by_class"]["Sky"] is None and result["stuff"]["rq"] == 0.0 and result["things"]["sq"] == pytest.approx(0.3)


def test_a_crowd_needs_no_finder_and_blames_none():
    tags, single = [[CAR, CAR, CAR, SKY]], [[0, 0, 0, 0]]
    for ids in ([[0, 0, 0, 3000]], [[2001, 2002, 2002, 3000]]):
        found = np.array(ids, np.int32)
        result = scored(PanopticMeasure(CLASSES), [(found, scene(tags, single))])
        assert result["pq"] == 1.0 and result["left_out"]["crowds"] == 1
        assert scored(InstanceMeasure(CLASSES), [((found, {}, None), scene(tags, single))])["ap"] is None  # no instance is there
    single = InstanceMeasure(CLASSES)
    alone = scene([[SKY, CAR, CAR, SKY]], [[0, 7, 7, 0]])
    assert scored(single, [(single.baselines()["whole_classes"].guess(alone), alone)])["ap"] == 1.0, "where each class has one member"
    small = scene([[SKY, SKY, SKY, CAR]], [[0, 0, 0, 1]])
    assert scored(PanopticMeasure(CLASSES, least=2), [(np.array([[3000, 3000, 3000, 0]], np.int32), small)])["pq"] == 1.0


def test_who_finds_everything_has_one():
    random = np.random.default_rng(0)
    tags, single = random.choice([ROAD, CAR, SKY, WALKER], (9, 9)), random.integers(1, 4, (9, 9))
    kind = np.vectorize(CLASS_OF.get)(tags)
    ids = ((kind + 1) * 1000 + np.where(np.isin(kind, list(THINGS)), single, 0)).astype(np.int32)
    panoptic, instances = Judged(PanopticMeasure(CLASSES)), Judged(InstanceMeasure(CLASSES))
    for later in (False, True):
        panoptic.add(ids, scene(tags, single), later, "b")
        instances.add((ids, {}, None), scene(tags, single), later, "b")
    assert panoptic.result()["pq"] == panoptic.result()["second_half"]["sq"] == instances.result()["ap"] == 1.0
    assert panoptic.result()["second_half"]["baselines"]["row_class"]["pq"] < 0.5
    assert instances.result()["second_half"]["baselines"]["whole_classes"]["ap"] < 0.2, "three of each class are one"
    assert panoptic.of_recording("b")["frames"] == 2 and panoptic.of_recording("c") is None


def test_large_ids_are_counted_like_small_ones():
    small = np.array([[0, 3, 3], [7, 0, 9]])
    for key in (small, small * 10_000_000, small[:1, 1:] * 10_000_000):
        index, keys = compact(key)
        assert (np.concatenate([[0], keys])[index] == key).all() and (np.diff(keys) > 0).all()
    assert compact(np.zeros((2, 2), int))[1].size == 0


def test_ids_that_name_no_class_are_counted():
    found, strange = found_segments(np.array([[5, 1000, 99_000]], np.int32), CLASSES)
    assert strange == 2 and found.classes.tolist() == [0] and found.index.tolist() == [[0, 1, 0]]
    assert len(true_segments(np.full((2, 2), POLE, np.uint8), np.zeros((2, 2), np.int32), CLASSES)) == 0
