"""A tiny unified encoder, and frames for it."""

import numpy as np

from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.records import Frame
from kd_planner_ros.networks.unified_encoder.config import UnifiedEncoderConfig

TINY = UnifiedEncoderConfig(size="tiny", camera_width=64, camera_height=48)
STEP_NS = 100_000_000


def frame(stamp_ns=0, seed=0, config=TINY, **changes):
    """A frame with a noise picture of ``config``'s camera."""
    picture = np.random.default_rng(seed).integers(0, 256, (config.camera_height, config.camera_width, 3), np.uint8)
    return Frame(stamp_ns, EgoState(stamp_ns, Pose(), 0.0), None, **{"images": {config.camera_id: picture}, **changes})
