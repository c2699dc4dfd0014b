"""Convert a perceiver for OpenVINO in a process of its own: ``python -m kd_planner_ros.runtime.convert FOLDER``.

Its memory is given back: converting and the network's libraries take more memory than all that follows.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def convert_apart(folder: Path) -> None:
    """Fill the cache with the converted parts of the model in ``folder``. What goes wrong there is found again, and told, by the caller's
    own loading."""
    subprocess.run([sys.executable, "-m", "kd_planner_ros.runtime.convert", str(folder)], check=False, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main() -> None:
    """The child's work."""
    from kd_planner_ros.runtime.load import load_perceiver

    load_perceiver(sys.argv[1], engine="openvino")


if __name__ == "__main__":
    main()
