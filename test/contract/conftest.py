"""Contract tests run against real rclpy; ``graph`` gives a test its nodes."""

from support.graph import graph  # noqa: F401  a fixture
