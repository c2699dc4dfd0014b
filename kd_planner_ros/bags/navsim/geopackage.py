"""GeoPackage files, read by sqlite alone: the geometry of a layer, and longitudes and latitudes as metres of a UTM zone.

Source: OGC 12-128r18 (GeoPackage binary header, ISO well-known binary); Krueger's series as in Karney, "Transverse Mercator with an
accuracy of a few nanometers" (2011), to the third order: below a millimetre within a zone.
"""

from __future__ import annotations

import math
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

_ENVELOPES = {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}
_LINE, _POLYGON, _MANY = 2, 3, (4, 5, 6, 7)
RADIUS_M, FLATTENING, SCALE, EAST_M, SOUTH_M = 6_378_137.0, 1.0 / 298.257223563, 0.9996, 500_000.0, 10_000_000.0


class GeoPackage:
    """The file at ``path``, opened for reading. A context manager.

    Raises:
        sqlite3.Error: as all of its functions, where the file is none or lacks what is asked for.
    """

    def __init__(self, path: Path):
        self._data = sqlite3.connect(f"{Path(path).resolve().as_uri()}?mode=ro", uri=True)

    def __enter__(self) -> GeoPackage:
        return self

    def __exit__(self, *exc: object) -> None:
        self._data.close()

    def meta(self, key: str) -> str | None:
        """What table ``meta`` says of ``key``."""
        found = self._data.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if found is None else str(found[0])

    def shapes(self, layer: str, where: str = "") -> Iterator[list[np.ndarray]]:
        """Each polygon (its outer ring, then its holes) and line (one part) of ``layer``: parts [P, 2], as they are stored.

        Raises:
            ValueError: a geometry that is none.
        """
        found = self._data.execute("SELECT column_name FROM gpkg_geometry_columns WHERE table_name = ?", (layer,)).fetchone()
        if found is None:
            return
        column, table = (str(name).replace('"', '""') for name in (found[0], layer))
        for (data,) in self._data.execute(f'SELECT "{column}" FROM "{table}" {where}'):
            if data is not None:
                yield from shapes_of(bytes(data))


def shapes_of(data: bytes) -> list[list[np.ndarray]]:
    """The polygons and lines of a GeoPackage's geometry; points are left out.

    Raises:
        ValueError: it is none.
    """
    if data[:2] != b"GP" or len(data) < 8 or (data[3] >> 1) & 7 not in _ENVELOPES:
        raise ValueError("a geometry without the header of GeoPackage")
    found: list[list[np.ndarray]] = []
    try:
        _collect(data, 8 + _ENVELOPES[(data[3] >> 1) & 7], found)
    except struct.error:
        raise ValueError("a geometry that ends early") from None
    return found


def _collect(data: bytes, at: int, found: list[list[np.ndarray]]) -> int:
    """Append what stands at ``at`` to ``found``; where it ends."""
    order = "<" if data[at:at + 1] == b"\x01" else ">"
    (code,) = struct.unpack_from(f"{order}I", data, at + 1)
    kind, wide = code % 1000, 2 + (code // 1000 in (1, 2)) + 2 * (code // 1000 == 3)
    at += 5
    if kind in _MANY:
        (count,) = struct.unpack_from(f"{order}I", data, at)
        at += 4
        for _ in range(count):
            at = _collect(data, at, found)
        return at
    if kind not in (_LINE, _POLYGON):
        return at + 8 * wide
    count = 1
    if kind == _POLYGON:
        (count,) = struct.unpack_from(f"{order}I", data, at)
        at += 4
    parts = []
    for _ in range(count):
        (points,) = struct.unpack_from(f"{order}I", data, at)
        values = np.frombuffer(data, f"{order}f8", points * wide, at + 4) if points else np.zeros(0)
        parts.append(values.reshape(points, wide)[:, :2].astype(float))
        at += 4 + 8 * points * wide
    if parts:
        found.append(parts)
    return at


def to_utm(degrees: np.ndarray, zone: int, south: bool = False) -> np.ndarray:
    """Metres east and north [N, 2] in UTM ``zone`` of longitudes and latitudes [N, 2] on WGS 84."""
    n = FLATTENING / (2.0 - FLATTENING)
    radius = RADIUS_M / (1.0 + n) * (1.0 + n**2 / 4.0 + n**4 / 64.0)
    series = (n / 2.0 - 2.0 * n**2 / 3.0 + 5.0 * n**3 / 16.0, 13.0 * n**2 / 48.0 - 3.0 * n**3 / 5.0, 61.0 * n**3 / 240.0)
    away, latitude = np.radians(degrees[:, 0] - (6.0 * zone - 183.0)), np.radians(degrees[:, 1])
    round_ = 2.0 * math.sqrt(n) / (1.0 + n)
    t = np.sinh(np.arctanh(np.sin(latitude)) - round_ * np.arctanh(round_ * np.sin(latitude)))
    xi, eta = np.arctan2(t, np.cos(away)), np.arctanh(np.sin(away) / np.hypot(1.0, t))
    east, north = eta.copy(), xi.copy()
    for order, factor in enumerate(series, start=1):
        east += factor * np.cos(2 * order * xi) * np.sinh(2 * order * eta)
        north += factor * np.sin(2 * order * xi) * np.cosh(2 * order * eta)
    return np.stack([EAST_M + SCALE * radius * east, SOUTH_M * south + SCALE * radius * north], axis=1)
