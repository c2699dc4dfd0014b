"""Single nodes with real rclpy: clocks, jumps, wrong names, QoS, parameters, lifecycle."""

import sys
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: use the pinned environment ('make setup') or source ROS 2")

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import State
from nav_msgs.msg import Odometry, Path
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_msgs.msg import Bool, String
from support.fakes import FakePlanner, straight_route
from support.graph import DOMAIN, end_context, wait_for

from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.notices import report
from kd_planner_ros.ros.adapters.carla_bridge import Adapter
from kd_planner_ros.ros.diagnostics import ERROR, WARN, Health
from kd_planner_ros.ros.inference import Inference
from kd_planner_ros.ros.latency import LatencyHealth
from kd_planner_ros.ros.lifecycle import autostart
from kd_planner_ros.ros.messages import type_name
from kd_planner_ros.ros.nodes import controller_node, planner_node
from kd_planner_ros.ros.stamps import from_stamp, to_stamp

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
TICK = 50_000_000
START = 10**9


class Source:
    """Plays the world: clock, odometry, pictures and route from the tester's node."""

    def __init__(self, graph, with_clock=True):
        self.adapter, node = Adapter(), graph.node
        self.odometry = node.create_publisher(Odometry, "odometry", 10)
        self.image = node.create_publisher(Image, "front/image", 5)
        self.route = node.create_publisher(self.adapter.route_type, "global_plan", LATCHED)
        self.clock = node.create_publisher(Clock, "/clock", 10) if with_clock else None
        self.node = node

    def tick(self, n, picture=True, x=0.0, speed=2.0):
        import numpy as np

        stamp = START + n * TICK
        if self.clock is not None:
            self.clock.publish(Clock(clock=to_stamp(stamp)))
        if picture:
            self.image.publish(self.adapter.image_to_msg(np.zeros((32, 64, 3), np.uint8), stamp, "front"))
        self.odometry.publish(self.adapter.odometry_to_msg(EgoState(stamp, Pose(x=x), speed)))

    def connected(self):
        return self.odometry.get_subscription_count() and (self.clock is None or self.clock.get_subscription_count())


def start_planner(graph, monkeypatch, role_name="", **parameters):
    planner = FakePlanner()
    monkeypatch.setattr(planner_node, "load", lambda *a, **k: planner)
    node = graph.start(planner_node.PlannerNode, {"use_sim_time": True, "unseen_after_s": 0.6, **parameters},
                       role_name=role_name)
    assert autostart(node)
    graph.spin_in_thread(node)
    return node, planner


def start_controller(graph, role_name="", **parameters):
    node = graph.start(controller_node.ControllerNode, {"use_sim_time": True, "unseen_after_s": 0.6, **parameters},
                       role_name=role_name)
    assert autostart(node)
    graph.spin_in_thread(node)
    return node


def test_the_cars_full_lock_reaches_all_that_steers(graph):
    node = start_controller(graph, max_steer_rad=0.6)
    assert node.adapter.max_steer_rad == node._outputs._max_steer_rad == node._gate.pilot._stop_settings.full_lock_rad == 0.6


def test_the_cars_box_reaches_the_supervisor(graph):
    node = start_controller(graph, car_length_m=5.176, car_width_m=2.297, car_ahead_m=1.461)
    assert node._gate.pilot.caution.settings.car == (5.176, 2.297, 1.461)


def play(source, planner, ticks, **more):
    """Publish ticks with a picture in every second one, and wait for each picture's plan."""
    assert wait_for(source.image.get_subscription_count), "nobody listens to the pictures"
    for n in ticks:
        seen = len(planner.frames)
        source.tick(n, picture=n % 2 == 0, **more)
        assert wait_for(lambda: len(planner.frames) > seen or n % 2), f"no plan for tick {n}"
        time.sleep(0.01)


def collect(graph, kind, topic, qos=10):
    found = []
    graph.node.create_subscription(kind, topic, found.append, qos)
    return found


def listened_to(node, topic):
    """Whether a subscription has found the publisher of ``topic`` in ``node``: what is sent before is lost."""
    return any(one.topic_name.endswith("/" + topic) and one.get_subscription_count() for one in node.publishers)


def test_a_wrong_role_name_is_named(graph, monkeypatch):
    source = Source(graph)
    planner, _ = start_planner(graph, monkeypatch, role_name="hero")
    controller = start_controller(graph, role_name="hero")
    source.tick(0)
    assert wait_for(lambda: planner.health.get("unseen") and controller.health.get("unseen"), 5.0)
    for node in (planner, controller):
        assert "/carla/hero/odometry" in node.health.get("unseen")
        assert "there is /carla/ego_vehicle/" in node.health.get("unseen")
        assert node.health.worst[0] == ERROR


def test_diagnostics_come_without_any_input_and_carry_no_zero_stamp(graph, monkeypatch):
    arrays = collect(graph, DiagnosticArray, "/diagnostics")
    start_planner(graph, monkeypatch)
    assert wait_for(lambda: len(arrays) > 2)
    assert all(from_stamp(array.header.stamp) > 10**18 for array in arrays)
    values = {value.key: value.value for value in arrays[-1].status[0].values}
    assert values["control message"] in ("sensor_msgs/JointState", "carla_msgs/CarlaEgoVehicleControl")


def test_a_missing_clock_is_named_and_the_car_is_braked(graph, monkeypatch):
    source = Source(graph, with_clock=False)
    reasons = collect(graph, String, "controller/reason", LATCHED)
    controls = collect(graph, source.adapter.control_type, "vehicle_control_cmd", 1)
    node = start_controller(graph, lockstep=False)
    assert wait_for(source.connected)
    for n in range(40):
        source.tick(n, picture=False)
        time.sleep(0.05)
    assert wait_for(lambda: node.health.get("clock"))
    assert controls and source.adapter.control_from_msg(controls[-1]).brake > 0.3
    assert wait_for(lambda: reasons and reasons[-1].data == "clock_missing")
    assert all(from_stamp(control.header.stamp) >= START for control in controls)


def test_time_set_back_resets_planner_route_and_buffers(graph, monkeypatch):
    source = Source(graph)
    node, planner = start_planner(graph, monkeypatch)
    source.route.publish(source.adapter.route_to_msg(straight_route()))
    assert wait_for(lambda: node._inputs.ready and source.connected())
    play(source, planner, range(100, 110), x=100.0)
    resets = planner.resets
    play(source, planner, range(10))
    assert planner.resets > resets
    assert planner.frames[-1].stamp_ns < START + 10 * TICK
    assert planner.frames[-1].goal.target_point[0] == pytest.approx(51.0, abs=5.0)  # the route's start, not its end


def test_a_drive_that_begins_in_mid_route_is_followed_ahead(graph, monkeypatch):
    """A bag that is played from its middle, or a planner beside a CARLA that already drives."""
    source = Source(graph)
    node, planner = start_planner(graph, monkeypatch)
    source.route.publish(source.adapter.route_to_msg(straight_route()))
    assert wait_for(lambda: node._inputs.ready and source.connected())
    play(source, planner, range(100, 104), x=160.0)
    assert [frame.goal.target_point[0] for frame in planner.frames] == pytest.approx([39.0, 39.0], abs=1.0)


def test_time_set_back_resets_the_controller(graph):
    source = Source(graph)
    controls = collect(graph, source.adapter.control_type, "vehicle_control_cmd", 10)
    node = start_controller(graph, lockstep=False)
    assert wait_for(lambda: source.connected() and listened_to(node, "vehicle_control_cmd"))
    for count, n in enumerate((100, 101, 0, 1, 2), start=1):
        source.tick(n, picture=False)
        assert wait_for(lambda: len(controls) >= count), (count, len(controls))
    assert len(controls) == 5
    assert [from_stamp(one.header.stamp) for one in controls][-3:] == [START, START + TICK, START + 2 * TICK]
    assert node._watch.jumps == 1


def test_odometry_that_stops_while_the_clock_runs_brakes(graph):
    source = Source(graph)
    reasons = collect(graph, String, "controller/reason", LATCHED)
    controls = collect(graph, source.adapter.control_type, "vehicle_control_cmd", 10)
    node = start_controller(graph, lockstep=False)
    assert wait_for(lambda: source.connected() and listened_to(node, "vehicle_control_cmd"))
    source.tick(0, picture=False)
    assert wait_for(lambda: controls)
    for n in range(1, 40):
        source.clock.publish(Clock(clock=to_stamp(START + n * TICK)))
        time.sleep(0.02)
    assert wait_for(lambda: reasons[-1].data == "odometry_stale")
    stamps = [from_stamp(one.header.stamp) for one in controls]
    assert stamps == sorted(set(stamps)), "a stamp was used twice"


def test_no_plan_is_published_twice_or_under_another_stamp(graph, monkeypatch):
    source = Source(graph)
    paths = collect(graph, Path, "planner/trajectory", 10)
    node, planner = start_planner(graph, monkeypatch)
    source.route.publish(source.adapter.route_to_msg(straight_route()))
    assert wait_for(lambda: node._inputs.ready and source.connected() and listened_to(node, "planner/trajectory"))
    play(source, planner, range(20))
    assert wait_for(lambda: len(paths) == len(planner.frames) == 10)
    time.sleep(0.5)
    stamps = [from_stamp(path.header.stamp) for path in paths]
    assert stamps == [frame.stamp_ns for frame in planner.frames] == sorted(set(stamps))
    arrivals = [from_stamp(pose.header.stamp) - stamps[0] for pose in paths[0].poses]
    assert arrivals == [500_000_000, 1_000_000_000, 1_500_000_000, 2_000_000_000]


def test_waypoints_are_followed_where_nobody_publishes_a_route(graph, monkeypatch):
    source = Source(graph)
    graph.node.destroy_publisher(source.route)
    waypoints = graph.node.create_publisher(Path, "waypoints", LATCHED)
    node, planner = start_planner(graph, monkeypatch)
    waypoints.publish(source.adapter.to_msg("waypoints", straight_route(), START))
    assert wait_for(lambda: node._inputs.route._waypoints is not None and source.connected()
                    and not node.count_publishers("/carla/ego_vehicle/global_plan"))
    play(source, planner, range(6))
    assert planner.frames[-1].goal.target_point[0] > 20.0
    assert "no turn commands" in node.health.get("waypoints")
    to_the_left = replace(straight_route(), points=straight_route().points[:, ::-1])
    waypoints.publish(source.adapter.to_msg("waypoints", to_the_left, START))  # the user has set another goal
    first = node._inputs.route._waypoints
    assert wait_for(lambda: node._inputs.route._waypoints is not first)
    play(source, planner, range(6, 12))
    assert planner.frames[-1].goal.target_point[1] > 20.0


def test_incompatible_qos_is_a_diagnostic(graph, monkeypatch):
    best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    graph.node.create_publisher(Image, "front/image", best_effort)
    node, _ = start_planner(graph, monkeypatch)
    assert wait_for(lambda: node.health.get("qos"))
    assert "/carla/ego_vehicle/front/image" in node.health.get("qos") and "qos_overrides" in node.health.get("qos")


@pytest.fixture
def stranger(graph):
    """A node of another DDS participant, as of another process: within one, rmw_fastrtps refuses a second type of a topic."""
    import rclpy
    from rclpy.context import Context

    context = Context()
    rclpy.init(context=context, domain_id=DOMAIN)
    node = rclpy.create_node("stranger", context=context, namespace="/carla/ego_vehicle")
    yield node
    node.destroy_node()
    end_context(context)


def test_a_route_of_another_type_is_named_with_both_types(graph, monkeypatch, stranger):
    node, _ = start_planner(graph, monkeypatch)
    stranger.create_publisher(String, "global_plan", LATCHED)
    assert wait_for(lambda: node.health.get("types"))
    ours = type_name(node.adapter.route_type)
    assert node.health.get("types") == (f"node stranger sends std_msgs/msg/String on /carla/ego_vehicle/global_plan, this node {ours}: "
                                        f"source {ours.split('/')[0]} in the shell of stranger")
    assert node.health.worst[0] == ERROR


def test_a_reader_of_another_control_type_is_an_error_not_a_key_value(graph, stranger):
    node = start_controller(graph)
    reader = stranger.create_subscription(String, "vehicle_control_cmd", lambda message: None, 1)
    assert wait_for(lambda: node.health.get("types"))
    assert "node stranger reads std_msgs/msg/String on /carla/ego_vehicle/vehicle_control_cmd" in node.health.get("types")
    assert node.health.worst[0] == ERROR
    stranger.destroy_subscription(reader)
    assert wait_for(lambda: not node.health.get("types")), "it goes with its cause"


def test_a_route_that_came_before_activation_is_not_missed(graph, monkeypatch):
    source = Source(graph)
    monkeypatch.setattr(planner_node, "load", lambda *a, **k: FakePlanner())
    node = graph.start(planner_node.PlannerNode, {"use_sim_time": True, "unseen_after_s": 0.6})
    graph.spin_in_thread(node)
    node.trigger_configure()
    source.route.publish(source.adapter.route_to_msg(straight_route()))
    assert wait_for(lambda: node._inputs.ready)
    node.trigger_activate()
    assert wait_for(lambda: node.health.get("unseen"))  # odometry and pictures are missed
    assert "odometry" in node.health.get("unseen") and "global_plan" not in node.health.get("unseen")


def test_durability_can_be_overridden(graph, monkeypatch):
    topic = "/carla/ego_vehicle/global_plan"
    node, _ = start_planner(graph, monkeypatch, **{f"qos_overrides.{topic}.subscription.durability": "volatile"})
    ends = wait_for(lambda: graph.node.get_subscriptions_info_by_topic(topic)) and graph.node.get_subscriptions_info_by_topic(topic)
    assert [end.qos_profile.durability for end in ends] == [DurabilityPolicy.VOLATILE]
    other = graph.node.get_subscriptions_info_by_topic("/carla/ego_vehicle/waypoints")
    assert [end.qos_profile.durability for end in other] == [DurabilityPolicy.TRANSIENT_LOCAL], "of this port alone"


def test_lifecycle_gates_status_and_output(graph, monkeypatch):
    ready = collect(graph, Bool, "status", LATCHED)
    source = Source(graph)
    planner, _ = start_planner(graph, monkeypatch)
    controller = start_controller(graph)
    source.route.publish(source.adapter.route_to_msg(straight_route()))
    assert wait_for(lambda: ready and ready[-1].data)
    graph.between_callbacks(planner, planner.trigger_deactivate)
    assert wait_for(lambda: not ready[-1].data)
    graph.between_callbacks(planner, planner.trigger_activate)
    assert wait_for(lambda: ready[-1].data)
    graph.between_callbacks(controller, controller.trigger_deactivate)
    assert wait_for(lambda: not ready[-1].data)
    assert planner._state_machine.current_state[0] == State.PRIMARY_STATE_ACTIVE


def test_a_planner_that_cannot_be_loaded_refuses_to_configure(graph):
    node = graph.start(planner_node.PlannerNode, {"planner": "no_such_planner"})
    assert not autostart(node)
    assert "no_such_planner" in node.health.worst[1] and node.health.worst[0] == ERROR
    graph.spin_in_thread(node)


@pytest.mark.parametrize("values, text", [
    ({"plan_timeout_s": 99.0}, "plan_timeout_s"), ({"plan_period_s": "fast"}, "plan_period_s"),
    ({"carla_profile": "apollo"}, "carla_bridge_lb2")])
def test_a_parameter_out_of_range_is_refused_in_one_line(graph, values, text):
    with pytest.raises(ConfigError) as refused:
        graph.start(controller_node.ControllerNode, values)
    assert text in str(refused.value) and "\n" not in str(refused.value)


def test_cleanup_drops_what_configure_made(graph):
    node = graph.start(controller_node.ControllerNode)
    bare = sorted(one.topic_name for one in node.publishers)
    for _ in range(2):
        node.trigger_configure()
        assert len(list(node.publishers)) > len(bare)
        node.trigger_cleanup()
        assert sorted(one.topic_name for one in node.publishers) == bare
    graph.spin_in_thread(node)


def test_a_fault_from_before_the_planner_was_told_to_forget_is_left_out():
    begun, go_on, faults = threading.Event(), threading.Event(), []

    class Failing:
        def reset(self):
            pass

        def plan(self, frame):
            begun.set()
            go_on.wait(10.0)
            raise RuntimeError("late")

    health = SimpleNamespace(set=lambda *words: faults.append(words), clear=lambda name: None)
    inference = Inference(Failing(), health, lambda inputs: inputs, Failing().plan, lambda *plan: None, lambda *words: faults.append(words))
    inference.put(SimpleNamespace(stamp_ns=1))
    assert begun.wait(10.0)
    inference.forget()
    go_on.set()
    inference.close()
    assert not faults and inference.faults == 0


def test_what_a_model_warns_of_while_it_runs_is_in_the_diagnostics():
    class Warns(FakePlanner):
        def plan(self, frame):
            report("this test's model knows no command")

    model, health, done = Warns(), SimpleNamespace(set=lambda *words: None, clear=lambda name: None), threading.Event()
    inference = Inference(model, health, lambda inputs: inputs, model.plan, lambda *plan: done.set(), lambda *words: None)
    try:
        assert "knows no command" not in inference.values().get("warnings", "")
        inference.put(SimpleNamespace(stamp_ns=1))
        assert done.wait(10.0) and "this test's model knows no command" in inference.values()["warnings"]
    finally:
        inference.close()


def test_two_threads_may_tell_how_a_node_is(graph):
    health, stop = Health(graph.node), threading.Event()

    def raise_and_clear():
        while not stop.is_set():
            for number in range(20):
                health.set(f"condition {number}", b"\x01", "so it is")
            for number in range(20):
                health.clear(f"condition {number}")

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    other = threading.Thread(target=raise_and_clear)
    other.start()
    try:
        until = time.monotonic() + 2.0
        while time.monotonic() < until:
            assert health.worst[0] in (b"\x00", b"\x01")
            health.publish()
    finally:
        stop.set()
        other.join()
        sys.setswitchinterval(interval)


def test_processing_time_is_a_health(graph):
    """Bound 0.1 s, error from the third late result in a row; one in time clears it, and the log gets one line a level."""
    health, said = Health(graph.node), []
    real = health.set
    health.set = lambda *words: (said.append(words), real(*words))
    latency = LatencyHealth(health, 0.1, 3, "plans")
    for took_s, level in ((0.1, None), (0.11, WARN), (0.3, WARN), (0.2, ERROR), (5.0, ERROR), (0.05, None), (0.2, WARN), (0.0, None)):
        latency.add(took_s)
        assert (health.worst[0] if health.get("latency") else None) == level, took_s
    assert latency.late == 5 and [words[1] for words in said] == [WARN, ERROR, WARN]
    assert said[0][2] == "one of the plans took 110 ms, longer than 100 ms (max_latency_s)"
    assert said[1][2].startswith("3 plans in a row took longer than 100 ms (max_latency_s), the last 200 ms: choose a smaller model")


def test_a_slow_planner_is_a_warning_then_an_error_and_is_well_again(graph, monkeypatch):
    source = Source(graph)
    node, planner = start_planner(graph, monkeypatch, max_latency_s=0.05, max_late_results=2)
    source.route.publish(source.adapter.route_to_msg(straight_route()))
    assert wait_for(lambda: node._inputs.ready and source.connected())
    planner.delay = lambda frame: time.sleep(0.06)
    play(source, planner, range(1))
    assert wait_for(lambda: node.health.get("latency")) and node.health.worst[0] == WARN
    play(source, planner, range(2, 3))
    assert wait_for(lambda: node.health.worst[0] == ERROR) and "2 plans in a row took longer than 50 ms" in node.health.get("latency")
    planner.delay = None

    def well(ticks=iter(range(4, 200, 2))):  # a busy machine may make one more result late
        play(source, planner, [next(ticks)])
        return wait_for(lambda: not node.health.get("latency"), 0.2)

    assert wait_for(well)
