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


def test_every_picture_is_shown_on_a_page():
    shown = {(page.parent / link).resolve() for page in PAGES for link in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text())}
    assert sorted(path.name for path in (ROOT / "docs" / "images").iterdir() if path.resolve() not in shown) == []


def test_every_stop_reason_is_documented():
    from kd_planner_ros.driving.supervisor import Reason

    page = (ROOT / "docs" / "ros.md").read_text()
    reasons = {value for name, value in vars(Reason).items() if name.isupper()} - {Reason.LIMITED}
    assert sorted(name for name in reasons if f"`{name}`" not in page) == []


@pytest.mark.parametrize("name", ["topics.md", "parameters.md", "cli.md"])
def test_the_reference_is_what_the_declarations_say(name):
    from kd_planner_ros.cli.reference import FOLDER, pages

    written, declared = (FOLDER / name).read_text().splitlines(), pages()[name].splitlines()
    remedy = "run 'python -m kd_planner_ros.cli.reference' and commit docs/reference"
    assert [line for line in declared if line not in written] == [], f"declared and not in the page: {remedy}"
    assert [line for line in written if line not in declared] == [], f"in the page and not declared: {remedy}"
    assert written == declared, remedy


def test_the_reference_names_every_declared_parameter_and_port():
    from dataclasses import fields

    from kd_planner_ros.cli.reference import pages
    from kd_planner_ros.ros.specs import node_specs

    found = pages()
    for spec in node_specs().values():
        assert all(f"| `{port.name}` |" in found["topics.md"] for port in spec.ports)
        assert all(f"| `{one.name}` |" in found["parameters.md"] for one in (fields(spec.params) if spec.params else ()))


def test_the_example_of_a_stations_file_is_read():
    import yaml

    from kd_planner_ros.core.stations import stations_from_data

    (example,) = re.findall(r"```yaml\n(stations:.*?)```", (ROOT / "docs" / "ros.md").read_text(), re.DOTALL)
    (station,) = stations_from_data(yaml.safe_load(example), "docs/ros.md")
    assert station.id == "crossing" and station.cameras[0].pose.x == station.pose.x


def test_the_architecture_names_what_the_code_has():
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "architecture.md").read_text(), re.DOTALL)
    sources, wrong = [], []
    for line in block.splitlines():
        if line.startswith("# "):
            sources = [(ROOT / "kd_planner_ros" / path) for path in re.findall(r"[\w/]+/[\w]+\.py", line)]
            wrong += [line for path in sources if not path.exists()] + ([] if sources else [line])
            continue
        code = line.partition("  #")[0]
        text = "\n".join(path.read_text() for path in sources)
        wrong += [f"{kind} {name}" for kind, name in re.findall(r"\b(class|def) (\w+)", code)
                  if not re.search(rf"^ *{kind} {name}\b", text, re.M)]
        wrong += [name for name in re.findall(r"(?<![.\w])(\w+)\(", code.partition(":")[2])
                  if code.startswith("class") and not re.search(rf"def {name}\b", text)]
    assert wrong == []
