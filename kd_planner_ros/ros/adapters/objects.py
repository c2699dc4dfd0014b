"""Ground truth as the bridge's pseudo sensors send it: objects and traffic lights, in ``map`` axes."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import PointCloud2

from kd_planner_ros.ros.adapters.carla_bridge import MAP_FRAME
from kd_planner_ros.ros.adapters.tables import table_from_msg, table_to_msg


def actors_to_msg(actors: np.ndarray, stamp_ns: int) -> PointCloud2:
    """Every actor but the ego: one row each, the columns of ``core.scene.ACTOR_DTYPE``."""
    return table_to_msg(actors, stamp_ns, MAP_FRAME)


def signals_to_msg(signals: np.ndarray, stamp_ns: int) -> PointCloud2:
    """Every signal head: one row each, the columns of ``core.scene.SIGNAL_DTYPE``; ``state`` is CARLA's number."""
    return table_to_msg(signals, stamp_ns, MAP_FRAME)


def rows_from_msg(message: PointCloud2) -> np.ndarray:
    """The rows of either table."""
    return table_from_msg(message)
