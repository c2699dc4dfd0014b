"""Road users that come and go: made-up ones are not believed for long, and those that were there all the time are."""

from __future__ import annotations

import numpy as np
import pytest
from support.v2x import S, ego

from kd_planner_ros.core.scene import ACTOR_DTYPE, ActorKind
from kd_planner_ros.v2x.fleeting import Fleeting
from kd_planner_ros.v2x.settings import GatewaySettings

WAITS, GHOST = 1, 1000


def rows(*users: tuple[int, float]) -> np.ndarray:
    found = np.zeros(len(users), ACTOR_DTYPE)
    found["kind"] = ActorKind.PEDESTRIAN
    if users:
        found["id"], found["x"] = np.array(users).T
    return found


def hear(fleeting: Fleeting, lists: list[np.ndarray], from_s: float = 0.0) -> list[set[int]]:
    """Ids that are not believed in each of ``lists``, which come at 10 Hz; the car stands at x = 40."""
    found = []
    for number, one in enumerate(lists):
        unproven = fleeting.unproven(one, round((from_s + number / 10) * S), ego())
        found.append(set(one["id"][unproven].tolist()))
    return found


def ghosts(seconds: int, x: float = 54.0) -> list[np.ndarray]:
    """A walker who waits behind a van, and a new one in front of the car each second."""
    return [rows((WAITS, 50.0), (GHOST + tick // 10, x)) for tick in range(10 * seconds)]


@pytest.fixture
def fleeting() -> Fleeting:
    return Fleeting(GatewaySettings())


def test_after_three_walkers_that_came_and_went_a_fourth_is_not_believed_and_the_one_who_waits_is(fleeting):
    found = hear(fleeting, ghosts(12))
    first = next(number for number, one in enumerate(found) if one)
    assert 30 < first <= 41, "three seconds of ghosts, and one in which the third is gone"
    assert all(one == {GHOST + number // 10} for number, one in enumerate(found) if number >= first)


def test_a_walker_who_stays_is_believed_after_a_second_and_a_half(fleeting):
    hear(fleeting, ghosts(6))
    found = hear(fleeting, [rows((WAITS, 50.0), (7, 55.0))] * 30, from_s=6.0)
    assert all(7 in one for one in found[:15]) and not any(7 in one for one in found[15:])


def test_the_station_is_believed_again_when_the_others_are_forgotten(fleeting):
    hear(fleeting, ghosts(6))
    hear(fleeting, [rows((WAITS, 50.0))] * 110, from_s=6.0)
    assert hear(fleeting, [rows((WAITS, 50.0), (7, 55.0))], from_s=17.0) == [set()]


def test_who_comes_and_goes_far_from_the_car_says_nothing(fleeting):
    assert not any(hear(fleeting, ghosts(12, x=70.0)))


def test_a_station_that_was_not_heard_for_a_while_did_not_lose_its_road_users(fleeting):
    for number in range(6):
        assert not any(hear(fleeting, [rows((10 * number, 50.0), (10 * number + 1, 51.0))] * 5, from_s=3.0 * number))


def test_who_is_missing_from_every_other_list_stays_the_same_road_user(fleeting):
    lists = [rows(*(((number, 50.0 + number),) if tick % 2 else ())) for tick in range(100) for number in (3,)]
    assert not any(hear(fleeting, lists))


def test_without_odometry_nobody_is_near():
    fleeting = Fleeting(GatewaySettings())
    assert not any(fleeting.unproven(one, round(number / 10 * S), None).any() for number, one in enumerate(ghosts(8)))
