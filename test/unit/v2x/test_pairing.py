"""Messages and signatures in every order: the pair is judged once, what stays alone is refused, and nothing grows."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.v2x import START_NS, Radio, S, actor, picture, station

from kd_planner_ros.core.v2x import OBJECTS, PHASES, PICTURE, RadioMessage
from kd_planner_ros.v2x import reasons
from kd_planner_ros.v2x.pairing import NOTES, WAITING, Pairing
from kd_planner_ros.v2x.payloads import pack_rows
from kd_planner_ros.v2x.settings import GatewaySettings


class Air(Radio):
    def __init__(self, *stations, **more):
        super().__init__(*stations, **more)
        self.pairing = Pairing(self.gateway)

    def content(self, one):
        self.pairing.content(replace(one, sequence=0, signature=b""))

    def note(self, one, **changes):
        self.pairing.signature(replace(one, payload=b"", **changes))


@pytest.mark.parametrize("first", ["note", "content"])
def test_either_may_come_first(first):
    air = Air()
    for number in range(3):
        one = air.message(number / 10, **({"jpeg": picture()} if number == 1 else {}))
        for what in (first, *({"note", "content"} - {first})):
            getattr(air, what)(one)
    air.pairing.expire(START_NS + 10 * S)
    assert air.gateway.counts["accepted"] == 3 and air.gateway.refusals == {} and air.pairing.unused == 0


def test_two_messages_under_way_at_once_keep_their_own_signatures():
    air = Air()
    one, two = air.message(0.0), air.message(0.1, actor(2))
    air.content(one)
    air.content(two)
    air.note(one)
    air.note(two)
    assert air.gateway.counts["accepted"] == 2 and air.gateway.refusals == {}


def test_what_stays_alone_is_unsigned():
    air = Air()
    air.content(air.message())
    air.note(air.message(0.1))
    air.pairing.expire(START_NS + S // 10)
    assert air.gateway.refusals == {} and air.pairing.unused == 0
    air.pairing.expire(START_NS + 2 * S)
    assert air.gateway.refusals == {reasons.UNSIGNED: 1} and air.pairing.unused == 1


def test_a_forged_message_beside_the_true_one_costs_only_itself():
    air = Air()
    one = air.message()
    air.content(replace(one, payload=pack_rows(actor(9, x=41.0))))  # the same stamp
    air.note(one, signature=bytes(72))
    air.note(one)
    air.content(one)
    assert air.gateway.counts["accepted"] == 1 and set(air.gateway.refusals) == {reasons.FORGED}
    air.pairing.expire(START_NS + 2 * S)
    assert set(air.gateway.refusals) == {reasons.FORGED}, "judged before: not counted as unsigned too"


@pytest.mark.parametrize("signature", [b"", bytes(71), bytes(73)], ids=["empty", "short", "long"])
@pytest.mark.parametrize("first", ["note", "content"])
def test_a_signature_of_a_false_length_costs_no_message(signature, first):
    """Its stamp can be foretold: a station sends at a steady rate."""
    air = Air()
    for number in range(20):
        one = air.message(number / 10)
        if first == "content":
            air.content(one)
        air.note(one, signature=signature)
        air.note(one)
        if first == "note":
            air.content(one)
    assert air.gateway.counts["accepted"] == 20 and air.gateway.refusals == {} and air.pairing.unused == 20


@pytest.mark.parametrize("first", ["note", "content"])
def test_false_signatures_beside_each_message_do_not_use_up_what_the_station_may_send(first):
    air = Air()
    for number in range(20):
        one = air.message(number / 10)
        if first == "content":
            air.content(one)
        for _ in range(NOTES - 1):
            air.note(one, signature=bytes(72))
        air.note(one)
        if first == "note":
            air.content(one)
    assert air.gateway.counts["accepted"] == 20 and set(air.gateway.refusals) <= {reasons.FORGED}


def test_the_signature_just_before_a_message_is_tried_first():
    """Twenty false signatures and as many false messages beside each honest one use up all verifications but the next one."""
    air = Air(settings=GatewaySettings(wasted_per_s=100.0))
    for number in range(20):
        one = air.message(number / 10)
        for _ in range(20):
            air.note(one, signature=bytes(72))
        for early_ms in range(20, 0, -1):
            air.content(replace(one, payload=b"", received_ns=one.received_ns - early_ms * S // 1000))
        later = replace(one, received_ns=one.received_ns + 9 * S // 1000)  # the first verification after them is its own
        air.note(later)
        air.content(later)
    assert air.gateway.counts["accepted"] == 20 and air.gateway.counts[reasons.FLOOD] > 0


def test_a_message_waits_while_nothing_is_verified_for_its_station():
    air = Air(settings=GatewaySettings(wasted_per_s=2.0))
    one = air.message()
    air.content(one)
    for _ in range(3):
        air.note(one, signature=bytes(72))
    assert air.gateway.refusals == {reasons.FORGED: 2, reasons.FLOOD: 1}
    air.gateway.take(replace(air.message(1.0), signature=bytes(72)))  # a second later two more are verified
    air.note(one)
    air.pairing.expire(START_NS + 2 * S)
    assert air.gateway.counts["accepted"] == 1 and air.gateway.refusals == {reasons.FORGED: 3, reasons.FLOOD: 1}


def test_a_replayed_pair_is_told_as_such():
    air = Air()
    one = air.message()
    for _ in range(2):
        air.note(one)
        air.content(one)
    assert air.gateway.counts["accepted"] == 1 and air.gateway.refusals == {reasons.REPLAYED: 1}


def test_what_needs_no_signature_to_be_refused_does_not_wait():
    air = Air()
    air.content(air.message(jpeg=bytes(1_000_001)))
    air.content(replace(air.message(), station="other"))
    air.gateway.locate(replace(air.ego, pose=replace(air.ego.pose, x=400.0)))
    air.content(air.message())
    assert air.gateway.refusals == {reasons.OVERSIZED: 1, reasons.UNKNOWN_STATION: 1, reasons.OUT_OF_RANGE: 1}
    air.note(replace(air.message(), station="other"))
    assert air.pairing.unused == 1


def test_a_flood_of_either_kind_is_bounded():
    air = Air()
    for number in range(200):
        air.content(air.message(number / 1000))
        air.note(air.message(10 + number / 1000))
    held = [len(one) for one in (*air.pairing._waiting.values(), *air.pairing._notes.values())]
    assert max(held) <= max(WAITING, NOTES)
    assert sum(air.gateway.refusals.values()) == 200 - WAITING and air.pairing.unused == 200 - NOTES


KEYS = st.tuples(st.sampled_from([OBJECTS, PICTURE, PHASES, "x"]), st.sampled_from(["", "camera", "y"]),
                 st.integers(START_NS - S, START_NS + S) | st.integers(-2**70, 2**70), st.binary(max_size=100))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.booleans(), KEYS, st.integers(-2**65, 2**65)), max_size=20))
def test_nothing_unsigned_passes_and_nothing_is_raised(sent):
    air = Air(station())
    for is_note, (kind, camera, stamp_ns, data), sequence in sent:
        parts = (sequence, kind, stamp_ns, b"", data) if is_note else (0, kind, stamp_ns, data, b"")
        one = RadioMessage("north", *parts, START_NS, camera)
        (air.pairing.signature if is_note else air.pairing.content)(one)
    air.pairing.expire(START_NS + 2 * S)
    contents = sum(not is_note for is_note, *_ in sent)
    assert air.gateway.counts["accepted"] == 0 and sum(air.gateway.refusals.values()) >= contents
    assert not np.asarray(air.picture(0.1).objects.rows).size
