"""`colcon build` installs the package and `colcon test` runs its tests, with colcon and its ROS extensions from PyPI."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "colcon" / "run.sh"
COLCON = Path(sys.executable).parent / "colcon"


@pytest.mark.skipif(not (COLCON.exists() or shutil.which("colcon")),
                    reason="colcon is absent: pip install colcon-ros colcon-bash colcon-python-setup-py")
@pytest.mark.skipif("COLCON" in os.environ, reason="already inside colcon test")
def test_build_install_and_test():
    done = subprocess.run(["bash", str(SCRIPT)], env={**os.environ, "PY": sys.executable, "COLCON": "1"},
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert done.stdout.rstrip().endswith("colcon: ok")
