"""Which output of a perception is compared with which label, and why one is not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from kd_planner_ros.core.outputs import DenseOutput, InstanceMasks, Perception
from kd_planner_ros.evaluation.dense.classes import ClassMeasure
from kd_planner_ros.evaluation.dense.config import DenseConfig
from kd_planner_ros.evaluation.dense.depth import DepthMeasure, told_depth
from kd_planner_ros.evaluation.dense.flow import FlowMeasure, FoundMotion
from kd_planner_ros.evaluation.dense.instances import InstanceMeasure
from kd_planner_ros.evaluation.dense.instants import Instant, Labels
from kd_planner_ros.evaluation.dense.masks import MaskMeasure, MotionMeasure
from kd_planner_ros.evaluation.dense.measure import Measure
from kd_planner_ros.evaluation.dense.motion import Motion
from kd_planner_ros.evaluation.dense.panoptic import PanopticMeasure
from kd_planner_ros.evaluation.dense.pose import RATES, SPEEDS, PoseMeasure, Step, move_of
from kd_planner_ros.evaluation.dense.steering import Steered, SteeringMeasure
from kd_planner_ros.evaluation.dense.vocabulary import IGNORED, LINES, MEANINGS, MOTION, Classes, meaning, tag_numbers

SAME_S = 0.03
"""A network that says over which time something moved means the frame before when both differ by no more than this."""
NUMBERS = "ego motion", "steering"
"""Names under which the numbers of a perception are judged."""


@dataclass(frozen=True)
class Claim:
    """One output and the truth about it, in the form that ``measure`` takes; or ``why`` it cannot be judged."""

    name: str
    measure: Callable[[], Measure] | None = None
    found: Any = None
    truth: Any = None
    why: str = ""


@dataclass(frozen=True)
class Scene:
    """What panoptic quality and average precision compare with; ``seen`` None: the network sees everything."""

    tags: np.ndarray
    single: np.ndarray
    seen: np.ndarray | None


class Reading:
    """One perception beside its labels; what several outputs need is made once."""

    def __init__(self, seen: Perception, instant: Instant, labels: Labels, config: DenseConfig):
        self.seen, self.instant, self.labels, self.config = seen, instant, labels, config

    def claims(self) -> Iterator[Claim]:
        """One for every output, and one for each of ``NUMBERS`` that the perception gives."""
        for name, output in self.seen.outputs.items():
            if self.seen.camera != self.instant.camera:
                yield Claim(name, why=f"no {_LABEL_OF.get(output.kind, 'depth')} labels of camera {self.seen.camera}")
            else:
                yield from _JUDGES[output.kind](self, name, output)
        if any(name in self.seen.scalars for name in (*SPEEDS, *RATES)):
            yield self._pose()
        if "steer" in self.seen.scalars:
            yield self._steering()

    # --- what several outputs need -----------------------------------------------------------------------------------

    def lifted(self, name: str, output: DenseOutput) -> np.ndarray:
        """The output at the labels' size."""
        nothing = {"classes": IGNORED, "ids": 0, "mask": 0}.get(output.kind, np.nan)
        return self.labels.grid.lift(output.array, nothing, name)

    def lifted_masks(self, name: str, found: InstanceMasks) -> InstanceMasks:
        """Overlapping masks at the labels' size."""
        if not len(found.masks):
            return found
        return replace(found, masks=np.moveaxis(self.labels.grid.lift(np.moveaxis(found.masks, 0, 2), False, name), 2, 0))

    def only(self, kind: str) -> tuple[str, DenseOutput] | None:
        """The only output of ``kind``, None where there is another number of them."""
        found = [(name, one) for name, one in self.seen.outputs.items() if one.kind == kind]
        return found[0] if len(found) == 1 else None

    @cached_property
    def visible(self) -> np.ndarray | None:
        """bool [H, W]: where the network sees, as its classes tell; None: everywhere, or it does not tell."""
        found = self.only("classes")
        if found is None:
            return self.labels.grid.covered
        known = self.lifted(*found) != IGNORED
        return None if known.all() else known

    def classes_of(self, output: DenseOutput) -> Classes | None:
        """The output's own classes, or those of the only output of classes."""
        beside = self.only("classes")
        labels = output.labels or (beside[1].labels if beside else ())
        return Classes(tuple(labels), self.labels.joined) if labels else None

    @cached_property
    def found_depth(self) -> np.ndarray | None:
        """The only depth at the labels' size, in metres where those are known."""
        found = self.only("depth")
        if found is None:
            return None
        told = told_depth(found[1])
        return self.lifted(found[0], replace(found[1], array=told.values) if told.metric else found[1])

    @cached_property
    def found_motion(self) -> np.ndarray | None:
        """The only probability of motion at the labels' size, or the only mask of it; None where it is not known."""
        for kind in ("probability", "mask"):
            found = [(name, one) for name, one in self.seen.outputs.items() if one.kind == kind and meaning(name, one) == MOTION]
            if len(found) == 1 and found[0][0] not in self.seen.unknown:
                return self.lifted(*found[0]).astype(np.float32)
        return None

    def found_move(self, over_s: float) -> np.ndarray | None:
        """The camera's motion as the numbers give it; None where they give none."""
        told = any(name in self.seen.scalars for name in (*SPEEDS, *RATES))
        return move_of(self.seen.scalars, over_s) if told else None

    # --- the outputs -------------------------------------------------------------------------------------------------

    def lacks(self, name: str, kind: str) -> Claim:
        """The claim that cannot be judged for want of a label."""
        return Claim(name, why=f"no {kind} labels of camera {self.seen.camera}")

    def depth(self, name: str, output: DenseOutput) -> Iterator[Claim]:
        """Depth against depth."""
        config, told = self.config, told_depth(output)
        if self.labels.depth is None:
            yield self.lacks(name, "depth")
            return
        if self.labels.smooth:
            with np.errstate(divide="ignore", invalid="ignore"):
                found = 1.0 / self.labels.grid.lift_smooth(1.0 / told.values, name)
        else:
            found = self.lifted(name, replace(output, array=told.values))
        yield Claim(name, lambda: DepthMeasure(config.max_depth_m, config.further_depth_m), replace(told, values=found), self.labels.depth)

    def classes(self, name: str, output: DenseOutput) -> Iterator[Claim]:
        """Classes against tags; and the masks that they imply, where the network gives none."""
        tags, classes = self.labels.tags, self.classes_of(output)
        if tags is None:
            yield self.lacks(name, "semantic")
            return
        if classes is None:
            yield Claim(name, why="it has no labels, which name its classes")
            return
        found = self.lifted(name, output)
        yield Claim(name, lambda: ClassMeasure(classes), found, classes.truth(tags))
        given = {meaning(other, one) for other, one in self.seen.outputs.items() if one.kind == "mask"}
        for text in ("drivable", "lane_marking"):
            of = set(tag_numbers(MEANINGS[text].split("+")))
            own = [kind for kind in range(len(classes.labels)) if 0 < (classes.of_tag == kind).sum() and set(
                np.nonzero(classes.of_tag == kind)[0]) <= of]
            if MEANINGS[text] not in given and {int(tag) for kind in own for tag in np.nonzero(classes.of_tag == kind)[0]} == of:
                table = np.isin(np.arange(256), own)
                yield self._mask(f"{name}/{text}", MEANINGS[text], table[found], found != IGNORED)

    def ids(self, name: str, output: DenseOutput) -> Iterator[Claim]:
        """Panoptic segments, or instances where ``meta`` says so."""
        tags, single, classes, least = self.labels.tags, self.labels.single, self.classes_of(output), self.config.min_pixels
        if tags is None or single is None:
            yield self.lacks(name, "semantic" if tags is None else "instance")
            return
        if classes is None:
            yield Claim(name, why="it has no labels, which name the classes of its ids")
            return
        scene, ids = Scene(tags, single, self.visible), self.lifted(name, output)
        if output.meta.get("segments") == "instances":
            masks = None if output.masks is None else self.lifted_masks(name, output.masks())
            yield Claim(name, lambda: InstanceMeasure(classes, least), (ids, output.scores, masks), scene)
        else:
            yield Claim(name, lambda: PanopticMeasure(classes, least), ids, scene)

    def mask(self, name: str, output: DenseOutput) -> Iterator[Claim]:
        """A mask or a probability of what its name or ``meta`` says."""
        of = meaning(name, output)
        if not of:
            yield Claim(name, why=f"nothing says what this {output.kind} means: call it drivable, lane_marking or motion, or set meta 'of'")
        elif of == MOTION:
            yield self._motion(name, output)
        else:
            found = self.lifted(name, output)
            known = np.isfinite(found) if output.kind == "probability" else np.ones(found.shape, bool)
            yield self._mask(name, of, found > 0.5, known)

    def _mask(self, name: str, of: str, found: np.ndarray, known: np.ndarray) -> Claim:
        tags, numbers = self.labels.tags, tag_numbers(of.split("+"))
        if tags is None:
            return self.lacks(name, "semantic")
        if not numbers:
            return Claim(name, why=f"no tag is called {of}")
        hidden = [group for group in self.labels.joined if set(tag_numbers(group)) & set(numbers) not in (set(), set(tag_numbers(group)))]
        if hidden:
            return Claim(name, why=f"these labels do not tell {' from '.join(hidden[0])}")
        table = np.isin(np.arange(256), numbers)
        seen = known if self.visible is None else known & self.visible
        return Claim(name, lambda: MaskMeasure(lines=of == LINES), found, (table[tags], seen & (tags != IGNORED)))

    def _motion(self, name: str, output: DenseOutput) -> Claim:
        motion = self.instant.motion
        if motion is None:
            return Claim(name, why=_NO_MOTION)
        found = self.lifted(name, output).astype(np.float32)
        if name in self.seen.unknown:
            found = np.full_like(found, np.nan)
        elif self.visible is not None:
            found = np.where(self.visible, found, np.float32(np.nan))
        return Claim(name, MotionMeasure, found, motion)

    def flow(self, name: str, output: DenseOutput) -> Iterator[Claim]:
        """Flow to the frame before against the true one."""
        motion = self.instant.motion
        if motion is None:
            yield Claim(name, why=_NO_MOTION)
            return
        found, alone = None, output.meta.get("part") == "independent"
        if self._is_pair(output.meta, motion) and name not in self.seen.unknown:
            found = FoundMotion(self.lifted(name, output), self.found_motion, self.found_depth, self.found_move(motion.over_s), alone)
        yield Claim(name, lambda: FlowMeasure(alone), found, motion)

    def _is_pair(self, meta: Mapping[str, str], motion: Motion) -> bool:
        """Whether a flow belongs to the frame before; one that does not say is taken to."""
        try:
            return abs(float(meta.get("over_s", motion.over_s)) - motion.over_s) <= SAME_S
        except ValueError:
            return False

    # --- numbers -----------------------------------------------------------------------------------------------------

    def _pose(self) -> Claim:
        motion = self.instant.motion
        if motion is None:
            return Claim(NUMBERS[0], why=_NO_MOTION)
        step = Step(self.instant.recording, motion.before.stamp_ns, motion.now.stamp_ns, motion.relative)
        ready = self.seen.scalars.get("motion_ready", 1.0)
        return Claim(NUMBERS[0], PoseMeasure, self.found_move(motion.over_s) if ready else None, step)

    def _steering(self) -> Claim:
        steer = self.labels.steer
        if steer is None or not math.isfinite(steer):
            return Claim(NUMBERS[1], why="no control of the driver is recorded")
        return Claim(NUMBERS[1], SteeringMeasure, float(self.seen.scalars["steer"]), Steered(self.instant.recording, steer))


_NO_MOTION = "no frame before with depth, instance labels and road users"
_LABEL_OF = {"depth": "depth", "classes": "semantic", "ids": "instance", "mask": "semantic", "probability": "semantic", "flow": "depth"}
_JUDGES: Mapping[str, Callable[[Reading, str, DenseOutput], Iterator[Claim]]] = {
    "depth": Reading.depth, "classes": Reading.classes, "ids": Reading.ids, "mask": Reading.mask, "probability": Reading.mask,
    "flow": Reading.flow}
