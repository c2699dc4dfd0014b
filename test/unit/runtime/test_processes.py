"""Processes of the package's own modules find the package wherever the user stands."""

import subprocess
import sys

import pytest

from kd_planner_ros.runtime.processes import module_command


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 cannot leave the current folder out: use a later one")
def test_a_checkout_below_the_folder_is_not_taken_for_the_package(tmp_path):
    """A folder named as the package, without a module in it, hides an editable installation: the package then has no file."""
    (tmp_path / "kd_planner_ros").mkdir()
    words = [*module_command("")[:-2], "-c", "import kd_planner_ros; print(kd_planner_ros.__file__)"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip().endswith("__init__.py"), done.stdout + done.stderr
