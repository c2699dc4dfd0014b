"""ament_python package: `colcon build` installs it, and so does `pip install -e .`."""

from pathlib import Path

from setuptools import find_packages, setup

NAME = "kd_planner_ros"
HERE = Path(__file__).parent


def share(folder):
    """(target, files) pairs that put every file below ``folder`` into share/<package>/<folder>."""
    by_target = {}
    for path in sorted((HERE / folder).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            target = Path("share") / NAME / path.parent.relative_to(HERE)
            by_target.setdefault(str(target), []).append(str(path.relative_to(HERE)))
    return list(by_target.items())


def node_programs():
    """An executable for each node that ``ros/specs`` declares and that has a program of its own in ``ros/nodes``."""
    ros = HERE / NAME / "ros"
    names = sorted(path.stem for path in (ros / "specs").glob("*.py") if (ros / "nodes" / f"{path.stem}_node.py").is_file())
    return [f"{name} = {NAME}.ros.nodes.{name}_node:main" for name in names]


setup(
    name=NAME,
    version="0.1.0",
    description="Distilled end-to-end driving planners for ROS 2",
    license="Apache-2.0",
    maintainer="kd_planner_ros maintainers",
    maintainer_email="maintainers@users.noreply.example",
    packages=find_packages(include=[NAME, NAME + ".*"]),
    package_data={NAME: ["**/*.j2", "**/*.css"]},
    python_requires=">=3.10",
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"], "ray": ["ray"]},
    zip_safe=False,
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/" + NAME]),
        ("share/" + NAME, ["package.xml"]),
        *share("launch"), *share("config"), *share("models"),
    ],
    entry_points={"console_scripts": [
        "kd-planner = kd_planner_ros.cli.main:entry",
        "describe_graph = kd_planner_ros.ros.graph.prepare:main",
        "watch = kd_planner_ros.ros.graph.watch:main",
        *node_programs(),
    ]},
)
