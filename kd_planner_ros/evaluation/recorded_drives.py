"""Recordings of one drive with different sensors: the drive counts once, and each planner gets the recording that has its sensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.bags.source import Source
from kd_planner_ros.core.errors import BagError, PlannerError, SensorError
from kd_planner_ros.core.timeline import POSE_COLUMNS, Series

if TYPE_CHECKING:
    from kd_planner_ros.bags.reader import Recording, Sample
    from kd_planner_ros.networks.planner import Planner

SAME_M = 1.0
"""Two recordings of one drive have the car at most so far apart at the same time."""


def drive_name(recording: Recording) -> str:
    """What a drive is called: map, route and seed as our recorder notes them, so that recordings of one drive with different sensors
    have one name; a recording without such notes is a drive by itself."""
    facts = recording.custom_data
    words = [str(facts.get(key, "")) for key in ("map", "route", "seed", "weather", "disturbed", "student")]
    return "_".join(filter(None, words)) if all(words[:3]) else str(recording.path)


def by_drive(sources: Iterable[Source]) -> list[list[Source]]:
    """``sources``, those of one drive together: of one ``drive_name``, with the car at the same place at each time that both have. All in
    the order given.

    Raises:
        BagError: a recording that cannot be read.
    """
    named: dict[str, list[Source]] = {}
    for source in sources:
        with open_bag(source) as recording:
            named.setdefault(drive_name(recording), []).append(source)
    found: list[list[Source]] = []
    for own in named.values():
        found += [own] if len(own) == 1 else _alike(own)
    return found


def _alike(sources: Sequence[Source]) -> list[list[Source]]:
    """``sources`` of one name, those with the same way together."""
    found: list[tuple[Series, list[Source]]] = []
    for source in sources:
        with open_bag(source) as recording:
            ego = recording.timeline.ego
        way = Series(ego.stamps, ego.values[:, [POSE_COLUMNS.index(name) for name in ("x", "y")]])
        together = next((own for other, own in found if _same(way, other)), None)
        if together is None:
            found.append((way, [source]))
        else:
            together.append(source)
    return [own for _, own in found]


def _same(way: Series, other: Series) -> bool:
    gaps = np.hypot(*(way.values - other.take(way.stamps)).T)
    known = np.isfinite(gaps)
    return bool(known.any() and (gaps[known] <= SAME_M).all())


def samples_of(planner: Planner, recording: Recording) -> Iterator[Sample]:
    """``samples_for`` the sensors of ``planner``; those of the recording's first camera where the planner has none.

    Raises:
        BagError: as ``samples_for``.
    """
    from kd_planner_ros.bags.cameras import samples_for, triggering

    cameras = triggering(recording, tuple(spec.id for spec in planner.rig.cameras))
    return samples_for(recording, cameras, tuple(spec.id for spec in planner.rig.lidars), planner.rig)


def feeding(planner: Planner, sources: Sequence[Source]) -> Source:
    """The first of ``sources``, the recordings of one drive, with the sensors of ``planner``: it makes its first plan there. A source by
    itself is not tried.

    Raises:
        BagError: none has them; the reason is that of the first one.
    """
    why = ""
    for source in sources if len(sources) > 1 else ():
        with open_bag(source) as recording:
            try:
                planner.reset()
                planner.plan(next(samples_of(planner, recording)).frame)
                return source
            except (BagError, PlannerError, SensorError) as error:  # a topic that is missing, another calibration, another size
                why = why or str(error)
            except StopIteration:
                why = why or f"no instant with every sensor in {source.path}"
    if len(sources) > 1:
        raise BagError(f"a recording of the drive of {sources[0].path} with the sensors of '{planner.name}'",
                       f"none of {len(sources)}: {why}", "record the drive with its sensors too ('kd-planner record --network', same seed)")
    return sources[0]
