"""Every reason for which a message or an object is refused, with a message that was made for it; and what comes out."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.v2x import START_NS, Radio, S, actor, ego, picture, station

from kd_planner_ros.core.car import WIDTH_M, Car
from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.scene import ActorKind, LightState
from kd_planner_ros.core.v2x import OBJECTS, PHASE_DTYPE, PHASES, PICTURE, CoopState, RadioMessage
from kd_planner_ros.imaging.compressed import compress
from kd_planner_ros.v2x import reasons
from kd_planner_ros.v2x.evidence import KEPT_BYTES
from kd_planner_ros.v2x.free_space import FreeSpace, free_space
from kd_planner_ros.v2x.gateway import Gateway
from kd_planner_ros.v2x.payloads import pack_rows
from kd_planner_ros.v2x.settings import GatewaySettings
from kd_planner_ros.v2x.signing import KeyRing, Signer, StationKey


def phase(number, state, x=0.0):
    return number, state, np.nan, x, 0.0, 0.0


def phases(*rows):
    return pack_rows(np.array(list(rows), PHASE_DTYPE), PHASES)


def forged(radio):
    other = Radio()
    one = radio.message()
    radio.gateway.take(replace(one, signature=other.signers["north"].sign(one)))


def replayed(radio):
    radio.gateway.take(replace(radio.send(), received_ns=START_NS + S // 10))


def replayed_under_a_new_stamp(radio):
    radio.gateway.take(replace(radio.send(), stamp_ns=START_NS + 1))


def reordered(radio):
    first, second = radio.message(0.0), radio.message(0.1)
    radio.gateway.take(second)
    radio.gateway.take(first)


def flipped(where):
    def send(radio):
        one = radio.message(**({"jpeg": picture()} if where == "jpeg" else {}))
        data = bytearray(one.signature if where == "signature" else one.payload)
        data[len(data) // 2] ^= 1
        radio.gateway.take(replace(one, **{"signature" if where == "signature" else "payload": bytes(data)}))

    return send


def flood(radio):
    for number in range(25):
        radio.send(number / 1000)


def flood_of_forged_ones(radio):
    for _ in range(1_100):
        radio.gateway.take(replace(radio.message(), signature=bytes(72)))


def flood_of_replayed_ones(radio):
    one = radio.send()
    for _ in range(1_100):
        radio.gateway.take(one)


def flood_of_forged_bytes(radio):
    one = replace(radio.message(jpeg=bytes(1_000_000)), signature=bytes(72))
    for _ in range(110):
        radio.gateway.take(one)


def flood_of_bytes(radio):
    for number in range(2):
        radio.send(number / 1000, jpeg=picture(number) + bytes(600_000))


def frozen(radio):
    radio.send(0.0, rows=actor(vx=2.0))
    radio.send(0.0, jpeg=picture(3))
    radio.send(0.5, jpeg=picture(3))


def turned(radio):
    for number in range(12):
        radio.send(number / 2, jpeg=picture(number, turned=0.22 if number else 0.0))


def in_a_row(*lists):
    def send(radio):
        for number, rows in enumerate(lists):
            radio.send(number / 10, rows=rows)

    return send


def ghost(radio):
    radio.gateway.see(FreeSpace(START_NS, 40.0, 0.0, np.full(360, 30.0)))
    radio.send(rows=actor(x=50.0, y=3.0))


def fleeting(radio):
    for number in range(60):
        radio.send(number / 10, rows=actor(number=number // 10, x=50.0))


def clock(offset_s=0.0, ppm=0.0, seconds=2):
    def send(radio):
        for number in range(seconds * 10):
            radio.send(number / 10, latency_s=offset_s + ppm * 1e-6 * number / 10)

    return send


def moved(radio):
    one = radio.message()
    signer = Signer(radio.signers["north"].key, b"elsewher")
    radio.gateway.take(replace(one, signature=signer.sign(one)))


CRAFTED = {
    "a station that nobody knows": (reasons.UNKNOWN_STATION, lambda radio: radio.gateway.take(replace(radio.message(), station="other"))),
    "a camera that the station lacks": (reasons.UNKNOWN_STATION, lambda radio: radio.send(jpeg=picture(), camera="second")),
    "out of range": (reasons.OUT_OF_RANGE, lambda radio: (radio.gateway.locate(ego(x=400.0)), radio.send())),
    "unsigned": (reasons.UNSIGNED, lambda radio: radio.gateway.take(replace(radio.message(), signature=b""))),
    "forged": (reasons.FORGED, forged),
    "signed for another camera": (reasons.FORGED, lambda radio: radio.gateway.take(replace(radio.message(), sequence=9))),
    "a bit of the signature flipped": (reasons.FORGED, flipped("signature")),
    "a bit of an object list flipped": (reasons.FORGED, flipped("rows")),
    "a bit of a picture flipped": (reasons.FORGED, flipped("jpeg")),
    "signed for another place": (reasons.MOVED_STATION, moved),
    "replayed": (reasons.REPLAYED, replayed),
    "replayed under a new stamp": (reasons.FORGED, replayed_under_a_new_stamp),
    "reordered": (reasons.REORDERED, reordered),
    "late": (reasons.STALE, lambda radio: radio.send(latency_s=0.6)),
    "early": (reasons.EARLY, lambda radio: radio.send(latency_s=-0.06)),
    "a clock behind": (reasons.CLOCK_OFFSET, clock(0.15)),
    "a clock ahead": (reasons.CLOCK_OFFSET, lambda radio: (clock(-0.12)(radio), radio.gateway.counts.pop(reasons.EARLY),
                                                           radio.send(2.5, latency_s=0.0))),
    "a clock that runs fast": (reasons.CLOCK_DRIFT, clock(0.05, ppm=-150.0, seconds=30)),
    "oversized list": (reasons.OVERSIZED, lambda radio: radio.send(payload=bytes(46 * 256))),
    "oversized picture": (reasons.OVERSIZED, lambda radio: radio.send(jpeg=bytes(1_000_001))),
    "half a row": (reasons.MALFORMED, lambda radio: radio.send(payload=bytes(45))),
    "no JPEG": (reasons.MALFORMED, lambda radio: radio.send(jpeg=b"\x89PNG" + bytes(100))),
    "a JPEG that ends early": (reasons.UNDECODABLE, lambda radio: radio.send(jpeg=picture()[:300])),
    "a picture of another camera's shape": (reasons.PICTURE_SIZE, lambda radio: radio.send(jpeg=picture(0, 72, 72))),
    "a picture too wide": (reasons.PICTURE_SIZE, lambda radio: radio.send(jpeg=picture(0, 1280, 720))),
    "frozen": (reasons.FROZEN, frozen),
    "a camera that was turned": (reasons.MOVED_CAMERA, turned),
    "a camera that looks away": (reasons.FACING_AWAY, lambda radio: (radio.gateway.locate(ego(x=-80.0)), radio.send(jpeg=picture()))),
    "flood": (reasons.FLOOD, flood),
    "flood of forged messages": (reasons.FLOOD, flood_of_forged_ones),
    "flood of replayed messages": (reasons.FLOOD, flood_of_replayed_ones),
    "flood of forged bytes": (reasons.FLOOD, flood_of_forged_bytes),
    "flood of bytes": (reasons.FLOOD, flood_of_bytes),
    "an object that is nowhere": (reasons.OBJECT_BROKEN, in_a_row(actor(x=np.nan))),
    "an object of no kind": (reasons.OBJECT_BROKEN, in_a_row(actor(kind=3))),
    "an object twice": (reasons.OBJECT_TWICE, in_a_row(np.concatenate([actor(), actor(x=30.0)]))),
    "a walker of ten metres": (reasons.OBJECT_SIZE, in_a_row(actor(length=10.0))),
    "an object of 80 m/s": (reasons.OBJECT_SPEED, in_a_row(actor(vx=80.0))),
    "an object that accelerates at 50 m/s2": (reasons.OBJECT_ACCELERATION, in_a_row(actor(vx=0.0), actor(vx=9.0))),
    "an object out of the station's range": (reasons.OBJECT_RANGE, in_a_row(actor(x=170.0))),
    "a teleporting object": (reasons.TELEPORT, in_a_row(actor(), actor(x=35.0))),
    "the car itself": (reasons.OVERLAPS_EGO, in_a_row(actor(x=40.5, y=0.2, kind=ActorKind.CAR))),
    "a ghost": (reasons.GHOST, ghost),
    "walkers who come and go": (reasons.FLEETING, fleeting),
    "a signal twice": (reasons.PHASE_TWICE, lambda radio: radio.send(kind=PHASES, payload=phases(phase(4, 2), phase(4, 0)))),
    "a stop line out of the station's range": (reasons.PHASE_RANGE, lambda radio: radio.send(
        kind=PHASES, payload=phases(phase(4, 0, x=90_000.0)))),
}


@pytest.mark.parametrize("more", [{"stamp_ns": START_NS + 3600 * S}, {"sequence": 10**9}], ids=["a later stamp", "a higher number"])
def test_one_authentic_message_with_a_wrong_number_silences_no_station(more):
    radio = Radio()
    radio.send(0.0)
    wrong = replace(radio.message(0.1), **more)
    radio.gateway.take(replace(wrong, signature=radio.signers["north"].sign(wrong)))
    for number in range(2, 12):
        radio.send(number / 10)
    refused = {reasons.EARLY: 1} if "stamp_ns" in more else {}
    assert radio.gateway.refusals == refused and radio.gateway.counts["accepted"] == 12 - len(refused)


AT_FIRST = {flood_of_forged_ones: {reasons.FORGED}, flood_of_forged_bytes: {reasons.FORGED}, flood_of_replayed_ones: {reasons.REPLAYED}}


@pytest.mark.parametrize("reason, send", CRAFTED.values(), ids=CRAFTED)
def test_a_crafted_message_is_refused_for_its_reason(reason, send, tmp_path):
    radio = Radio()
    send(radio)
    assert radio.gateway.counts[reason] >= 1
    others = {name for name in radio.gateway.refusals if name != reason}
    assert others <= AT_FIRST.get(send, set())
    rows = [json.loads(line) for line in radio.gateway.evidence.write(tmp_path).read_text().splitlines()]
    assert reason in {row["reason"] for row in rows}


def test_every_reason_can_be_told_and_is_tested():
    known = {value for name, value in vars(reasons).items() if name.isupper() and isinstance(value, str)}
    elsewhere = {reasons.EXPIRED_KEY, reasons.EXPOSURE, reasons.BLURRED}
    assert set(reasons.TEXTS) == known == {reason for reason, _ in CRAFTED.values()} | elsewhere


def test_an_expired_key_is_refused_while_the_gateway_runs():
    radio = Radio()
    key, today = radio.keys.keys["north"][0], [1_500.0]
    keys = KeyRing({"north": (StationKey(key.public, 1_000.0, 2_000.0),)}, now_s=lambda: today[0])
    radio.gateway = Gateway(radio.stations, keys)
    radio.send()
    today[0] = 2_000.0
    radio.send(0.1)
    assert radio.gateway.counts == {"accepted": 1, "degraded": 0, reasons.EXPIRED_KEY: 1}


@pytest.mark.parametrize("grey, reason", [(0, reasons.EXPOSURE), (128, reasons.EXPOSURE), (255, reasons.EXPOSURE),
                                          ("slope", reasons.BLURRED)])
def test_a_picture_that_shows_nothing_is_refused(grey, reason):
    pixels = np.repeat(np.linspace(60, 200, 128)[None, :, None], 3, 2).repeat(72, 0) if grey == "slope" else np.full((72, 128, 3), grey)
    radio = Radio()
    radio.send(jpeg=compress(pixels.astype(np.uint8)).tobytes())
    assert radio.gateway.refusals == {reason: 1}


@pytest.mark.parametrize(("kind", "away_m", "used"), [
    (ActorKind.PEDESTRIAN, 0.8, True), (ActorKind.PEDESTRIAN, 0.05, True), (ActorKind.PEDESTRIAN, -0.6, False),
    (ActorKind.BICYCLE, 0.8, True), (ActorKind.MOTORCYCLE, 0.8, True), (ActorKind.CAR, 0.8, False), (ActorKind.CAR, 1.2, True)])
def test_a_walker_right_before_the_car_is_not_the_car_itself(kind, away_m, used):
    """``away_m`` from the bumper to the nearest side of the object, which is as long as it is wide."""
    radio = Radio()
    size = 1.6 if kind == ActorKind.CAR else 1.0
    radio.send(rows=actor(x=40.0 + 4.9 / 2.0 + away_m + size / 2.0, y=0.2, kind=kind, length=size, width=size, height=1.6))
    assert radio.gateway.refusals == ({} if used else {reasons.OVERLAPS_EGO: 1})


@pytest.mark.parametrize(("off_m", "used"), [(-0.005, False), (0.005, True)])
def test_the_cars_box_is_that_of_every_other_check(off_m, used):
    """A walker whose middle lies inside of it cannot be there."""
    radio = Radio()
    radio.send(rows=actor(x=40.0, y=WIDTH_M / 2.0 + off_m))
    assert radio.gateway.refusals == ({} if used else {reasons.OVERLAPS_EGO: 1})


def test_a_longer_car_whose_base_link_is_on_its_rear_axle_is_not_its_own_obstacle():
    rows = actor(x=40.0 + 5.5, y=0.2)  # before CARLA's default car, in the nose of this one
    for car, refused in ((Car(), {}), (Car(9.0, 2.5, 2.0), {reasons.OVERLAPS_EGO: 1})):
        radio = Radio(settings=GatewaySettings(car=car))
        radio.send(rows=rows)
        assert radio.gateway.refusals == refused


def test_a_picture_is_frozen_no_longer_than_what_moved_is_remembered():
    """One list with somebody who moves, and then none: nobody knows after a second whether anything moves."""
    radio = Radio()
    radio.send(0.0, rows=actor(vx=2.0))
    for number in range(20):
        radio.send(number / 2, jpeg=picture(3))
    assert radio.gateway.refusals == {reasons.FROZEN: 2} and radio.gateway.counts["accepted"] == 19


def test_a_still_scene_is_not_frozen():
    radio = Radio()
    for number in range(3):
        radio.send(number / 2, jpeg=picture(3))
    assert radio.gateway.refusals == {}


def test_a_full_gateway_gives_objects_and_the_view():
    radio = Radio()
    answer = radio.run(2.5, rows=lambda t_s: actor(x=20.0 + t_s, vx=1.0))
    assert answer.state == CoopState.COOP_FULL and answer.why == "" and answer.rejected == {}
    assert answer.objects.rows["id"].tolist() == [1] and answer.objects.listed
    assert answer.objects.ages_s == pytest.approx([0.05]) and answer.stations == ("north",) and answer.source.tolist() == [0]
    (view,) = answer.views
    assert view.station == "north" and view.image.shape == (72, 128, 3) and view.age_s == pytest.approx(0.45)


def test_a_smaller_picture_comes_with_the_camera_of_its_size():
    radio = Radio()
    radio.run(2.0)
    radio.send(2.0, jpeg=picture(99, 64, 36))
    camera = radio.picture(2.05).views[0].camera
    assert (camera.width, camera.height, camera.fov_deg) == (64, 36, 90.0)


def test_old_messages_are_used_until_half_a_second_and_counted_as_degraded():
    radio = Radio(settings=GatewaySettings(expected_latency_s=0.3), latency_s=0.3)
    radio.run(2.0, pictures=False)
    assert radio.gateway.counts["degraded"] == 20 and radio.picture(2.4).state == CoopState.COOP_OBJECTS
    assert radio.picture(2.41).state == CoopState.EGO_ONLY and not len(radio.picture(2.41).objects.rows)


def test_nothing_newer_than_the_asked_for_instant_is_given():
    radio = Radio(latency_s=-0.04)
    radio.send(0.0)
    assert radio.gateway.counts["accepted"] == 1
    assert not len(radio.picture(-0.01).objects.rows)


def test_a_clock_ahead_makes_a_message_older():
    radio = Radio(latency_s=-0.04)
    answer = radio.run(2.0, pictures=False)
    assert answer.objects.ages_s == pytest.approx([0.09])  # asked 0.05 s after the stamp, which is 0.04 s ahead


def test_two_stations_see_one_object_once():
    radio = Radio(station(), station("south", x=60.0))
    for tick in range(20):
        radio.send(tick / 10, rows=np.concatenate([actor(1), actor(2, x=50.0)]))
        radio.send(tick / 10 - 0.05, rows=np.concatenate([actor(7, x=20.6), actor(8, y=40.0)]), name="south")
        answer = radio.picture(tick / 10 + 0.05)
    assert sorted(answer.objects.rows["id"].tolist()) == [1, 2, 8]
    assert [answer.stations[one] for one in answer.source[np.argsort(answer.objects.rows["id"])]] == ["north", "north", "south"]


def test_each_station_has_the_list_that_it_sent_whoever_else_sees_its_objects():
    radio = Radio(station(), station("south", x=60.0))
    sent = {"north": np.concatenate([actor(1), actor(2, x=50.0)]), "south": np.concatenate([actor(7, x=20.6), actor(8, y=40.0)])}
    for tick in range(20):
        for name, rows in sent.items():
            radio.send(tick / 10, rows=rows, name=name)
        answer = radio.picture(tick / 10 + 0.05)
    assert len(answer.objects.rows) == 3 and [one.station for one in answer.lists] == ["south", "north"], "the nearest one first"
    for one in answer.lists:
        assert one.objects.tobytes() == sent[one.station].tobytes() and one.image is None and one.foot is not None
        assert one.age_s == pytest.approx(0.05)
    radio.run(1.0, rows=actor()[:0], from_s=2.0, pictures=False)
    assert [(one.station, len(one.objects)) for one in radio.picture(2.96).lists] == [("north", 0)], "nobody is in a list that came"
    assert radio.picture(4.0).lists == ()


def test_rows_of_two_stations_with_one_id_are_told_apart():
    """The number of a station is its place in the configuration, whichever stations are heard."""
    radio = Radio(station(), station("south", x=60.0))
    for tick in range(30):
        if tick < 20:
            radio.send(tick / 10, rows=actor(4))
        radio.send(tick / 10, rows=actor(4, x=60.0), name="south")
        answer = radio.picture(tick / 10 + 0.05)
        if tick == 19:
            assert answer.objects.keys == [(0, 4), (1, 4)]
    assert answer.objects.keys == [(1, 4)] and answer.stations == ("south",) and answer.source.tolist() == [0]


def test_signal_phases_count_down():
    radio = Radio()
    rows = np.zeros(1, PHASE_DTYPE)
    rows["state"], rows["min_end_s"] = 2, 5.0
    for tick in range(20):
        radio.send(tick / 10)
        radio.send(tick / 10, kind=PHASES, payload=pack_rows(rows, PHASES))
        answer = radio.picture(tick / 10 + 0.05)
    assert answer.phases["state"].tolist() == [2] and answer.phases["min_end_s"] == pytest.approx([4.95])
    rows["state"] = 9
    radio.send(2.0, kind=PHASES, payload=pack_rows(rows, PHASES))
    assert radio.gateway.refusals == {reasons.MALFORMED: 1}


def test_a_bad_phase_costs_its_row_alone():
    radio = Radio()
    for tick in range(20):
        radio.send(tick / 10)
        rows = phases(phase(1, 0, x=149.0), phase(2, 0, x=151.0), phase(3, 0), phase(3, 2), phase(4, 1))
        radio.send(tick / 10, kind=PHASES, payload=rows)
        answer = radio.picture(tick / 10 + 0.05)
    assert list(zip(answer.phases["signal"].tolist(), answer.phases["state"].tolist(), strict=True)) == [(1, 0), (3, 0), (4, 1)]
    assert radio.gateway.refusals == {reasons.PHASE_TWICE: 20, reasons.PHASE_RANGE: 20}


def test_signal_phases_need_neither_object_lists_nor_pictures():
    """A station that sends phases alone is heard, and a gap of the lists does not release a car that brakes for a red."""
    rows = np.zeros(1, PHASE_DTYPE)
    rows["state"], rows["min_end_s"] = LightState.RED, 5.0
    alone, gap = Radio(), Radio()
    for tick in range(30):
        for radio in (alone, gap):
            if radio is gap and tick < 20:
                radio.send(tick / 10)
            radio.send(tick / 10, kind=PHASES, payload=pack_rows(rows, PHASES))
            answer = radio.picture(tick / 10 + 0.05)
            assert answer.phases["state"].tolist() == [LightState.RED] and (radio is gap or answer.state == CoopState.EGO_ONLY)
    assert answer.state == CoopState.EGO_ONLY and not len(answer.objects.rows)
    assert not len(gap.picture(3.5).phases), "they are too old"
    lost = alone.gateway.picture(START_NS + 3 * S, ego(stamp_ns=START_NS + 2 * S))
    assert lost.state == CoopState.MINIMAL_RISK and not len(lost.phases)


@pytest.mark.parametrize("attack", [
    lambda radio, one: replace(one, signature=b""), lambda radio, one: replace(one, signature=bytes(72)),
    lambda radio, one: replace(one, received_ns=one.received_ns + 2 * S), lambda radio, one: replace(one, station="other")],
    ids=["unsigned", "forged", "replayed later", "unknown"])
def test_bad_streams_alone_give_what_no_stream_gives(attack):
    radio, silent = Radio(), Radio()
    for tick in range(30):
        for kind in (None, picture(tick)):
            radio.gateway.take(attack(radio, radio.message(tick / 10, jpeg=kind)))
        heard, nothing = radio.picture(tick / 10 + 0.05), silent.picture(tick / 10 + 0.05)
        assert replace(heard, rejected={}, objects=None, source=None, phases=None, silent=None) == replace(
            nothing, objects=None, source=None, phases=None, silent=None)
        assert not len(heard.objects.rows) and not len(heard.phases) and not heard.objects.listed and not nothing.objects.listed
        assert not len(heard.silent) and not len(nothing.silent)
    assert sum(radio.gateway.refusals.values()) == 60


def test_a_flood_in_the_stations_name_leaves_it_its_own_messages():
    alone, attacked = Radio(), Radio()
    for tick in range(30):
        for radio in (alone, attacked):
            one = radio.message(tick / 10, rows=actor(x=20.0 + tick / 10, vx=1.0))
            for number in range(90 if radio is attacked else 0):
                radio.gateway.take(replace(one, sequence=one.sequence + number, signature=bytes(72)))
            radio.gateway.take(one)
        a, b = alone.picture(tick / 10 + 0.05), attacked.picture(tick / 10 + 0.05)
        assert a.state == b.state and a.objects.rows.tobytes() == b.objects.rows.tobytes()
    assert attacked.gateway.counts["accepted"] == 30 and attacked.gateway.refusals == {reasons.FORGED: 2_700}


def test_unsigned_messages_cost_no_verification_and_use_none_up():
    radio = Radio(settings=GatewaySettings(wasted_per_s=1.0))
    for _ in range(10):
        radio.gateway.take(replace(radio.message(), signature=b""))
    radio.send()
    assert radio.gateway.counts["accepted"] == 1 and radio.gateway.refusals == {reasons.UNSIGNED: 10}


def test_a_refused_message_leaves_a_small_piece_in_memory():
    radio, long = Radio(), 100_000
    one = replace(radio.message(), payload=bytes(3_000_000), signature=bytes(long), kind="k" * long, camera="c" * long)
    for name in ("north", "s" * long):
        radio.gateway.take(replace(one, station=name))
        radio.gateway.take(replace(one, station=name, kind=PICTURE, camera="camera"))
    kept = [held.message for ring in radio.gateway.evidence._rings.values() for held in ring]
    assert len(kept) == 4 and max(len(held.payload) + len(held.signature) for held in kept) == 2 * KEPT_BYTES
    assert max(len(held.station + held.kind + held.camera) for held in kept) <= 3 * 64
    assert {row["bytes"] for row in radio.gateway.evidence.rows()} == {3_000_000}


@pytest.mark.parametrize("expected_s, accepted", [(0.0, 9), (0.2, 40)])
def test_a_slow_link_is_no_clock_that_is_off_where_its_latency_is_known(expected_s, accepted):
    radio = Radio(settings=GatewaySettings(expected_latency_s=expected_s), latency_s=0.2)
    radio.run(4.0, pictures=False)
    assert radio.gateway.counts["accepted"] == accepted and set(radio.gateway.refusals) <= {reasons.CLOCK_OFFSET}


def test_bad_messages_beside_good_ones_change_nothing():
    alone, attacked = Radio(), Radio()
    other = Radio()
    for tick in range(30):
        for radio in (alone, attacked):
            one = radio.send(tick / 10, rows=actor(x=20.0 + tick / 10, vx=1.0))
        attacked.gateway.take(replace(one, signature=other.signers["north"].sign(one), payload=pack_rows(actor(9, x=42.0, y=4.0))))
        attacked.gateway.take(one)
        a, b = alone.picture(tick / 10 + 0.05), attacked.picture(tick / 10 + 0.05)
        assert a.state == b.state and a.objects.rows.tobytes() == b.objects.rows.tobytes()
    assert attacked.gateway.refusals == {reasons.FORGED: 30, reasons.REPLAYED: 30}


def test_a_stale_or_missing_odometry_is_a_minimal_risk():
    radio = Radio()
    assert radio.run(2.0).state == CoopState.COOP_FULL
    assert radio.gateway.picture(START_NS + 2 * S, None).state == CoopState.MINIMAL_RISK
    answer = radio.gateway.picture(START_NS + 3 * S, ego(stamp_ns=START_NS + 2 * S))
    assert answer.state == CoopState.MINIMAL_RISK and "odometry" in answer.why and not len(answer.objects.rows)


def test_a_station_out_of_range_is_dropped_before_its_signature_is_read(monkeypatch):
    radio = Radio(at=ego(x=400.0))
    monkeypatch.setattr(KeyRing, "check", lambda *_: pytest.fail("it was read"))
    radio.send()
    assert radio.gateway.refusals == {reasons.OUT_OF_RANGE: 1}


def test_a_teleported_object_is_believed_when_its_old_track_is_over():
    radio = Radio()
    radio.run(1.0, rows=actor())
    radio.run(2.0, rows=actor(x=35.0), from_s=1.0, pictures=False)
    assert radio.gateway.counts[reasons.TELEPORT] in (10, 11) and radio.picture(3.0).objects.rows["x"].tolist() == [35.0]


def test_free_space_out_of_a_cloud():
    ground = np.array([[x, y, 0.0] for x in np.arange(-20.0, 21.0) for y in np.arange(-20.0, 21.0)])
    wall = np.array([[10.0, y, 1.0] for y in np.arange(-3.0, 3.1, 0.1)])
    free = free_space(np.concatenate([ground, wall]), ego(x=100.0, y=0.0), sectors=36)
    centres = np.array([[106.0, 0.5], [108.5, 0.5], [115.0, 0.5], [90.0, 0.5], [60.0, 0.5], [101.0, 0.0], [106.0, 5.5]])
    assert free.holds(centres, np.full(7, 1.5)).tolist() == [True, False, False, True, False, False, True]
    assert free.holds(centres[[0, 0]], np.array([1.5, 4.0])).tolist() == [True, False], "its edge reaches the wall"


def test_nothing_is_free_in_the_cloud_of_a_lidar_that_stands_elsewhere_than_said():
    """A LiDAR on the roof that is said to stand on the ground: the house behind the walker has points at the height of the roof."""
    ring = np.array([[math.cos(one), math.sin(one), 0.0] for one in np.linspace(-math.pi, math.pi, 720, endpoint=False)])
    ground = np.concatenate([away_m * ring + (0.0, 0.0, -2.4) for away_m in (4.5, 6.0, 8.0, 11.0, 16.0)])
    house = np.concatenate([20.0 * ring + (0.0, 0.0, height_m) for height_m in (-0.2, 0.0, 0.2)])
    walker = np.array([[12.0, 0.0, height_m] for height_m in np.arange(-2.4, -0.65, 0.2)])
    places, radii = np.array([[12.0, 0.0], [0.0, 12.0]]), np.full(2, 1.35)
    street = np.concatenate([ground, house, walker])
    assert free_space(street, ego(x=0.0), Pose(0.0, 0.0, 2.4)).holds(places, radii).tolist() == [False, True]
    assert not free_space(street, ego(x=0.0)).ranges_m.any()
    behind = street[street[:, 0] > 11.0]  # fewer of them lie below: each direction ends at its own
    assert not free_space(np.concatenate([behind, house + (0.0, 0.0, 0.05)]), ego(x=0.0)).holds(places[:1], radii[:1]).any()


@pytest.mark.parametrize(("kind", "height", "refused"), [
    (ActorKind.PEDESTRIAN, 0.4, False), (ActorKind.STATIC, 0.25, False), (ActorKind.PEDESTRIAN, 0.7, True)])
def test_who_lies_on_the_road_is_no_ghost(kind, height, refused):
    """Its points, up to 0.28 m high, pass for the ground's."""
    ground = np.array([[x, y, 0.0] for x in np.arange(-30.0, 31.0, 0.5) for y in np.arange(-30.0, 31.0, 0.5)])
    lying = np.array([[10.0, y, z] for y in np.arange(-0.8, 0.9, 0.1) for z in (0.1, 0.2, 0.28)])
    radio = Radio(at=ego(x=40.0))
    radio.gateway.see(free_space(np.concatenate([ground, lying]), ego(x=40.0)))
    radio.send(rows=actor(x=50.0, y=0.0, kind=kind, height=height, length=0.5, width=1.5))
    assert radio.gateway.refusals == ({reasons.GHOST: 1} if refused else {})


@settings(max_examples=60, deadline=None)
@given(st.floats(-3.1, 3.1), st.floats(2.0, 25.0), st.floats(0.1, 2.0), st.floats(-3.1, 3.1), st.floats(0.0, 28.0))
def test_a_disc_in_free_space_has_no_point_beside_it(bearing, distance, radius, where, edge):
    """Whatever one obstacle there is: a disc that is free ends before it, in each direction that it lies in."""
    free = FreeSpace(START_NS, 3.0, -2.0, np.where(np.arange(360) == int(np.floor(np.degrees(where))) % 360, edge, 30.0))
    centre = np.array([[3.0 + distance * math.cos(bearing), -2.0 + distance * math.sin(bearing)]])
    points = centre + radius * np.stack([np.cos(np.arange(0.0, 6.3, 0.05)), np.sin(np.arange(0.0, 6.3, 0.05))], -1)
    away = points - (3.0, -2.0)
    ranges = free.ranges_m[np.floor(np.degrees(np.arctan2(away[:, 1], away[:, 0]))).astype(int) % 360]
    if free.holds(centre, np.array([radius]))[0]:
        assert (np.hypot(*away.T) <= ranges).all()


def test_free_space_knows_where_the_lidar_stands_and_leaves_the_cars_own_body_out():
    ground = np.array([[x, y, -2.0] for x in np.arange(-20.0, 21.0, 0.5) for y in np.arange(-20.0, 21.0, 0.5)])
    hood = np.array([[1.0, y, -1.0] for y in np.arange(-0.8, 0.9, 0.1)])
    pole = np.array([[0.0, 12.0, -1.0]])
    free = free_space(np.concatenate([ground, hood, pole]), ego(x=0.0), Pose(0.0, 0.0, 2.0, yaw=-math.pi / 2.0), sectors=72)
    there = np.array([[10.0, 0.0], [14.0, 0.0], [0.0, 14.0]])
    assert free.holds(there, np.full(3, 1.0)).tolist() == [True, False, True], "the sensor looks to the right: its left is ahead"


def test_a_road_user_that_drove_on_since_it_was_measured_is_no_ghost():
    """The place where it was is free by now; where it is, the car sees it."""
    radio, car = Radio(at=ego(x=40.0)), actor(x=55.0, y=-6.0, vy=15.0, yaw=math.pi / 2.0, kind=ActorKind.CAR)
    ranges = np.full(360, 28.0)
    ranges[:8], ranges[352:] = 13.5, 13.5  # by now it is right ahead, and hides what lies behind it
    radio.gateway.see(FreeSpace(START_NS + round(0.4 * S), 40.0, 0.0, ranges))
    radio.send(0.0, rows=car)
    assert radio.gateway.refusals == {}
    radio.send(0.1, rows=actor(number=2, x=55.0, y=-6.0))
    assert radio.gateway.refusals == {reasons.GHOST: 1}, "who stands there would be seen"


@pytest.mark.parametrize(("aside", "refused"), [(0.0, False), (0.6, False), (4.0, True)])
def test_what_a_station_measures_half_a_metre_off_is_no_ghost(aside, refused):
    radio = Radio(at=ego(x=40.0))
    ranges = np.full(360, 28.0)
    ranges[:1], ranges[359:] = 20.0, 20.0  # a walker 20 m ahead
    radio.gateway.see(FreeSpace(START_NS, 40.0, 0.0, ranges))
    radio.send(0.0, rows=actor(x=60.0, y=aside))
    assert bool(radio.gateway.refusals) == refused

def test_costs_are_bytes_per_second_as_sent_and_raw():
    radio = Radio()
    radio.run(20.0)
    values = radio.gateway.values(START_NS + 20 * S - 1)
    sizes = [len(picture(tick)) for tick in range(100, 200, 5)]
    assert values["bytes/s as sent"] == pytest.approx(10 * (46 + 72) + 2 * (np.mean(sizes) + 72), rel=0.02)
    assert values["bytes/s raw"] == pytest.approx(10 * 46 + 2 * 128 * 72 * 3, rel=0.01)


@pytest.mark.parametrize("ahead_s", [0.25, -0.25])
def test_a_clock_that_jumps_by_a_quarter_of_a_second_while_messages_come(ahead_s):
    """Ahead: nothing from the future is used, and the way back takes until the estimate has forgotten it. Behind: objects count as older
    than they are until the estimate has forgotten the time before, and are not used from then on."""
    radio = Radio()
    radio.run(5.0, pictures=False)
    accepted = radio.gateway.counts["accepted"]
    for tick in range(50, 400):
        true_s = tick / 10
        radio.send(true_s + ahead_s, latency_s=0.02 - ahead_s)
        answer = radio.picture(true_s + 0.05)
        assert ahead_s < 0.0 or tick < 56 or not answer.objects.listed
        assert (answer.objects.ages_s >= 0.05 - 1e-6).all()
    assert not answer.objects.listed and answer.state == CoopState.EGO_ONLY
    if ahead_s > 0.0:
        assert radio.gateway.counts["accepted"] == accepted and set(radio.gateway.refusals) == {reasons.EARLY}
    else:
        assert 250 <= radio.gateway.counts["accepted"] - accepted <= 310 and radio.gateway.refusals[reasons.CLOCK_OFFSET] > 30


def test_ages_and_the_loss_rate_are_told():
    radio = Radio()
    for tick in range(40):
        radio.send(tick / 10)
        if tick % 4 == 3:
            radio.message(tick / 10)  # on its way it is lost
    radio.send(4.0, jpeg=picture(1))
    radio.picture(4.2)
    values = radio.gateway.values(START_NS + 4 * S)
    assert (values["object list age s"], values["picture age s"]) == ("0.30", "0.20")
    assert values["loss rate"] == pytest.approx(0.2, abs=0.02)
    radio.sequence += 10_000
    radio.send(4.3)
    radio.picture(9.0)
    values = radio.gateway.values(START_NS + 9 * S)
    assert values["object list age s"] == values["picture age s"] == "none" and values["loss rate"] == 0.0, "it began anew"


def test_a_station_that_is_there_and_sends_no_list_is_silent():
    """North sends pictures, south signal phases, east lists that stop; of west nothing comes, and far is out of range."""
    names = ("north", "south", "east", "far", "west")
    stations = [station(name, x=10.0 * number, range_m=5.0 if name == "far" else 150.0) for number, name in enumerate(names)]
    radios = [Radio(*stations, settings=given) for given in (None, GatewaySettings(cap_unheard=True))]
    for radio in radios:
        for tick in range(31):
            radio.send(tick / 10, jpeg=picture(tick))
            radio.send(tick / 10, kind=PHASES, payload=phases(phase(1, LightState.RED)), name="south")
            if tick <= 10:
                radio.send(tick / 10, rows=actor(x=60.0), name="east")
            answer = radio.picture(tick / 10 + 0.05)
            told = {names[one["station"]]: float(one["rest_s"]) for one in answer.silent}
            assert all(one["x"] == stations[one["station"]].pose.x and one["y"] == 0.0 for one in answer.silent)
            there = {"north", "south"} | ({"west"} if radio is radios[1] else set())
            assert told.keys() == (set() if tick < 10 else there | {"east"} if tick >= 15 else there)
            assert all(rest_s == (pytest.approx(tick / 10 + 0.05 - 1.0) if name == "east" else math.inf) for name, rest_s in told.items())
        assert radio.gateway.values(START_NS + 3 * S)["stations without object lists"] == len(told)
        radio.send(3.1)
        assert len(radio.picture(3.15).silent) == len(told) - 1, "north sends a list"
        assert not len(radio.picture(3.2, pose=Pose(1000.0, 0.0)).silent) and not len(radio.picture(3.3).silent), "in range for no second"


TEXT = st.one_of(st.text(max_size=80), st.sampled_from(["north", "camera", "", OBJECTS, PICTURE, PHASES]))
DATA = st.one_of(st.binary(max_size=400), st.binary(min_size=72, max_size=72), st.binary(min_size=46, max_size=46),
                 st.binary(max_size=300).map(lambda tail: b"\xff\xd8\xff" + tail))
NUMBER = st.one_of(st.integers(-2**70, 2**70), st.integers(START_NS - S, START_NS + S))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(TEXT, NUMBER, TEXT, NUMBER, DATA, DATA, NUMBER, TEXT), max_size=4))
def test_nothing_that_comes_unsigned_passes_or_is_raised(messages):
    radio = Radio()
    for station_name, sequence, kind, stamp_ns, payload, signature, received_ns, camera in messages:
        radio.gateway.take(RadioMessage(station_name, sequence, kind, stamp_ns, payload, signature, received_ns, camera))
    assert radio.gateway.counts["accepted"] == 0 and sum(radio.gateway.refusals.values()) == len(messages)
    answer = radio.picture(0.1)
    assert not len(answer.objects.rows) and not answer.views and answer.state == CoopState.EGO_ONLY


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([OBJECTS, PICTURE, PHASES]), DATA), min_size=1, max_size=4), st.binary(min_size=92, max_size=92))
def test_no_signed_content_is_raised_and_what_passes_is_plausible(contents, two_rows):
    radio = Radio()
    for number, (kind, payload) in enumerate([*contents, (OBJECTS, two_rows)]):
        radio.send(number / 10, kind=kind, payload=payload, camera="camera" if kind == PICTURE else "")
        answer = radio.picture(number / 10 + 0.05)
        rows = answer.objects.rows
        assert np.isfinite(rows["x"]).all() and (np.hypot(rows["vx"], rows["vy"]) <= 70.0).all()
        assert set(answer.stations) <= {"north"} and {view.station for view in answer.views} <= {"north"}
