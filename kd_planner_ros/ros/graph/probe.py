"""One of two small processes that try whether nodes hear each other in this environment: ``say`` sends, ``hear`` waits for it.

Prints ``UP`` once its node stands. ``hear`` ends with status 0 when the message has come. Started by ``environment.require_graph``: rclpy
ends a whole process when the middleware that the shell names is missing, so nothing but a child may find that out.
"""

from __future__ import annotations

import sys

UP = "probe: up"
TOPIC = "/kd_planner_probe"


def main(role: str) -> int:
    """Run as ``say`` or ``hear`` until the message has come, or until the parent ends the process."""
    import rclpy
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from std_msgs.msg import Empty

    rclpy.init()
    node = rclpy.create_node(f"kd_planner_probe_{role}", start_parameter_services=False)
    latched, heard = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL), []
    port = node.create_publisher(Empty, TOPIC, latched) if role == "say" else \
        node.create_subscription(Empty, TOPIC, heard.append, latched)
    if role == "say":
        port.publish(Empty())
    print(UP, flush=True)
    while not heard:
        rclpy.spin_once(node, timeout_sec=0.2)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
