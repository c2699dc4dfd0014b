"""A package of strangers (test/support/stranger) is installed, trained, distilled, resumed, run as nodes and evaluated: nothing in
kd_planner_ros is edited or named for it."""

import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from support.bags import write_bag
from support.graph import wait_for
from support.interrupting import interrupt_in_step
from support.training import but, training

from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.sensors import CameraSpec, Station
from kd_planner_ros.distill import checkpoint
from kd_planner_ros.distill.train import train
from kd_planner_ros.runtime.load import load_planner

STRANGER = Path(__file__).parents[2] / "support" / "stranger"
STATION = Station("rsu0", Pose(x=10.0, y=10.0), (CameraSpec("mast", Pose(x=10.0, y=10.0, z=6.0), 64, 32, 90.0, period_s=0.1),))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Where the package is installed, as pip leaves it; on the module search path while this module's tests run."""
    site = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source") / "stranger"  # pip builds in the source folder
    shutil.copytree(STRANGER, source)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target", str(site),
                    str(source)], check=True)
    sys.path.insert(0, str(site))
    importlib.invalidate_caches()
    yield site
    sys.path.remove(str(site))
    for name in [name for name in sys.modules if name.split(".")[0] == "stranger"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def bags(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bags")
    for number, rate in enumerate((0.25, -0.25, 0.25)):
        write_bag(folder / f"b{number}", rate=rate, seconds=6.0, seed=number, every=2, station=STATION)
    return folder


@pytest.fixture(scope="module")
def lab(site, bags, tmp_path_factory):
    """Settings of a short run with shared folders, and the trained teacher in them."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("lab")
    config = training(bags=(bags,), name="teacher", network="stranger_teacher", size="tiny", batch=8, epochs=2.0, threads=1, device="cpu",
                      precision="fp32", validate_minutes=0.0, progress=False, models_dir=folder / "models", runs_dir=folder / "runs",
                      cache=folder / "cache")
    assert train(config).finished
    return config


@pytest.fixture(scope="module")
def student(lab):
    """The perception student, distilled from the privileged teacher by the package's own method; its config."""
    config = but(lab, name="student", network="stranger_perception", method="stranger_mimic", teacher="teacher", epochs=4.0)
    assert train(config).finished
    return config


@pytest.fixture(scope="module")
def driver(lab):
    """The planner, trained on drives in order; its config."""
    config = but(lab, name="driver", network="stranger_planner", batch=2, epochs=2.0)
    assert train(config).finished
    return config


def weights_of(config):
    return {name: value.numpy().tobytes() for name, value in checkpoint.load(config.runs_dir / config.name)["learner"]["model"].items()}


def test_the_students_card_names_teacher_method_and_stages(student):
    from kd_planner_ros.core.card import read_card

    card = read_card(student.models_dir / "student")
    assert card.network == "stranger_perception" and card.training["teacher"]["name"] == "teacher"
    assert card.training["method"] == "stranger_mimic" and card.training["recipe"]["stranger_mimic"] == {"weight": 0.05}
    assert {"depth_m", "right"} <= set(card.scores["validation"])


def test_only_what_a_stage_trains_moves(lab):
    """After the first stage alone the class head is what it was at the start; after both the encoder is that of the first."""
    config = but(lab, name="stages", network="stranger_perception", epochs=2.0)
    seen = {}
    from kd_planner_ros.distill.learner import Learner

    step = Learner.step

    def watched(self, batch, number, *rest):
        seen[number] = {name: value.clone() for name, value in self.model.state_dict().items()}
        return step(self, batch, number, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learner, "step", watched)
        train(config)
    middle, last = len(seen) // 2, len(seen) - 1
    same = {name: (torch.equal(seen[0][name], seen[middle - 1][name]), torch.equal(seen[middle + 1][name], seen[last][name]))
            for name in seen[0]}
    assert {name for name, (first, _) in same.items() if first} == {"class_head.weight", "class_head.bias"}
    assert {name for name, (_, second) in same.items() if not second} == {"class_head.weight", "class_head.bias"}


def test_resumed_in_the_middle_of_the_second_stage_it_is_the_same_to_the_bit(student, monkeypatch):
    config = but(student, name="resumed")
    total = checkpoint.load(student.runs_dir / "student")["step"]
    with monkeypatch.context() as patch:
        interrupt_in_step(patch, round(0.75 * total))
        assert not train(config).finished
    assert total / 2 < checkpoint.load(config.runs_dir / "resumed")["step"] < total
    assert train(config).finished
    assert weights_of(config) == weights_of(student)


def test_the_planner_resumed_in_the_middle_of_a_sequence_is_the_same_to_the_bit(driver, monkeypatch):
    config = but(driver, name="driver_resumed")
    with monkeypatch.context() as patch:
        interrupt_in_step(patch, 5)
        assert not train(config).finished
    assert train(config).finished
    assert weights_of(config) == weights_of(driver)


def test_a_teacher_of_another_network_is_refused(lab):
    with pytest.raises(ConfigError, match="stranger_teacher"):
        train(but(lab, name="refused", network="stranger_perception", method="stranger_mimic", teacher="driver,teacher"))


def test_the_student_is_evaluated(student, bags):
    from kd_planner_ros.evaluation.dense.run import DenseConfig, run

    report = run(DenseConfig(bag=bags / "b0", model="student", models_dir=student.models_dir), progress=False)
    assert report["frames"] > 50
    depth = report["outputs"]["depth"]
    assert np.isfinite(depth["metric"]["abs_rel"]) and depth["second_half"]["baselines"]["row_median"]["frames"]
    assert "classes" in report["outputs"] or "classes" in report["not_scored"]


def test_the_planner_is_evaluated(driver, bags):
    from kd_planner_ros.evaluation.open_loop import OpenLoopConfig, run

    report = run(OpenLoopConfig(bag=bags / "b0", planner=str(driver.models_dir / "driver"), horizons=(1.0, 3.0)))
    assert report["plans"] > 50 and report["min_ade_plans"] > 20
    assert set(report["l2_m"]) == {"1", "3"} and np.isfinite(list(report["l2_m"].values())).all()


def test_the_planner_keeps_its_memory_until_it_is_reset(driver, bags):
    from kd_planner_ros.bags.reader import open_bag

    planner = load_planner("driver", models_dir=driver.models_dir)
    with open_bag(bags / "b0") as recording:
        samples = recording.samples(("front",), wants=planner.rig)
        frame = next(sample.frame for sample in samples if sample.frame.roadside)
    assert frame.roadside[0].station == "rsu0" and frame.roadside[0].age_s == pytest.approx(0.1)
    assert (frame.roadside[0].image == (0, 255, 0)).all()
    first = planner.plan(frame)
    assert first.candidates.shape == (3, 6, 2) and first.scores.sum() == pytest.approx(1.0, abs=1e-5) and first.mode == "cooperative"
    assert not np.array_equal(planner.plan(frame).trajectory.points, first.trajectory.points)
    planner.reset()
    assert np.array_equal(planner.plan(frame).trajectory.points, first.trajectory.points)


# --- as ROS nodes ----------------------------------------------------------------------------------------------------------


class Source:
    """Plays clock, odometry, pictures and route."""

    def __init__(self, graph):
        from nav_msgs.msg import Odometry
        from rclpy.qos import DurabilityPolicy, QoSProfile
        from rosgraph_msgs.msg import Clock
        from sensor_msgs.msg import Image

        from kd_planner_ros.ros.adapters.carla_bridge import Adapter

        self.adapter, node = Adapter(), graph.node
        self.clock = node.create_publisher(Clock, "/clock", 10)
        self.odometry = node.create_publisher(Odometry, "odometry", 10)
        self.image = node.create_publisher(Image, "front/image", 5)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.route = node.create_publisher(self.adapter.route_type, "global_plan", latched)

    def play_until(self, heard, seconds=20.0):
        """Ticks until ``heard`` is not empty; whether it came to that."""
        from rosgraph_msgs.msg import Clock

        from kd_planner_ros.ros.stamps import to_stamp

        def tick():
            stamp = 10**9 + self.ticks * 50_000_000
            self.clock.publish(Clock(clock=to_stamp(stamp)))
            self.odometry.publish(self.adapter.odometry_to_msg(EgoState(stamp, Pose(), 5.0)))
            self.image.publish(self.adapter.image_to_msg(np.full((32, 64, 3), self.ticks % 256, np.uint8), stamp, "front"))
            self.ticks += 1
            return wait_for(lambda: heard, 0.05)

        self.ticks = 0
        return wait_for(tick, seconds)


def start(graph, kind, **parameters):
    from kd_planner_ros.ros.lifecycle import autostart

    node = graph.start(kind, {"use_sim_time": True, **parameters})
    assert autostart(node), node.health.worst
    return graph.spin_in_thread(node)


def test_the_student_runs_as_a_perception_node(graph, student):
    from sensor_msgs.msg import Image

    from kd_planner_ros.ros.nodes.perception_node import PerceptionNode
    from kd_planner_ros.wire.codec.dense import dense_of

    depth, classes = [], []
    graph.node.create_subscription(Image, "perception/depth", depth.append, 10)
    graph.node.create_subscription(Image, "perception/classes", classes.append, 10)
    start(graph, PerceptionNode, perceiver="student", models_dir=str(student.models_dir))
    assert Source(graph).play_until(depth) and wait_for(lambda: classes)
    assert depth[0].encoding == "32FC1" and dense_of(depth[0], "depth").array.shape == (32, 64)
    assert classes[0].encoding == "mono8" and dense_of(classes[0], "classes").array.max() < 4


def test_the_planner_runs_as_a_planner_node(graph, driver):
    from sensor_msgs.msg import PointCloud2
    from support.fakes import straight_route

    from kd_planner_ros.ros.nodes.planner_node import PlannerNode
    from kd_planner_ros.wire.codec.plans import candidates_of

    heard = []
    source = Source(graph)
    graph.node.create_subscription(PointCloud2, "planner/candidates", heard.append, 10)
    start(graph, PlannerNode, planner="driver", models_dir=str(driver.models_dir))
    source.route.publish(source.adapter.route_to_msg(straight_route()))
    assert source.play_until(heard)
    found = candidates_of(heard[0])
    assert found.points.shape == (3, 6, 2) and found.scores.sum() == pytest.approx(1.0, abs=1e-5)


def test_the_trainer_node_trains_it_by_a_recipe(graph, lab, bags, tmp_path):
    from rclpy.parameter import Parameter

    from kd_planner_ros.ros.nodes.trainer_node import TrainerNode

    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("network: stranger_perception\nsize: tiny\nbatch: 8\nepochs: 1.0\nthreads: 1\ndevice: cpu\n"
                      "method: stranger_mimic\nteacher: teacher\nstranger_perception: {next_weight: 0.0}\n")
    settings = {"recipe": str(recipe), "bags": [str(bags)], "name": "by_node", "models_dir": str(lab.models_dir),
                "runs_dir": str(tmp_path / "runs"), "cache": str(lab.cache)}
    node = TrainerNode(context=graph.context, namespace="/lab",
                       parameter_overrides=[Parameter(name, value=value) for name, value in settings.items()])
    graph.spin_in_thread(node)
    node.trigger_configure()
    node.trigger_activate()
    assert wait_for(lambda: node.training.over, 120.0)
    assert node.training.state == "finished", node.training.error
    assert node.training.stage == "classes" and (lab.models_dir / "by_node" / "card.json").is_file()
