"""Gateway and station as nodes with real rclpy: what is signed passes, and each kind of bad message is refused with its reason."""

import json
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: use the pinned environment ('make setup') or source ROS 2")

from nav_msgs.msg import Odometry
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import String
from support import foreign
from support.graph import wait_for
from support.v2x import START_NS, S, actor, ego, picture, station

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.scene import ACTOR_DTYPE, SIGNAL_DTYPE, ActorKind, LightState
from kd_planner_ros.core.stations import stations_to_data
from kd_planner_ros.core.v2x import OBJECTS, PHASE_DTYPE, PHASES, PICTURE, CoopState, RadioMessage
from kd_planner_ros.imaging.compressed import decompress
from kd_planner_ros.ros.adapters.carla_bridge import Adapter
from kd_planner_ros.ros.lifecycle import autostart
from kd_planner_ros.ros.nodes.controller_node import ControllerNode
from kd_planner_ros.ros.nodes.v2x_gateway_node import V2xGatewayNode
from kd_planner_ros.ros.nodes.v2x_station_node import V2xStationNode
from kd_planner_ros.ros.ports import signal_inputs, station_inputs
from kd_planner_ros.ros.ports.radio_outputs import RadioOutputs
from kd_planner_ros.ros.qos import LATCHED, ROADSIDE, SENSOR_OUT, STATE
from kd_planner_ros.ros.stamps import CLOCK_START_NS, to_stamp
from kd_planner_ros.v2x import reasons
from kd_planner_ros.v2x.channel import fate
from kd_planner_ros.v2x.channel_settings import ChannelSettings
from kd_planner_ros.v2x.key_files import make_keys, read_signer
from kd_planner_ros.v2x.payloads import pack_rows
from kd_planner_ros.wire.codec import carla
from kd_planner_ros.wire.codec.etsi import Perceived
from kd_planner_ros.wire.codec.etsi_signals import Lanes, Phases, StopLine
from kd_planner_ros.wire.codec.radio import SignatureNote

NORTH = station()
SPATEM = {"station": "north", "spatem_topic": "/etsi_its_conversion/spatem_ts/out", "mapem_topic": "/etsi_its_conversion/mapem_ts/out",
          "intersection": 77, "intersection_place": "10 20 0 0 0 90", "signals": False}
MS = 1_000_000


@pytest.fixture
def site(tmp_path):
    """A stations file, and keys that hold for a day."""
    make_keys(tmp_path / "keys", [NORTH], time.time() - 10.0, time.time() + 86_400.0)
    (tmp_path / "stations.json").write_text(json.dumps(stations_to_data([NORTH])))
    return tmp_path


class Car:
    """The gateway's node, the clock and odometry, and a radio to say anything on. Time begins at START_NS."""

    EGO_X_M = 40.0

    def __init__(self, graph, site, **parameters):
        self.graph, self.now_ns, self.sequence, self.adapter = graph, START_NS, 0, Adapter()
        self.signer = read_signer(site / "keys" / "private" / "north.json", NORTH, time.time())
        node = graph.node
        self.clock, self.odometry = node.create_publisher(Clock, "/clock", 10), node.create_publisher(Odometry, "odometry", 10)
        self.radio = RadioOutputs(node, self.adapter, NORTH)
        self.heard = {"objects": [], "state": [], "phases": []}
        for kind, name, profile in ((PointCloud2, "objects", STATE), (PointCloud2, "phases", STATE), (String, "state", LATCHED)):
            node.create_subscription(kind, f"/v2x/{name}", self.heard[name].append, profile)
        self.node = graph.start(V2xGatewayNode, {"keys": str(site / "keys" / "allowed"), "stations": str(site / "stations.json"),
                                                 "use_sim_time": True, **parameters})
        assert autostart(self.node), self.node.health.worst
        graph.spin_in_thread(self.node)
        self.at(0.0)
        ports = [*self.radio._ports.values(), self.radio._signatures, self.odometry]
        assert wait_for(lambda: all(one.get_subscription_count() for one in ports), 30.0)

    @property
    def gateway(self):
        return self.node._gate._gateway

    def at(self, t_s):
        """It is ``t_s`` after the start; the node knows it."""
        self.now_ns = START_NS + round(t_s * S)

        def known():
            self.clock.publish(Clock(clock=to_stamp(self.now_ns)))
            return self.node.get_clock().now().nanoseconds == self.now_ns

        assert wait_for(known, 30.0)

    def message(self, rows=None, jpeg=None, age_s=0.02, **changes):
        """A signed message, measured ``age_s`` ago; ``changes`` are made before it is signed."""
        self.sequence += 1
        kind, payload = (PICTURE, jpeg) if jpeg is not None else (OBJECTS, pack_rows(actor() if rows is None else rows))
        one = RadioMessage("north", self.sequence, kind, self.now_ns - round(age_s * S), payload,
                           camera="camera" if kind == PICTURE else "")
        one = replace(one, **changes)
        return replace(one, signature=self.signer.sign(one))

    def send(self, *messages):
        """Say ``messages``, and wait until all of them were judged."""
        before = self.judged
        for one in messages:
            self.radio.send(one)
        assert wait_for(lambda: self.judged >= before + len(messages), 30.0), self.gateway.counts

    @property
    def judged(self):
        objects = sum(count for name, count in self.gateway.counts.items() if name.startswith(("object_", "teleport", "overlaps", "ghost")))
        return self.gateway.counts["accepted"] + sum(self.gateway.refusals.values()) - objects

    def drive(self, **changes):
        """Odometry of now; what the gateway answers to it."""
        count = len(self.heard["objects"])
        self.odometry.publish(self.adapter.odometry_to_msg(replace(ego(stamp_ns=self.now_ns), **changes)))
        assert wait_for(lambda: len(self.heard["objects"]) > count, 30.0)
        return self.adapter.from_msg("v2x_objects", self.heard["objects"][-1])

    @property
    def state(self):
        return self.adapter.from_msg("v2x_state", self.heard["state"][-1])[0] if self.heard["state"] else None


@pytest.fixture
def car(graph, site):
    return Car(graph, site)


def test_signed_messages_pass_and_reach_the_car(graph, site):
    car, pictures, infos = Car(graph, site, run_dir=str(site / "run")), [], []
    graph.node.create_subscription(CameraInfo, "/v2x/north/camera/camera_info", infos.append, LATCHED)
    graph.node.create_subscription(Image, "/v2x/north/camera/image", pictures.append, ROADSIDE)
    assert wait_for(lambda: car.node.count_subscribers("/v2x/north/camera/image") == 1, 30.0)
    for tick in range(21):
        car.at(tick / 10)
        last = picture(tick) if tick % 5 == 0 else None
        car.send(car.message(actor(x=20.0 + tick / 10, vx=1.0)), *([car.message(jpeg=last)] if last else []))
        answer = car.drive()
    assert car.gateway.refusals == {} and wait_for(lambda: car.state == CoopState.COOP_FULL)
    assert answer.stamp_ns == car.now_ns and answer.ages_s == pytest.approx([0.02]) and answer.rows["x"].tolist() == [22.0]
    assert wait_for(lambda: pictures and pictures[-1].header.stamp == to_stamp(car.now_ns - 20 * MS))
    np.testing.assert_array_equal(car.adapter.image_from_msg(pictures[-1]), decompress(last))
    assert wait_for(lambda: infos) and [(one.width, one.height, one.header.frame_id) for one in infos] == [(128, 72, "north/camera")]
    car.at(2.1)
    car.send(car.message(jpeg=picture(1, 64, 36)))
    car.drive()
    assert wait_for(lambda: len(infos) == 2) and (infos[1].width, infos[1].k[0]) == (64, infos[0].k[0] / 2)
    values = car.node._gate.values()
    assert values["state"] == "COOP_FULL" and values["bytes/s as sent"] > 0 and values["bytes/s raw"] > values["bytes/s as sent"]
    assert car.node.trigger_deactivate()
    logged = [json.loads(line) for line in (site / "run" / "v2x.jsonl").read_text().splitlines()]
    assert [line["state"] for line in logged if "state" in line][-1] == "COOP_FULL" and logged[0]["state"] == "EGO_ONLY"
    view = next(line for line in logged if "view" in line)
    assert view["station"] == "north" and (site / "run" / "roadside" / view["view"]).is_file()
    assert logged[0]["stamp_s"] == pytest.approx((START_NS - CLOCK_START_NS) / S), "the run's time, as in the telemetry"


def forged(car):
    one = car.message()
    car.send(replace(one, payload=pack_rows(actor(x=30.0))))


def replayed(car):
    one = car.message()
    car.send(one)
    car.at(0.1)
    car.send(one)


def reordered(car):
    first, second = car.message(age_s=0.1), car.message()
    car.send(second)
    car.send(first)


def flood(car):
    for number in range(25):
        car.send(car.message(age_s=0.1 - number / 1000))


def in_a_row(*lists):
    def send(car):
        for number, rows in enumerate(lists):
            car.at(number / 10)
            car.send(car.message(rows))

    return send


def frozen(car):
    car.drive()
    for number in range(3):
        car.at(number / 2)
        car.send(car.message(actor(x=20.0 + number, vx=2.0)), car.message(jpeg=picture(3)))


BAD = {
    "forged": (reasons.FORGED, forged),
    "replayed": (reasons.REPLAYED, replayed),
    "reordered": (reasons.REORDERED, reordered),
    "stale": (reasons.STALE, lambda car: car.send(car.message(age_s=0.6))),
    "early": (reasons.EARLY, lambda car: car.send(car.message(age_s=-0.06))),
    "flood": (reasons.FLOOD, flood),
    "oversized": (reasons.OVERSIZED, lambda car: car.send(car.message(jpeg=bytes(1_000_001)))),
    "no JPEG": (reasons.MALFORMED, lambda car: car.send(car.message(jpeg=b"GIF89a"))),
    "frozen": (reasons.FROZEN, frozen),
    "teleporting": (reasons.TELEPORT, in_a_row(actor(), actor(x=35.0))),
    "too fast": (reasons.OBJECT_SPEED, in_a_row(actor(vx=80.0))),
    "the car itself": (reasons.OVERLAPS_EGO, lambda car: (car.drive(), car.send(car.message(actor(x=40.5, y=0.2, kind=ActorKind.CAR))))),
    "out of range": (reasons.OUT_OF_RANGE, lambda car: (car.drive(pose=Pose(400.0, 0.0)), car.send(car.message()))),
}


@pytest.mark.parametrize("reason, attack", BAD.values(), ids=BAD)
def test_a_bad_message_is_refused_with_its_reason(graph, site, reason, attack):
    car = Car(graph, site, run_dir=str(site))
    attack(car)
    assert set(car.gateway.refusals) == {reason}
    assert car.node._gate.values()[reason] >= 1 and car.node._gate.values()["last refusal"] == f"{reason} (north)"
    assert car.node.trigger_deactivate()
    rows = [json.loads(line) for line in (site / "v2x_rejected.jsonl").read_text().splitlines()]
    assert {row["reason"] for row in rows} == {reason} and {row["station"] for row in rows} == {"north"}


def test_what_the_cars_lidar_does_not_see_in_free_space_is_a_ghost(graph, site):
    """The cloud may come before its odometry or after it; one without any is counted, and hides nobody."""
    car = Car(graph, site, lidar="lidar", lidar_pose="0 0 2 0 0 0")
    clouds = graph.node.create_publisher(PointCloud2, "lidar", SENSOR_OUT)
    assert wait_for(lambda: clouds.get_subscription_count(), 30.0)
    ground = np.array([[x, y, -2.0, 0.5] for x in np.arange(-30.0, 30.1, 0.25) for y in np.arange(-30.0, 30.1, 0.25)], np.float32)
    used = "clouds used"

    def look(points, late_s=0.0):
        clouds.publish(car.adapter.to_msg("cloud", points, car.now_ns + round(late_s * S), "lidar"))

    walker = actor(x=car.EGO_X_M - 15.0, y=0.0)
    car.send(car.message(walker))
    assert car.gateway.refusals == {}, "nothing was seen yet"
    car.at(0.1)
    look(ground)
    car.drive()
    assert wait_for(lambda: car.node.values()[used] == 1, 30.0)
    car.send(car.message(walker))
    assert car.gateway.refusals == {reasons.GHOST: 1}
    car.at(0.2)
    car.drive()
    look(np.concatenate([ground, [[-15.0, 0.0, -1.0, 0.5]]]).astype(np.float32))
    assert wait_for(lambda: car.node.values()[used] == 2, 30.0)
    car.send(car.message(walker))
    assert car.gateway.refusals == {reasons.GHOST: 1}, "the car sees him too"
    look(ground, late_s=-0.15)
    assert wait_for(lambda: car.node.values()["clouds without odometry"] == 1, 30.0) and car.node.values()[used] == 2


@pytest.mark.parametrize("pose", ["", "0 0 2", "0 0 2 0 0 x", "nan 0 0 0 0 0"])
def test_a_place_of_the_lidar_that_cannot_be_read_is_named_at_start(graph, site, pose):
    node = graph.start(V2xGatewayNode, {"keys": str(site / "keys" / "allowed"), "stations": str(site / "stations.json"), "lidar": "lidar",
                                        "lidar_pose": pose})
    assert not autostart(node) and "lidar_pose" in node.health.worst[1]


def test_a_lidar_without_its_place_is_refused_at_start(graph, site):
    node = graph.start(V2xGatewayNode, {"keys": str(site / "keys" / "allowed"), "stations": str(site / "stations.json"), "lidar": "lidar"})
    assert not autostart(node) and "lidar_pose: six numbers" in node.health.worst[1]


def test_a_log_goes_on_in_the_next_life_of_the_gateway(graph, site):
    """Another set of stations, or cleanup and configure, begin one: the lines and the evidence of before stay."""
    car = Car(graph, site, run_dir=str(site))
    for tick in range(3):
        car.at(tick / 10)
        car.drive()
    car.send(car.message(actor(x=np.nan)))
    assert car.node.trigger_deactivate() and car.node.trigger_cleanup()
    before = [(site / name).read_text() for name in ("v2x.jsonl", "v2x_rejected.jsonl")]
    assert all(before)
    assert autostart(car.node), car.node.health.worst
    assert wait_for(lambda: all(one.get_subscription_count() for one in (*car.radio._ports.values(), car.odometry)), 30.0)
    car.at(1.0)
    car.drive()
    assert car.node.trigger_deactivate()
    after = [(site / name).read_text() for name in ("v2x.jsonl", "v2x_rejected.jsonl")]
    assert after[0].startswith(before[0]) and len(after[0]) > len(before[0]) and after[1] == before[1]


def test_what_comes_without_a_signature_waits_and_is_refused(car):
    port = car.radio._ports[OBJECTS, ""]
    one = car.message()
    port.publish(car.adapter.to_msg("radio_objects", one.payload, one.stamp_ns))
    assert wait_for(lambda: car.node._gate.values()["radio messages"] == 1, 30.0) and car.judged == 0
    car.at(0.6)
    assert wait_for(lambda: car.gateway.refusals == {reasons.UNSIGNED: 1}, 30.0)
    car.radio._signatures.publish(String(data="{not json"))
    assert wait_for(lambda: car.node._gate.values()["signatures that cannot be read"] == 1, 30.0)
    car.at(0.7)
    assert car.drive().rows.size == 0 and car.state == CoopState.EGO_ONLY


@pytest.mark.parametrize("signature", [b"", bytes(72)], ids=["empty", "zeros"])
def test_a_false_signature_beside_the_true_one_costs_nothing(car, signature):
    one = car.message()
    false = SignatureNote(one.kind, one.camera, one.stamp_ns, one.sequence, signature)
    car.radio._signatures.publish(car.adapter.to_msg("radio_signature", false, 0))
    assert wait_for(lambda: car.node._gate.values()["radio messages"] == 1, 30.0)
    car.radio.send(one)
    assert wait_for(lambda: car.gateway.counts["accepted"] == 1, 30.0)
    assert set(car.gateway.refusals) <= {reasons.FORGED}


def test_without_odometry_the_state_is_minimal_risk(car):
    car.drive()
    assert wait_for(lambda: car.state == CoopState.EGO_ONLY)
    car.at(1.2)
    assert wait_for(lambda: car.state == CoopState.MINIMAL_RISK, 30.0)
    car.at(1.3)
    car.drive()
    assert wait_for(lambda: car.state == CoopState.EGO_ONLY, 30.0)


def test_time_that_goes_back_is_a_new_beginning(car):
    car.at(5.0)
    car.send(car.message())
    car.sequence = 0
    car.at(1.0)
    assert wait_for(lambda: car.gateway.counts["accepted"] == 0)
    car.send(car.message())
    assert car.gateway.counts["accepted"] == 1 and car.gateway.refusals == {}


def test_what_was_refused_before_time_was_set_back_stays_in_the_run_folder(graph, site):
    car = Car(graph, site, run_dir=str(site))
    for t_s, late_s in ((5.0, 0.9), (1.0, 0.8)):
        car.at(t_s)
        assert wait_for(lambda: car.gateway.refusals == {}, 30.0)
        car.drive()
        car.send(car.message(age_s=late_s))
        car.at(t_s + 1.2)
        car.drive()
    assert car.node.trigger_deactivate()
    rows = [json.loads(line) for line in (site / "v2x_rejected.jsonl").read_text().splitlines()]
    assert [row["reason"] for row in rows] == [reasons.STALE] * 2
    told = [json.loads(line)["rejected"] for line in (site / "v2x.jsonl").read_text().splitlines()]
    assert told[-1] == {reasons.STALE: 2}, "of the whole drive"


@pytest.mark.parametrize("kind, folder", [(V2xGatewayNode, "allowed"), (V2xStationNode, "private")])
def test_a_key_that_cannot_be_used_is_named_at_start(graph, site, kind, folder):
    given = {"keys": str(site / "keys" / folder), "stations": str(site / "stations.json")}
    (site / "keys" / folder / "north.json").chmod(0o644)
    node = graph.start(kind, given)
    assert not autostart(node)
    sentence = node.health.worst[1]
    assert "its owner alone can read" in sentence and "chmod 600" in sentence
    (site / "keys" / folder / "north.json").chmod(0o600)
    assert autostart(node), node.health.worst
    graph.spin_in_thread(node)
    other = graph.start(kind, {"stations": str(site / "stations.json")})
    assert not autostart(other) and f"'{folder}'" in other.health.worst[1]
    other.destroy_node()


class Street(Car):
    """The station's node beside the gateway's, and what its sensors see."""

    def __init__(self, graph, site, **channel):
        super().__init__(graph, site)
        node = graph.node
        self.images = node.create_publisher(Image, "/carla/north/camera/image", 5)
        self.lists = node.create_publisher(PointCloud2, "/carla/north/objects", 5)
        self.lights = node.create_publisher(PointCloud2, "/carla/traffic_lights/table", LATCHED)
        lights = np.zeros(2, SIGNAL_DTYPE)
        lights["id"], lights["state"], lights["x"] = (3, 4), LightState.RED, (10.0, 900.0)
        self.lights.publish(self.adapter.to_msg("traffic_lights", lights, START_NS))
        self.sender = graph.start(V2xStationNode, {"keys": str(site / "keys" / "private"), "stations": str(site / "stations.json"),
                                                   "use_sim_time": True, "first_sequence": 1, **channel})
        assert autostart(self.sender), self.sender.health.worst
        graph.spin_in_thread(self.sender)
        radio = [*self.sender._sending["north"].outputs._ports.values(), self.sender._sending["north"].outputs._signatures]
        ports = [self.images, self.lists, *radio, *([self.lights] if channel.get("signals", True) else [])]
        assert wait_for(lambda: all(one.get_subscription_count() for one in ports), 30.0)
        self.at(0.0)
        assert wait_for(lambda: self.sender.get_clock().now().nanoseconds == START_NS, 30.0)

    def see(self, tick, image=None):
        self.at(tick / 10)
        assert wait_for(lambda: self.sender.get_clock().now().nanoseconds == self.now_ns, 30.0)
        rows = np.concatenate([actor(x=20.0 + tick / 10, vx=1.0), actor(2, x=900.0)])
        self.lists.publish(self.adapter.to_msg("station_objects", rows, self.now_ns))
        if image is not None:
            self.images.publish(self.adapter.image_to_msg(image, self.now_ns, "camera"))


def test_what_a_station_sees_reaches_the_car(graph, site):
    street = Street(graph, site)
    rng = np.random.default_rng(1)
    for tick in range(22):
        kinds = 2 if tick % 5 == 0 else 1
        before = street.gateway.counts["accepted"]
        street.see(tick, rng.integers(0, 255, (72, 128, 3), np.uint8) if kinds == 2 else None)
        assert wait_for(lambda: street.gateway.counts["accepted"] >= before + kinds, 30.0), street.gateway.counts
        answer = street.drive()
    assert street.gateway.refusals == {} and wait_for(lambda: street.state == CoopState.COOP_FULL)
    assert answer.rows["id"].tolist() == [1], "the other one is out of the station's range"
    assert wait_for(lambda: street.heard["phases"] and street.adapter.from_msg("v2x_phases", street.heard["phases"][-1]).size)
    phases = street.adapter.from_msg("v2x_phases", street.heard["phases"][-1])
    assert phases["signal"].tolist() == [3] and phases["state"].tolist() == [LightState.RED] and np.isnan(phases["min_end_s"]).all()
    assert street.sender.values()["bytes sent"] > 0


def test_the_simulated_channel_loses_and_delays(graph, site):
    street = Street(graph, site, channel_loss=0.5, channel_latency_ms=150.0, signals=False)
    for tick in range(20):
        street.see(tick)
        assert wait_for(lambda: street.sender._channel.counts["sent"] == tick + 1, 30.0)
    street.at(2.5)
    settings = ChannelSettings(loss=0.5, latency_ms=150.0)
    through = [number for number in range(1, 21) if not fate(settings, "north", number).lost]
    assert wait_for(lambda: street.sender._channel.counts["arrived"] == len(through), 30.0) and 0 < len(through) < 20
    assert wait_for(lambda: street.judged == len(through), 30.0)


@pytest.mark.parametrize("expected_s", [0.0, 0.2])
def test_a_gateway_that_knows_the_links_latency_hears_a_slow_one(graph, site, expected_s):
    car = Car(graph, site, expected_latency_s=expected_s)
    for tick in range(20):
        car.at(tick / 10)
        car.send(car.message(age_s=0.2))
    assert car.gateway.refusals == ({} if expected_s else {reasons.CLOCK_OFFSET: 20 - car.gateway.counts["accepted"]})
    assert (car.gateway.counts["accepted"] == 20) == bool(expected_s)


def test_other_stations_while_messages_are_under_way(graph, site):
    """What a station that is gone has sent is dropped; the next ones' messages go out."""
    south = station("south", cameras=False)
    make_keys(site / "both", [NORTH, south], time.time() - 10.0, time.time() + 86_400.0)
    node = graph.start(V2xStationNode, {"keys": str(site / "both" / "private"), "stations": str(site / "stations.json"),
                                        "channel_latency_ms": 100.0, "signals": False})
    assert autostart(node), node.health.worst
    now_ns = node._watch.now_ns
    node._sending["north"].sender.objects(actor(), now_ns, now_ns)
    node.begin((south,))
    sent = []
    node._sending["south"].outputs.send = sent.append
    node._sending["south"].sender.objects(actor(), now_ns, now_ns)
    assert wait_for(lambda: node._watch.now_ns > now_ns + 100 * MS, 30.0)
    node._publish()
    assert [one.station for one in sent] == ["south"] and node._channel.counts["arrived"] == 1
    graph.spin_in_thread(node)


def test_cpms_beside_object_lists_are_refused(graph, site):
    node = graph.start(V2xStationNode, {"keys": str(site / "keys" / "private"), "stations": str(site / "stations.json"),
                                        "station": "north", "cpm_topic": "/cpm"})
    assert not autostart(node)
    assert "cpm_topic with an empty objects_topic" in node.health.worst[1] and "give objects_topic as ''" in node.health.worst[1]
    graph.spin_in_thread(node)


def test_road_users_of_carlas_bridge_are_cut_to_what_the_station_sees(graph, site, monkeypatch):
    """The message classes are stand-ins: derived_object_msgs is not installed here."""
    given = {"bridge_objects_topic": "/carla/objects", "objects_topic": "", "signals": False}
    node = graph.start(V2xStationNode, {"keys": str(site / "keys" / "private"), "stations": str(site / "stations.json"), **given})
    assert not autostart(node) and "derived_object_msgs" in node.health.worst[1]
    monkeypatch.setattr(station_inputs, "find_type", lambda kind: String)
    assert autostart(node), node.health.worst
    van = actor(1, x=30.0, y=0.0, kind=ActorKind.TRUCK, length=6.0, width=2.5, height=4.0)
    rows = np.concatenate([van, actor(2, x=34.2, y=0.0), actor(3, x=25.0, y=6.0), actor(4, x=-20.0), actor(5, x=200.0)])
    heard, sending, now_ns = [], node._sending["north"], node._watch.now_ns
    monkeypatch.setattr(sending.outputs, "send", heard.append)
    for late_ns in (0, 50 * MS, 100 * MS):
        node._take_objects(carla.object_array(foreign.make, rows, now_ns + late_ns, "map"))
    assert [one.stamp_ns - now_ns for one in heard] == [0, 100 * MS], "10 Hz"
    sent = np.frombuffer(heard[0].payload, ACTOR_DTYPE)
    assert set(sent["id"].tolist()) == {1, 3}, "2 stands behind the lorry, 4 behind the camera, 5 out of range"
    graph.spin_in_thread(node)


def test_two_sources_of_object_lists_are_refused(graph, site):
    node = graph.start(V2xStationNode, {"keys": str(site / "keys" / "private"), "stations": str(site / "stations.json"),
                                        "bridge_objects_topic": "/carla/objects"})
    assert not autostart(node) and "give objects_topic as '', or leave bridge_objects_topic out" in node.health.worst[1]
    graph.spin_in_thread(node)


def test_a_cpm_is_sent_as_an_object_list(graph, site, monkeypatch):
    """The message type is a stand-in: etsi_its_cpm_ts_msgs is not installed here; its fields are those of the converter's test."""
    given = {"station": "north", "cpm_topic": "/etsi_its_conversion/cpm_ts/out", "cpm_station": 4711, "objects_topic": "", "signals": False}
    node = graph.start(V2xStationNode, {"keys": str(site / "keys" / "private"), "stations": str(site / "stations.json"), **given})
    assert not autostart(node) and "etsi_its_cpm_ts_msgs" in node.health.worst[1]
    monkeypatch.setattr(station_inputs, "find_type", lambda kind: String)
    assert autostart(node), node.health.worst
    rows = actor(7, x=10.0)
    heard, sending = [], node._sending["north"]
    monkeypatch.setattr(sending.outputs, "send", heard.append)
    for number in (4711, 4712):
        monkeypatch.setattr(station_inputs, "perceived_of", lambda message, place: Perceived(number, START_NS, rows, Counter()))
        sending._inputs._perceived(NORTH.pose, 4711, S // 10, None)
    (message,) = heard
    assert (message.kind, message.stamp_ns) == (OBJECTS, START_NS) and message.payload == pack_rows(rows)
    assert node.values()["CPMs of another station"] == 1
    graph.spin_in_thread(node)


@pytest.mark.parametrize(("given", "said"), [
    ({"mapem_topic": ""}, "spatem_topic and mapem_topic together"), ({"signals": True}, "give signals as false"),
    ({"station": ""}, "name the station"), ({}, "ros-$ROS_DISTRO-etsi-its-spatem-ts-msgs"),
    ({"spatem_topic": ""}, "spatem_topic and mapem_topic together")])
def test_spatems_that_cannot_be_read_are_refused_at_start(graph, site, given, said):
    node = graph.start(V2xStationNode, {"keys": str(site / "keys" / "private"), "stations": str(site / "stations.json"), **SPATEM, **given})
    assert not autostart(node) and said in node.health.worst[1]
    graph.spin_in_thread(node)


def test_spatems_are_sent_as_signal_phases(graph, site, monkeypatch):
    """The message types are stand-ins; the fields are those of the converter's test."""
    monkeypatch.setattr(signal_inputs, "find_type", lambda kind: String)
    node = graph.start(V2xStationNode, {"keys": str(site / "keys" / "private"), "stations": str(site / "stations.json"), **SPATEM})
    assert autostart(node), node.health.worst
    rows = np.zeros(1, PHASE_DTYPE)
    heard, sending, asked = [], node._sending["north"], []
    monkeypatch.setattr(sending.outputs, "send", heard.append)

    def lanes(message, intersection, place):
        asked.append((intersection, place))
        return Lanes({1: StopLine(1.0, 2.0, 0.0, (4,))}, Counter({"lanes in degrees": 2})) if message == "ours" else None

    monkeypatch.setattr(signal_inputs, "lanes_of", lanes)
    stamps = iter(START_NS + tenth * S // 10 for tenth in range(9))  # 10 Hz, of which every other one is sent
    monkeypatch.setattr(signal_inputs, "phases_of", lambda message, intersection, lines, now_ns: Phases(
        next(stamps), rows, Counter({"messages without a time": 1})) if message == "ours" and 1 in lines else None)
    inputs = sending._phases
    inputs.take_phases("ours")
    for message in ("ours", "theirs", "ours", "ours"):
        inputs.take_lanes(message)
        inputs.take_phases(message)
    assert asked[0] == (77, Pose(10.0, 20.0, 0.0, yaw=np.pi / 2))
    assert [(one.kind, one.payload) for one in heard] == [(PHASES, pack_rows(rows, PHASES))] * 2
    assert [one.stamp_ns for one in heard] == [START_NS, START_NS + S // 5]
    values = node.values()
    for name in ("SPATEMs before a MAPEM", "MAPEMs of other intersections", "SPATEMs of other intersections"):
        assert values[name] == 1, name
    assert values["lanes in degrees"] == 2 and values["messages without a time"] == 2
    graph.spin_in_thread(node)


@pytest.mark.parametrize(("cameras", "given", "told"), [
    (2, {}, False), (3, {}, True), (3, {"signals": False}, False), (3, {"phases_period_s": 1.0}, False), (4, {"signals": False}, False),
    (2, {"picture_period_s": 0.1}, True)])
def test_a_station_that_would_flood_its_gateways_says_so(graph, tmp_path, cameras, given, told):
    busy = replace(NORTH, cameras=tuple(replace(NORTH.cameras[0], id=f"camera_{number}") for number in range(cameras)))
    make_keys(tmp_path / "keys", [busy], time.time() - 10.0, time.time() + 86_400.0)
    (tmp_path / "stations.json").write_text(json.dumps(stations_to_data([busy])))
    node = graph.start(V2xStationNode, {"keys": str(tmp_path / "keys" / "private"), "stations": str(tmp_path / "stations.json"), **given})
    assert autostart(node), node.health.worst
    said = node.health.get("rate of north")
    assert (said is not None) == told and (not told or "messages/s, and a gateway takes 20" in said)
    node.end()
    assert node.health.get("rate of north") is None, "the next stations are others"
    graph.spin_in_thread(node)


def test_odometry_that_trembles_by_a_millisecond_is_answered_each_time(graph, car):
    for tick in range(12):
        car.at(tick / 10 - (tick % 2) / 1000)
        car.drive()  # waits for the answer


def test_the_controller_hears_what_the_gateway_lets_through(graph, car):
    controller = graph.start(ControllerNode, {"v2x": True, "use_sim_time": True})
    assert autostart(controller), controller.health.worst
    graph.spin_in_thread(controller)
    assert wait_for(lambda: [car.node.count_subscribers(f"/v2x/{name}") for name in ("objects", "phases", "silent")] == [2, 2, 1], 30.0)
    for tick in range(18):
        car.at(tick / 10)
        car.send(car.message(actor(x=20.0)))
        car.drive()
    assert wait_for(lambda: controller._gate.pilot._reported is not None and len(controller._gate.pilot._reported.rows) == 1, 30.0)
    heard = controller._gate.pilot._reported
    assert heard.rows["x"].tolist() == [20.0] and heard.ages_s == pytest.approx([0.02]) and heard.listed
    car.at(3.0)
    car.send(car.message(jpeg=picture(9)))
    assert not car.drive().listed
    assert wait_for(lambda: not controller._gate.pilot._reported.listed, 30.0), "no list came, and the cap beside hiding vehicles may act"
    assert controller._gate.pilot._phases is not None and controller._gate.pilot._phases.stamp_ns > START_NS
    assert wait_for(lambda: len(controller._gate.pilot._silent.rows) == 1, 30.0), "a picture came and no list"
    assert controller._gate.pilot._silent.rows["rest_s"].tolist() == pytest.approx([1.32])
