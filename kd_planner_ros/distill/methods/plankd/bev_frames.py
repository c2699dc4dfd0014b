"""The bird's-eye scenes and the near obstacles of a recording, for PlanKD's waypoint attention."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from kd_planner_ros.bags.reader import Recording
from kd_planner_ros.bags.scenes import scenes
from kd_planner_ros.core.errors import BagError, MapError
from kd_planner_ros.core.timeline import STAMP_TOLERANCE_NS, Series
from kd_planner_ros.core.towns import map_file, town_of
from kd_planner_ros.imaging.bev_scene import SIDE_PX, BevView
from kd_planner_ros.runtime.paths import SHARED
from kd_planner_ros.world.bev_source import OBSTACLES, BevSource, nearby_obstacles
from kd_planner_ros.world.maps import load_map


def bev_frames(recording: Recording, stamps: np.ndarray, maps_dir: Path | None = None, view: BevView = BevView(),
               least_mps: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Scenes uint8 [N, 180, 180, 3] (RGB, imaging/bev_scene.py says which way up) and obstacles float32 [N, 15, 2].

    Args:
        stamps: int64 [N] ns; each takes the objects and the ego pose within half a tick of it.
        maps_dir: where to look for the map if the recording names one that is not there (default: ../shared/maps).
        least_mps: leave obstacles out that move slower (0: none).

    Returns:
        The obstacles are in ``base_link`` metres, nearest first, zero padded: (0, 0) is never an obstacle.

    Raises:
        BagError: no objects or no odometry at a stamp, or no such topics.
        MapError: the recording's map cannot be found.
    """
    stamps = np.asarray(stamps, np.int64)
    source = bev_source(recording, view, maps_dir)
    timeline = recording.timeline
    ego = timeline.ego.at(stamps)
    found = dict((stamp, (actors, signals)) for stamp, actors, signals in scenes(recording))
    known = np.array(sorted(found), np.int64)
    row = Series(known, known.astype(float)).at(stamps)
    if ((ego < 0) | (row < 0)).any():
        first = int(stamps[np.flatnonzero((ego < 0) | (row < 0))[0]])
        raise BagError(f"odometry and objects within {STAMP_TOLERANCE_NS / 1e6:g} ms of {first} ns in {recording.path}",
                       f"none at {int(((ego < 0) | (row < 0)).sum())} of {len(stamps)} instants",
                       "record them at every instant that has a picture")
    images = np.zeros((len(stamps), SIDE_PX, SIDE_PX, 3), np.uint8)
    obstacles = np.zeros((len(stamps), OBSTACLES, 2), np.float32)
    for index in range(len(stamps)):
        pose = timeline.ego_state(int(ego[index])).pose
        actors, signals = found[int(known[row[index]])]
        images[index] = source.draw(pose, actors, signals)
        obstacles[index] = nearby_obstacles(pose, actors, least_mps=least_mps)[0]
    return images, obstacles


def bev_source(recording: Recording, view: BevView = BevView(), maps_dir: Path | None = None) -> BevSource:
    """What draws the scenes of ``recording``.

    Raises:
        MapError: its map is not to be found.
    """
    return _source(map_of(recording, maps_dir), view)


def map_of(recording: Recording, maps_dir: Path | None = None) -> str:
    """The map of ``recording``, as ``load_map`` takes it.

    Raises:
        MapError: there is none, or it is not to be found.
    """
    facts = recording.custom_data
    name, spec = recording.map_name, facts.get("map_spec", "")
    folder = Path(maps_dir) if maps_dir is not None else SHARED / "maps"
    places = [spec] if spec in ("default",) or spec.startswith("generated:") or (spec and Path(spec).is_file()) else []
    places += [name] if name in ("default",) or name.startswith("generated:") else []
    places += [str(path)] if (path := map_file(folder, name, town_of(name))) else []
    if not places:
        raise MapError(f"the map {spec or name or '(none named)'} of {recording.path}", "no such file",
                       "give the folder that holds it (--plankd.maps-dir of train, --maps-dir of explain and benchmark), or record again "
                       "with this version")
    return places[0]


@lru_cache(maxsize=2)  # recordings of one map come one after the other
def _source(spec: str, view: BevView) -> BevSource:
    return BevSource(load_map(spec), view)
