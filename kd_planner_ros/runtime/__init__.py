"""From weights on disk to a running planner: cards, engines, warm-up, parity, latency. torch; no ROS."""
