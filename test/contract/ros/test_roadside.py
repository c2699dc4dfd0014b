"""Roadside stations in the graph: what the world's stations publish is what a model's inputs give it."""

import time

import numpy as np
import pytest
import rclpy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from support.towns import scene

from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.frames import FrameMaker
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import ACTOR_DTYPE
from kd_planner_ros.core.sensors import CameraSpec, RoadsideWish, SensorRig, Station
from kd_planner_ros.core.v2x import PHASE_DTYPE, RoadsideView
from kd_planner_ros.ros.adapters.carla_bridge import Adapter
from kd_planner_ros.ros.diagnostics import Health
from kd_planner_ros.ros.ports.model_inputs import ModelInputs
from kd_planner_ros.ros.ports.roadside_inputs import RoadsideInputs
from kd_planner_ros.ros.ports.roadside_outputs import RoadsideOutputs
from kd_planner_ros.ros.ports.world_outputs import WorldOutputs
from kd_planner_ros.ros.qos import LATCHED, STATE
from kd_planner_ros.ros.stamps import to_stamp
from kd_planner_ros.world.sensor_data import SensorData

CAMERA = CameraSpec("camera", Pose(x=10.0, z=7.0, pitch=0.3), 16, 8, 90.0, 0.1)
NEAR = Station("near", Pose(x=10.0), (CAMERA,))
FAR = Station("far", Pose(x=140.0), (CameraSpec("camera", Pose(x=140.0, z=7.0), 16, 8, 90.0),))
PICTURE = np.arange(16 * 8 * 3, dtype=np.uint8).reshape(8, 16, 3)
ROWS = np.zeros(3, ACTOR_DTYPE)
ROWS["id"], ROWS["x"] = (4, 5, 9), (1.0, 900.0, -3.0)
SECOND = 1_000_000_000


class Setup:
    def __init__(self, graph, objects=True, pictures=True):
        self.world, self.model = graph.node, graph.spin_in_thread(rclpy.create_node("model", context=graph.context))
        wish = RoadsideWish(objects=objects, pictures=pictures, max_age_s=0.5)
        self.adapter, self.maker = Adapter(), FrameMaker(SensorRig(roadside=wish))
        self.health = Health(self.model)
        self.outputs = RoadsideOutputs(self.world, self.adapter, (NEAR, FAR))
        self.inputs = RoadsideInputs(self.model, self.adapter, self.maker.roadside, self.health)
        self.until(lambda: self.inputs.values()["roadside stations"] == 2
                   and (not pictures or self.outputs._pictures["near", "camera"][0].get_subscription_count() == 1)
                   and (not objects or self.outputs._objects["near"].get_subscription_count() == 1))

    def until(self, met, seconds=10.0):
        end = time.monotonic() + seconds
        while not met() and time.monotonic() < end:
            time.sleep(0.02)
        assert met()

    def views(self, stamp_ns):
        frame = self.maker.make(EgoState(stamp_ns, Pose(), 0.0), None, {}, {}, **self.inputs.decoders)
        return frame.roadside


@pytest.fixture
def setup(graph):
    return Setup(graph)


def test_pictures_and_object_lists_arrive_as_they_were_sent(setup):
    setup.outputs.publish([RoadsideView("near", CAMERA, PICTURE, ROWS, 0, 0.0)], SECOND)
    setup.until(lambda: setup.inputs.values()["roadside pictures"] == setup.inputs.values()["roadside object lists"] == 1)
    view, = setup.views(SECOND + 200_000_000)
    assert (view.station, view.stamp_ns, view.age_s) == ("near", SECOND, 0.2) and view.camera.pose.x == 10.0
    np.testing.assert_array_equal(view.image, PICTURE)
    assert view.objects.tobytes() == ROWS.tobytes(), "uncut, ids and all"
    assert setup.views(SECOND + 600_000_000) == (), "0.6 s is older than the limit"
    assert setup.views(SECOND - 1) == (), "what is newer than the frame waits"


def test_other_stations_with_the_same_ids_are_heard_at_their_own_places(setup):
    """Another map's station_1 stands elsewhere, has another camera, and there is no station beside it."""
    setup.outputs.publish([RoadsideView("near", CAMERA, PICTURE, ROWS, 0, 0.0)], SECOND)
    setup.until(lambda: setup.inputs.values()["roadside pictures"] == 1)
    other = Station("near", Pose(x=40.0), (CameraSpec("side", Pose(x=40.0, z=7.0), 16, 8, 60.0),))
    again = RoadsideOutputs(setup.world, setup.adapter, (other,))
    setup.until(lambda: setup.inputs.values()["roadside stations"] == 1
                and again._pictures["near", "side"][0].get_subscription_count() == 1
                and setup.outputs._pictures["near", "camera"][0].get_subscription_count() == 0)
    assert setup.views(SECOND) == (), "what the old one sent is forgotten"
    again.publish([RoadsideView("near", other.cameras[0], PICTURE, None, 0, 0.0)], SECOND)
    setup.until(lambda: setup.inputs.values()["roadside pictures"] == 2)
    view, = setup.views(SECOND)
    assert view.foot.x == 40.0 and view.camera.id == "side" and view.objects is None


def test_calibrations_reach_who_comes_late(setup):
    heard = []
    setup.model.create_subscription(CameraInfo, "/carla/far/camera/camera_info", heard.append, LATCHED)
    setup.until(lambda: heard)
    assert (heard[0].width, heard[0].header.frame_id) == (16, "far/camera"), "no picture was taken yet"


def test_a_station_that_sends_nothing_costs_nothing(setup):
    assert setup.views(SECOND) == ()
    setup.outputs.publish([], SECOND)
    assert setup.views(SECOND) == () and setup.health.get("roadside") is None


def test_a_broken_picture_is_counted_and_the_list_remains(setup):
    broken = Image(height=8, width=16, encoding="bgra8", step=64, data=b"short")
    broken.header.stamp = to_stamp(SECOND)
    setup.outputs.publish([RoadsideView("near", None, None, ROWS, 0, 0.0)], SECOND)
    setup.outputs._pictures["near", "camera"][0].publish(broken)
    setup.until(lambda: setup.inputs.values()["roadside pictures"] == setup.inputs.values()["roadside object lists"] == 1)
    view, = setup.views(SECOND)
    assert view.image is None and len(view.objects) == 3
    assert setup.inputs.values()["roadside messages refused"] == 1 and "left out" in setup.health.get("roadside")


def test_no_list_is_heard_where_none_is_wanted(graph):
    setup = Setup(graph, objects=False)
    assert setup.outputs._objects["near"].get_subscription_count() == 0
    setup.inputs.close(setup.model)
    assert setup.inputs.values()["roadside stations"] == 0


def test_no_picture_is_heard_where_lists_alone_are_wanted(graph):
    setup = Setup(graph, pictures=False)
    assert setup.outputs._pictures["near", "camera"][0].get_subscription_count() == 0
    setup.inputs.close(setup.model)


def test_a_tick_of_the_world_becomes_a_frame_with_roadside_views(graph):
    """World's outputs to model's inputs, as the two nodes hold them; the views do not hold up the set."""
    rig, sets = SensorRig(roadside=RoadsideWish(objects=True)), []
    outputs = WorldOutputs(graph.node, Adapter(), rig)
    node = graph.spin_in_thread(rclpy.create_node("model", context=graph.context, namespace="/carla/ego_vehicle"))
    inputs = ModelInputs(node, Adapter(), rig, 0.1, 0.025, Health(node), on_set=sets.append, on_jump=lambda: None, mark=lambda port: None)
    route = Route("r", "t", np.zeros((2, 2)), np.zeros(2), np.full(2, 4, np.int8), np.zeros((2, 2)))
    outputs.begin(route, (NEAR, FAR))
    end = time.monotonic() + 20.0
    frame, tick = None, 0
    while time.monotonic() < end and (frame is None or not frame.roadside):
        tick += 2
        state = scene(stamp_ns=tick * 50_000_000)
        views = (RoadsideView("near", CAMERA, PICTURE, ROWS, state.stamp_ns, 0.0),) if tick % 4 == 0 else ()
        outputs.tick(state, SensorData(state.stamp_ns, roadside=views))
        time.sleep(0.1)
        while sets:
            frame = inputs.frame(sets.pop(0))
    view, = frame.roadside
    np.testing.assert_array_equal(view.image, PICTURE)
    assert view.objects.tobytes() == ROWS.tobytes() and 0.0 <= view.age_s <= 0.5 and frame.goal is None
    assert inputs.values(None)["roadside stations"] == 2
    inputs.close(node)


def test_a_frame_has_the_newest_signal_phases_where_the_model_wants_them(graph):
    rows = np.zeros(1, PHASE_DTYPE)
    rows["signal"], rows["stop_x"], rows["min_end_s"] = 7, 30.0, np.nan
    node = graph.spin_in_thread(rclpy.create_node("model", context=graph.context, namespace="/carla/ego_vehicle"))
    health, sets = Health(node), []
    inputs = ModelInputs(node, Adapter(), SensorRig(phases=True, needs_route=False), 0.1, 0.025, health, on_set=sets.append,
                         on_jump=lambda: None, mark=lambda port: None)
    sender = graph.node.create_publisher(PointCloud2, "/v2x/phases", STATE)

    def shown(stamp_ns):
        inputs._offer("odometry", stamp_ns, (EgoState(stamp_ns, Pose(), 0.0), None))
        return inputs.frame(sets.pop()).phases

    assert shown(SECOND) is None, "nothing came yet"
    end = time.monotonic() + 20.0
    while inputs.values(None)["signal phase messages"] == 0 and time.monotonic() < end:
        sender.publish(Adapter().to_msg("v2x_phases", rows, SECOND))
        time.sleep(0.05)
    assert shown(SECOND + 200_000_000).tobytes() == rows.tobytes()
    assert shown(SECOND + 600_000_000) is None, "0.6 s is older than the limit"
    inputs.reset()
    assert shown(SECOND + 200_000_000) is None, "time was set back: what was heard before belongs to another time"
    inputs.close(node)
    plain = ModelInputs(node, Adapter(), SensorRig(needs_route=False), 0.1, 0.025, health, on_set=sets.append, on_jump=lambda: None,
                        mark=lambda port: None)
    assert "signal phase messages" not in plain.values(None)
    plain.close(node)
