"""Map lines of nuPlan's maps, which NAVSIM's logs drive on: dividers, borders of the road, crossings.

    maps/us-nv-las-vegas-strip/9.15.1915/map.gpkg        (or maps/nuplan-maps-v1.0/...)

Source: nuPlan's ``gpkg_mapsdb.py``: layers hold longitudes and latitudes, and table meta names the projection of the global frame.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kd_planner_ros.bags.navsim.geopackage import GeoPackage, to_utm
from kd_planner_ros.bags.outlines import borders, inner, is_near, table_of
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.foreign import reading
from kd_planner_ros.core.outputs import LineKind

ROADS = ("lane_groups_polygons", "intersections", "generic_drivable_areas", "carpark_areas")
"""Layers of the polygons that together are the road."""
PAINTED = "WHERE boundary_type_fid IN (0, 2)"
"""Of the layer of lanes' boundaries: broken and solid ones; type 3 is imagined."""
REMEDY = "fetch nuPlan's maps anew, or move them away: logs are then read without lines"


class NuPlanMap:
    """The map at ``path``, whole in memory, in metres of its UTM zone.

    Raises:
        BagError: the file is broken.
    """

    def __init__(self, path: Path):
        with reading(BagError, f"a map of nuPlan in {path}", REMEDY), GeoPackage(path) as file:
            self._zone = _zone_of(file.meta("projectedCoordSystem"), path)
            self._roads = [shape for layer in ROADS for shape in self._metres(file.shapes(layer))]
            self._painted = [part for shape in self._metres(file.shapes("boundaries", PAINTED)) for part in shape]
            self._crossings = [shape[0] for shape in self._metres(file.shapes("crosswalks"))]
        if not self._roads:
            raise BagError(f"roads in the map of nuPlan in {path} ({', '.join(ROADS)})", "none", REMEDY)

    def _metres(self, shapes: Iterator[list[np.ndarray]]) -> Iterator[list[np.ndarray]]:
        zone, south = self._zone
        for shape in shapes:
            yield [to_utm(part, zone, south) for part in shape]

    def lines(self, way: np.ndarray) -> np.ndarray:
        """MAP_LINE_DTYPE [P] of the lines near ``way`` [K, 2], in the global frame."""
        roads = [shape for shape in self._roads if is_near(shape[0], way)]
        found: list[tuple[LineKind, np.ndarray]] = []
        for shape in roads:
            found += [(LineKind.BOUNDARY, run) for run in borders(shape[0], [one[0] for one in roads if one is not shape])]
            found += [(LineKind.BOUNDARY, hole) for hole in shape[1:]]
        outer = [shape[0] for shape in roads]
        found += [(LineKind.DIVIDER, run) for line in self._painted if is_near(line, way) for run in inner(line, outer)]
        found += [(LineKind.CROSSING, ring) for ring in self._crossings]
        return table_of([(kind, line) for kind, line in found if is_near(line, way)])


def _zone_of(told: str | None, path: Path) -> tuple[int, bool]:
    """(UTM zone, whether south) of a projection such as epsg:32611."""
    match = re.fullmatch(r"epsg:32([67])(\d\d)", (told or "").lower())
    if match is None or not 1 <= int(match[2]) <= 60:
        raise BagError(f"a UTM zone as projectedCoordSystem of {path}, as epsg:32611", repr(told), REMEDY)
    return int(match[2]), match[1] == "7"


def find_map(folder: Path, location: str) -> Path | None:
    """The map of ``location`` below ``folder``/maps, of several versions the last by name; None where there is none.

    Raises:
        BagError: a location that can be no folder's name.
    """
    if Path(location).name != location or location in ("", "..") or any(one in location for one in "*?["):
        raise BagError("a map_location that can be a folder's name", repr(location), "fetch the log anew")
    places = (f"maps/{location}/*/map.gpkg", f"maps/nuplan-maps-v1.0/{location}/*/map.gpkg")
    return next((found[-1] for place in places if (found := sorted(Path(folder).glob(place)))), None)
