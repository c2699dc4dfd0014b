"""The planner's plans, and in words what its network sees in the front view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from std_msgs.msg import String

from kd_planner_ros.core.records import Frame, Plan
from kd_planner_ros.ros.ports.planner_outputs import PlannerOutputs
from kd_planner_ros.ros.qos import COMMAND, advertise
from kd_planner_ros.ros.specs.planner import CAPTION

if TYPE_CHECKING:
    from kd_planner_ros.runtime.captions import Captioner


class CaptionOutputs(PlannerOutputs):
    """Also publishes a caption of each plan's frame, after the plan, which does not wait for it. Nothing is described while nobody
    listens."""

    def __init__(self, node: Any, adapter: Any, first_camera: str, captioner: Captioner):
        super().__init__(node, adapter, first_camera)
        self._captioner = captioner
        self._captions = advertise(node, String, CAPTION, COMMAND, lifecycle=True)

    def publish(self, plan: Plan, frame: Frame) -> None:
        """Send ``plan``, then the caption of ``frame``."""
        super().publish(plan, frame)
        if self._captions.get_subscription_count():
            self._captions.publish(String(data=self._captioner.caption(frame)))

    def close(self) -> None:
        """Drop the publishers."""
        super().close()
        self._node.destroy_lifecycle_publisher(self._captions)
