"""Messages of other systems, written into hand-made classes of their definitions, and into the real ones where they are installed."""

import math

import numpy as np
import pytest
from support.foreign import make as hand_made
from support.foreign import makers, wire
from support.plans import plan
from support.wire import STAMP, filled

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.outputs import DETECTION_DTYPE, NO_ID, Detections
from kd_planner_ros.core.records import Control
from kd_planner_ros.core.scene import ACTOR_DTYPE, SIGNAL_DTYPE, ActorKind
from kd_planner_ros.wire.codec import autoware, autoware_objects, base, carla, vision


@pytest.mark.parametrize("make", makers(carla.OBJECTS))
def test_objects_as_carlas_bridge_sends_them(make):
    kinds = [kind for kind in ActorKind]
    actors = filled(ACTOR_DTYPE, len(kinds))
    actors["kind"], actors["yaw"], actors["lights"], actors["seed"] = kinds, np.linspace(-3.0, 3.0, len(kinds)), 0, 0
    actors["length"], actors["width"], actors["height"] = 4.5, 2.0, 1.5
    message = wire(carla.object_array(make, actors, STAMP, "map"))
    assert base.stamp_of(message) == STAMP and message.header.frame_id == "map"
    assert [one.classification for one in message.objects] == [4, 6, 7, 7, 8, 5, 10]  # a bus has no class of its own
    one = message.objects[1]
    assert (one.detection_level, one.classification_certainty, one.shape.type, list(one.shape.dimensions)) == (1, 255, 1, [4.5, 2.0, 1.5])
    back = carla.actors_from_objects(message.objects)
    actors["kind"][kinds.index(ActorKind.BUS)] = ActorKind.TRUCK
    for name in ACTOR_DTYPE.names:
        assert back[name] == pytest.approx(actors[name], abs=1e-6), name
    assert len(wire(carla.object_array(make, actors[:0], STAMP, "map")).objects) == 0


@pytest.mark.parametrize("make", makers(carla.LIGHT_STATES, carla.LIGHT_INFOS))
def test_traffic_lights_as_carlas_bridge_sends_them(make):
    signals = np.zeros(3, SIGNAL_DTYPE)
    for row, yaw in zip(signals, (0.3, -2.0, math.pi / 2)):
        x, y, c, s = 10.0, -5.0, math.cos(yaw), math.sin(yaw)
        mid = (x + 12.0 * c, y + 12.0 * s)  # the stop line lies across the way that the head faces
        row["x"], row["y"], row["z"], row["yaw"] = x, y, 5.0, yaw
        row["stop_x0"], row["stop_y0"] = mid[0] + 1.75 * s, mid[1] - 1.75 * c
        row["stop_x1"], row["stop_y1"] = mid[0] - 1.75 * s, mid[1] + 1.75 * c
    signals["id"], signals["state"] = (7, 8, 9), (0, 2, 3)
    states, infos = wire(carla.light_states(make, signals)), wire(carla.light_infos(make, signals))
    assert [(one.id, one.state) for one in states.traffic_lights] == [(7, 0), (8, 2), (9, 3)]
    back = carla.signals_from_lights(states.traffic_lights, infos.traffic_lights)
    for name in SIGNAL_DTYPE.names:
        assert back[name] == pytest.approx(signals[name], abs=1e-5), name


@pytest.mark.parametrize("make", makers(vision.DETECTIONS_3D))
def test_detections_as_boxes_of_vision_msgs(make):
    rows = np.zeros(2, DETECTION_DTYPE)
    rows["id"], rows["kind"] = (NO_ID, 17), (ActorKind.PEDESTRIAN, ActorKind.CAR)
    rows["x"], rows["y"], rows["z"], rows["yaw"] = 10.0, -2.0, (0.5, np.nan), math.pi / 2
    rows["length"], rows["width"], rows["height"], rows["probability"] = 4.0, 2.0, (1.8, np.nan), 0.75
    message = wire(vision.detections_3d(make, Detections(rows), STAMP, "ego_vehicle"))
    first, second = message.detections
    assert (first.id, second.id) == ("", "17") and message.header.frame_id == first.header.frame_id == "ego_vehicle"
    assert (first.results[0].hypothesis.class_id, first.results[0].hypothesis.score) == ("pedestrian", 0.75)
    assert first.bbox.center.position.z == pytest.approx(0.5 + 0.9) and second.bbox.center.position.z == 0.0 == second.bbox.size.z
    assert first.bbox.center.orientation.z == pytest.approx(math.sin(math.pi / 4)) and first.bbox.size.x == 4.0


@pytest.mark.parametrize("make", makers(autoware.TRAJECTORY, autoware.CANDIDATES))
def test_a_plan_as_autowares_trajectory_and_candidates(make):
    """The car stands at (100, 50) in ``map`` and looks north: 4 m/s ahead is 2 m north every half second."""
    left = np.array([(2, 0), (4, 1), (6, 3), (8, 6)], float)
    ways = np.stack([left, np.array(plan().trajectory.points)])
    placed = autoware.Placed(plan(stamp_ns=STAMP, candidates=ways, scores=np.array([0.2, 0.8])), Pose(100.0, 50.0, yaw=math.pi / 2))
    message = wire(autoware.trajectory(make, placed, STAMP, "map"))
    assert base.stamp_of(message) == STAMP and message.header.frame_id == "map" and len(message.points) == 4
    assert [base.time_of(one.time_from_start) for one in message.points] == [500_000_000 * n for n in range(1, 5)]
    assert [(one.pose.position.x, one.pose.position.y) for one in message.points] == [
        pytest.approx((100.0, 50.0 + ahead)) for ahead in (2, 4, 6, 8)]
    assert [one.longitudinal_velocity_mps for one in message.points] == pytest.approx([4.0] * 4)
    assert [one.acceleration_mps2 for one in message.points] == pytest.approx([0.0] * 4)
    assert message.points[0].pose.orientation.z == pytest.approx(math.sin(math.pi / 4))
    ways = wire(autoware.candidates(make, placed, STAMP, "map"))
    assert [len(way.points) for way in ways.candidate_trajectories] == [4, 4]
    assert ways.generator_info[0].generator_name.data == "kd_planner_ros"
    assert ways.candidate_trajectories[0].points[3].pose.position.x == pytest.approx(100.0), "the best score first"
    assert ways.candidate_trajectories[1].points[3].pose.position.x == pytest.approx(94.0), "6 m to the left is 6 m west"
    assert list(ways.candidate_trajectories[0].generator_id.uuid) == list(ways.generator_info[0].generator_id.uuid)
    alone = wire(autoware.candidates(make, autoware.Placed(plan(), Pose()), STAMP, "map"))
    assert len(alone.candidate_trajectories) == 1


@pytest.mark.parametrize("make", makers(autoware.CANDIDATES))
def test_candidates_that_nobody_may_follow_stay_here(make):
    """CandidateTrajectories have no scores: whoever reads them takes each for one of the route's."""
    ways = np.arange(6.0)[:, None, None] + np.array([(2, 0), (4, 0), (6, 0), (8, 0)], float)
    ways[5, 2] = np.nan

    def sent(scores):
        placed = autoware.Placed(plan(candidates=ways, scores=np.array(scores)), Pose())
        return [one.points[0].pose.position.x for one in wire(autoware.candidates(make, placed, STAMP, "map")).candidate_trajectories]

    assert sent([0.2, -0.1, 0.5, np.nan, np.inf, 0.9]) == [4.0, 2.0]
    assert sent([-1.0] * 6) == [2.0], "the plan's own trajectory"


@pytest.mark.parametrize("make", makers(autoware_objects.PREDICTED))
def test_detections_with_forecasts_as_autowares_predicted_objects(make):
    """The car stands at (100, 50) in ``map`` and looks north; a car 10 m ahead of it drives to the left, and somebody stands beside."""
    rows = np.zeros(2, DETECTION_DTYPE)
    rows["id"], rows["kind"] = (17, NO_ID), (ActorKind.CAR, ActorKind.STATIC)
    rows["x"], rows["y"], rows["yaw"], rows["vx"], rows["vy"] = (10.0, 0.0), (0.0, -3.0), (math.pi / 2, 0.0), (0.0, np.nan), (4.0, np.nan)
    rows["length"], rows["width"], rows["height"], rows["probability"] = 4.0, 2.0, (1.5, np.nan), 0.75
    futures = np.full((2, 2, 3, 2), np.nan, np.float32)
    futures[0, 0] = [(10.0, 2.0), (10.0, 4.0), (12.0, 4.0)]
    futures[0, 1, 0] = (10.0, 1.0)
    found = Detections(rows, futures, np.array([[0.75, 0.25], [1.0, 0.0]], np.float32), np.array([0.5, 1.0, 1.5]))
    ego = Pose(100.0, 50.0, 7.0, yaw=math.pi / 2)
    message = wire(autoware_objects.predicted_objects(make, autoware.Placed(plan(detections=found), ego), STAMP, "map"))
    first, second = message.objects
    assert base.stamp_of(message) == STAMP and message.header.frame_id == "map"
    assert [one.classification[0].label for one in message.objects] == [1, 0] and first.existence_probability == 0.75
    here, motion = first.kinematics.initial_pose_with_covariance.pose, first.kinematics.initial_twist_with_covariance.twist
    assert (here.position.x, here.position.y, here.position.z) == pytest.approx((100.0, 60.0, 7.75))
    assert base.pose_of(here.position, here.orientation).yaw == pytest.approx(math.pi)
    assert (motion.linear.x, motion.linear.y) == pytest.approx((4.0, 0.0), abs=1e-6), "along the road user's own axes"
    far, near = first.kinematics.predicted_paths
    assert [(one.position.x, one.position.y) for one in far.path] == [
        pytest.approx(place, abs=1e-5) for place in ((100, 60), (98, 60), (96, 60), (96, 62))]
    yaws = [base.pose_of(one.position, one.orientation).yaw for one in far.path]
    assert np.cos(yaws) == pytest.approx([-1, -1, -1, 0], abs=1e-5) and np.sin(yaws) == pytest.approx([0, 0, 0, 1], abs=1e-5)
    assert (far.confidence, near.confidence, len(near.path)) == (0.75, 0.25, 2) and base.time_of(far.time_step) == 500_000_000
    assert second.kinematics.predicted_paths == [] and (second.shape.dimensions.x, second.shape.dimensions.z) == (4.0, 0.0)
    assert second.kinematics.initial_twist_with_covariance.twist.linear.x == 0.0
    again = wire(autoware_objects.predicted_objects(make, autoware.Placed(plan(detections=found), ego), STAMP + 1, "map"))
    assert list(again.objects[0].object_id.uuid) == list(first.object_id.uuid) != list(second.object_id.uuid)


@pytest.mark.parametrize("make", makers(autoware_objects.PREDICTED))
def test_futures_without_one_step_are_left_out_and_no_detections_are_no_objects(make):
    rows = np.zeros(1, DETECTION_DTYPE)
    rows["kind"] = ActorKind.CAR
    found = Detections(rows, np.ones((1, 1, 2, 2), np.float32), None, np.array([0.5, 2.0]))
    (one,) = wire(autoware_objects.predicted_objects(make, autoware.Placed(plan(detections=found), Pose()), STAMP, "map")).objects
    assert one.kinematics.predicted_paths == []
    assert wire(autoware_objects.predicted_objects(make, autoware.Placed(plan(), Pose()), STAMP, "map")).objects == []


@pytest.mark.parametrize("make", makers(autoware.CONTROL))
@pytest.mark.parametrize("command, angle, wanted, speed", [
    (Control(STAMP, 0.5, 0.25, 0.0), 0.3, 1.5, 11.5), (Control(STAMP, 0.0, -1.0, 0.5), -1.2, -4.0, 0.0), (Control(STAMP), 0.0, 0.0, 10.0)])
def test_controls_there_and_back(make, command, angle, wanted, speed):
    message = wire(autoware.control(make, command, 10.0, 1.2))
    assert base.time_of(message.stamp) == base.time_of(message.lateral.stamp) == STAMP and message.longitudinal.is_defined_acceleration
    told = (message.lateral.steering_tire_angle, message.longitudinal.acceleration, message.longitudinal.velocity)
    assert told == pytest.approx((angle, wanted, speed))
    back = autoware.control_of(message, 1.2)
    assert (back.stamp_ns, back.throttle, back.steer, back.brake) == (
        STAMP, *map(pytest.approx, (command.throttle, command.steer, command.brake)))


def test_reports_of_the_vehicle():
    message = hand_made(autoware.VELOCITY, header=base.header(hand_made, STAMP, "base_link"), longitudinal_velocity=7.5,
                        lateral_velocity=-0.25, heading_rate=0.125)
    assert autoware.velocity_of(wire(message)) == (STAMP, 7.5, -0.25, 0.125)
    assert autoware.steering_of(wire(hand_made(autoware.STEERING, stamp=base.time(hand_made, STAMP), steering_tire_angle=0.25))) == 0.25
    message.longitudinal_velocity = math.nan
    with pytest.raises(SensorError, match="finite numbers in Autoware's messages"):
        autoware.velocity_of(message)
