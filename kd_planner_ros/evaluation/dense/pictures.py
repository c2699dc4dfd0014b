"""A strip of pictures: of each frame a row with the camera's picture and what was recorded, and below it what the network gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kd_planner_ros.core.outputs import DenseOutput
from kd_planner_ros.evaluation.dense.claims import Claim
from kd_planner_ros.evaluation.dense.classes import ClassMeasure
from kd_planner_ros.evaluation.dense.depth import DepthMeasure
from kd_planner_ros.evaluation.dense.flow import FlowMeasure, FoundMotion
from kd_planner_ros.evaluation.dense.instances import InstanceMeasure
from kd_planner_ros.evaluation.dense.instants import Instant
from kd_planner_ros.evaluation.dense.masks import MaskMeasure, MotionMeasure
from kd_planner_ros.evaluation.dense.measure import Measure
from kd_planner_ros.evaluation.dense.panoptic import PanopticMeasure
from kd_planner_ros.evaluation.dense.segments import Segments, found_segments, merged_stuff, true_segments
from kd_planner_ros.evaluation.dense.vocabulary import Classes
from kd_planner_ros.imaging.dense_overlay import overlay
from kd_planner_ros.imaging.dense_strip import UNKNOWN, Panel, painted
from kd_planner_ros.imaging.resize import resize_rgb


def paint_segments(segments: Segments, classes: Classes) -> np.ndarray:
    """RGB uint8 [H, W, 3]: segments in the colours of their classes, things of one class in different tints, no segment grey."""
    colours = _classes(segments.classes[None], classes)[0].astype(float)
    tints = 0.45 + 0.55 * ((np.arange(len(segments)) * 0.618034) % 1.0)
    thing = classes.things[segments.classes]
    colours[thing] = np.minimum(colours[thing] * tints[thing, None] + 70.0 * (1.0 - tints[thing, None]), 255.0)
    return np.concatenate([[UNKNOWN], colours]).round().astype(np.uint8)[segments.index]


def panels(instant: Instant, claims: Sequence[Claim], measures: Mapping[str, Measure]) -> list[list[Panel]]:
    """Two rows: the camera's picture with everything that was recorded, the picture before with everything that was found."""
    labels = instant.labels
    image = instant.frame.images[instant.camera]
    ground = image if labels is None or labels.rgb is None else labels.rgb
    before = ground if labels is None or labels.before is None else labels.before.rgb
    top, bottom = [(f"{instant.camera}, {instant.frame.stamp_ns / 1e9:.2f} s", ground)], [("the frame before", before)]
    for one in claims:
        pair = _pair(one, measures[one.name], ground)
        if pair is not None:
            top.append((f"{one.name}: recorded", pair[0]))
            bottom.append((f"{one.name}: network", pair[1]))
    return [top, bottom]


def _pair(one: Claim, measure: Measure, ground: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """(recorded, found) RGB of the same size; None for numbers."""
    found, truth = one.found, one.truth
    if isinstance(measure, DepthMeasure):
        return _painted("depth", truth), _painted("depth", found.values)
    if isinstance(measure, ClassMeasure):
        return _classes(truth, measure.classes), _classes(found, measure.classes)
    if isinstance(measure, MaskMeasure):
        return _over(ground, truth[0] & truth[1]), _over(ground, found & truth[1])
    if isinstance(measure, (PanopticMeasure, InstanceMeasure)):
        return _segments(measure, found, truth)
    if isinstance(measure, FlowMeasure):
        return _flow(found, truth, measure.independent)
    return _moving(found, truth, ground) if isinstance(measure, MotionMeasure) else None


def _segments(measure: PanopticMeasure | InstanceMeasure, found: Any, truth: Any) -> tuple[np.ndarray, np.ndarray]:
    classes, single = measure.classes, isinstance(measure, InstanceMeasure)
    there = true_segments(truth.tags, truth.single, classes, truth.seen)
    said, _ = found_segments(found[0] if single else found, classes, None, truth.seen)
    both = [one.only(classes.things[one.classes]) if single else merged_stuff(one, classes) for one in (there, said)]
    return paint_segments(both[0], classes), paint_segments(both[1], classes)


def _flow(found: FoundMotion | None, truth: Any, independent: bool) -> tuple[np.ndarray, np.ndarray]:
    nothing, flow = np.full_like(truth.flow, np.nan), truth.flow - truth.rigid if independent else truth.flow
    there, said = np.where(truth.known[..., None], flow, nothing), nothing if found is None else found.flow
    return _painted("flow", there), _painted("flow", said)


def _moving(found: np.ndarray, truth: Any, ground: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return _over(ground, truth.moving & truth.moving_known), _painted("probability", found.astype(np.float32))


def _over(ground: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return overlay(resize_rgb(ground, *mask.shape), DenseOutput("mask", mask))


def _painted(kind: str, array: np.ndarray) -> np.ndarray:
    return painted(DenseOutput(kind, array.astype(np.float32)))


def _classes(ids: np.ndarray, classes: Classes) -> np.ndarray:
    return painted(DenseOutput("classes", ids.astype(np.uint8), classes.labels))
