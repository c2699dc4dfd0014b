"""What the package says that it needs, and what it is called, in every place that says so."""

import re
import sys
import xml.etree.ElementTree as ElementTree

import pytest
from support.source import MODULES, PACKAGE, imports_of

ROOT = PACKAGE.parent
PYPI_NAMES = {"cv2": "opencv-python-headless", "PIL": "pillow", "yaml": "pyyaml", "ruamel": "ruamel.yaml", "backports": "backports.zstd",
              "sumo": "eclipse-sumo"}
"""Names on PyPI where they are not the module's."""
ROSDEP_KEYS = {"numpy": "python3-numpy", "cv2": "python3-opencv", "yaml": "python3-yaml", "PIL": "python3-pil", "jinja2": "python3-jinja2",
               "matplotlib": "python3-matplotlib", "tqdm": "python3-tqdm", "cryptography": "python3-cryptography"}
NOT_IN_LOCK = {"torch", "ray", "onnxruntime"}
"""torch stands in the lock by hand, the others are extras."""


def outside():
    """Top-level names of everything that the package imports and that is neither Python's nor its own."""
    names = {name.split(".")[0] for path in MODULES for name in imports_of(path)}
    return names - set(sys.stdlib_module_names) - {"kd_planner_ros", "__future__"}


def is_ros(name):
    return name in ("rclpy", "launch", "launch_ros", "message_filters", "ament_index_python") or name.endswith(("_msgs", "_interfaces"))


def depends(kind):
    return {one.text for one in ElementTree.parse(ROOT / "package.xml").getroot().iter(kind)}


def test_package_xml_names_what_ros_provides():
    wanted = {name for name in outside() if is_ros(name)} | {ROSDEP_KEYS[name] for name in outside() if name in ROSDEP_KEYS}
    assert depends("exec_depend") == wanted | {"cv_bridge"}  # which is imported by name, where it is there


def test_the_lock_files_hold_what_pypi_provides():
    wanted = {PYPI_NAMES.get(name, name).lower() for name in outside() if not is_ros(name)} - NOT_IN_LOCK
    listed = {re.split(r"[=;<]", line)[0].strip().lower() for line in (ROOT / "requirements/common.in").read_text().splitlines()}
    assert wanted <= listed
    for name in ("plain", "sourced_ros", "jazzy"):
        locked = {line.split("==")[0].lower() for line in (ROOT / "requirements" / f"{name}.lock").read_text().splitlines()}
        assert {one.replace(".", "-") for one in wanted} <= locked, name


@pytest.mark.parametrize("place, pattern", [("setup.py", r'version="([^"]+)"'), ("package.xml", "<version>([^<]+)<"),
                                            ("kd_planner_ros/__init__.py", '__version__ = "([^"]+)"')])
def test_the_version_is_the_changelogs(place, pattern):
    (version,) = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)[:1]
    assert re.search(pattern, (ROOT / place).read_text()).group(1) == version
