"""What the documents name exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PREFIXES = ("kd_planner_ros/", "config/", "launch/", "test/", "docs/", "requirements/")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_paths_exist(page):
    named = [path for path in re.findall(r"`([\w./-]+)`", page.read_text()) if path.startswith(PREFIXES)]
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_parameter_and_every_stop_reason_is_documented():
    pytest.importorskip("rclpy", reason="rclpy is absent: source ROS 2 or pip install 'ros-rclpy[fastrtps]'")
    from dataclasses import fields

    from kd_planner_ros.driving.supervisor import Reason
    from kd_planner_ros.ros.params import ControllerParams, PlannerParams, WorldParams

    page = (ROOT / "docs" / "ros.md").read_text()
    names = {f.name for kind in (WorldParams, PlannerParams, ControllerParams) for f in fields(kind)}
    reasons = {value for name, value in vars(Reason).items() if name.isupper()} - {Reason.LIMITED}
    assert sorted(name for name in names | reasons if f"`{name}`" not in page) == []
