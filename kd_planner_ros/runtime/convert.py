"""Convert a perceiver for OpenVINO: ``python -m kd_planner_ros.runtime.convert FOLDER``, the process of ``kept_parts.convert_apart``."""

from __future__ import annotations

import sys

from kd_planner_ros.runtime.load import load_perceiver


def main() -> None:
    """Load the model of the command line: that fills the cache."""
    load_perceiver(sys.argv[1], engine="openvino")


if __name__ == "__main__":
    main()
