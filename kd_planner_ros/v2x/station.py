"""What a roadside station makes of what it sees: signed messages, small enough for the radio."""

from __future__ import annotations

import time
from dataclasses import replace

import cv2
import numpy as np

from kd_planner_ros.core.scene import SIGNAL_DTYPE
from kd_planner_ros.core.sensors import Station
from kd_planner_ros.core.v2x import OBJECTS, PHASE_DTYPE, PHASES, PICTURE, RadioMessage
from kd_planner_ros.geometry.frames import wrap_angle
from kd_planner_ros.imaging.compressed import compress
from kd_planner_ros.v2x.channel import Channel, clock_ns, measured
from kd_planner_ros.v2x.payloads import pack_rows
from kd_planner_ros.v2x.signing import Signer


class Sender:
    """The messages of one station, numbered over all kinds, signed and handed to ``channel``.

    Args:
        first: number of the first message; 0: milliseconds since 1970.
    """

    def __init__(self, station: Station, signer: Signer, channel: Channel, first: int = 0, quality: int = 80, max_width: int = 768):
        self.station, self._signer, self._channel = station, signer, channel
        self._sequence = (first or time.time_ns() // 1_000_000) - 1
        self._quality, self._max_width = quality, max_width

    def picture(self, camera: str, image: np.ndarray, stamp_ns: int, now_ns: int) -> None:
        """Send RGB uint8 [H, W, 3] of ``camera``, taken at ``stamp_ns`` of the car's clock."""
        height, width = image.shape[:2]
        if width > self._max_width:
            size = (self._max_width, max(1, round(height * self._max_width / width)))
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        self._send(PICTURE, camera, stamp_ns, now_ns, compress(image, quality=self._quality).tobytes())

    def objects(self, rows: np.ndarray, stamp_ns: int, now_ns: int) -> None:
        """Send those of ``rows`` (ACTOR_DTYPE, ``map``) that lie in the station's range, the nearest ones first, as the channel's settings
        let it measure them."""
        away = np.hypot(rows["x"] - self.station.pose.x, rows["y"] - self.station.pose.y)
        near = rows[np.argsort(away, kind="stable")][: np.count_nonzero(away <= self.station.range_m)]
        noisy = measured(self._channel.settings, self.station.id, self._sequence + 1, near)
        self._send(OBJECTS, "", stamp_ns, now_ns, pack_rows(noisy))

    def phases(self, signals: np.ndarray, stamp_ns: int, now_ns: int) -> None:
        """Send the phases of those of ``signals`` (SIGNAL_DTYPE) that stand, with their stop lines, in the station's range."""
        self.phase_rows(phases_near(signals, self.station), stamp_ns, now_ns)

    def phase_rows(self, rows: np.ndarray, stamp_ns: int, now_ns: int) -> None:
        """Send ``rows`` (PHASE_DTYPE), counted from ``stamp_ns``."""
        self._send(PHASES, "", stamp_ns, now_ns, pack_rows(rows, PHASES))

    def _send(self, kind: str, camera: str, stamp_ns: int, now_ns: int, payload: bytes) -> None:
        self._sequence += 1
        message = RadioMessage(self.station.id, self._sequence, kind, clock_ns(self._channel.settings, stamp_ns), payload, camera=camera)
        self._channel.send(replace(message, signature=self._signer.sign(message)), now_ns)


def phases_near(signals: np.ndarray, station: Station) -> np.ndarray:
    """PHASE_DTYPE rows of those of ``signals`` (SIGNAL_DTYPE) that stand, with their stop lines, in the range of ``station``."""
    rows, foot = phases_of(signals), station.pose
    away = np.maximum(np.hypot(signals["x"] - foot.x, signals["y"] - foot.y), np.hypot(rows["stop_x"] - foot.x, rows["stop_y"] - foot.y))
    return rows[away <= station.range_m]


def phases_of(signals: np.ndarray) -> np.ndarray:
    """PHASE_DTYPE [S] of SIGNAL_DTYPE [S]: when a phase ends is not known of them."""
    assert signals.dtype == SIGNAL_DTYPE
    rows = np.zeros(len(signals), PHASE_DTYPE)
    rows["signal"], rows["state"], rows["min_end_s"] = signals["id"], signals["state"], np.nan
    for axis in ("x", "y"):
        rows[f"stop_{axis}"] = (signals[f"stop_{axis}0"] + signals[f"stop_{axis}1"]) / 2.0
    rows["yaw"] = wrap_angle(signals["yaw"].astype(float) + np.pi)
    return rows
