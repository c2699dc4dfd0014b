"""Which rows of several stations mean one object."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kd_planner_ros.core.scene import ACTOR_DTYPE, ActorKind
from kd_planner_ros.v2x.objects import merge

SAME_M = 2.0


def rows(*places: tuple[float, float], kind: int = ActorKind.PEDESTRIAN) -> np.ndarray:
    found = np.zeros(len(places), ACTOR_DTYPE)
    found["kind"] = kind
    found["x"], found["y"] = np.array(places).T if places else ((), ())
    return found


def stay(found: np.ndarray, ages: list[float], source: list[int]) -> list[bool]:
    return merge(found, np.array(ages), np.array(source), SAME_M).tolist()


def test_the_younger_row_of_one_object_stays_and_two_walkers_side_by_side_stay_two():
    two, nearer = (0.0, 0.0), (1.5, 0.0)
    assert stay(rows(two, nearer, (1.4, 0.1)), [0.2, 0.2, 0.0], [0, 0, 1]) == [True, False, True]
    assert stay(rows(two, nearer, (1.4, 0.1), (0.1, 0.0)), [0.0, 0.0, 0.1, 0.1], [0, 0, 1, 1]) == [True, True, False, False]


def test_three_stations_that_see_one_object_report_it_once_and_other_kinds_stay():
    assert stay(rows((0.0, 0.0), (0.3, 0.0), (0.6, 0.0)), [0.2, 0.1, 0.0], [0, 1, 2]) == [False, False, True]
    mixed = np.concatenate([rows((0.0, 0.0)), rows((0.1, 0.0), kind=ActorKind.CAR)])
    assert stay(mixed, [0.0, 0.0], [0, 1]) == [True, True]
    assert stay(rows((0.0, 0.0), (0.1, 0.0)), [0.0, 0.0], [0, 0]) == [True, True], "a station knows its own objects apart"
    assert stay(rows(), [], []) == []


def test_one_object_never_swallows_two_rows_of_one_station():
    """Joined through rows of two other stations: the two rows of station 0 mean two objects all the same."""
    assert sum(stay(rows((0.0, 1.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0)), [0.0] * 4, [1, 2, 0, 0])) == 2


@given(st.lists(st.tuples(st.floats(0.0, 8.0), st.floats(0.0, 8.0), st.integers(0, 2), st.floats(0.0, 0.5)), max_size=12))
def test_no_station_s_list_loses_more_objects_than_the_others_report(made: list[tuple[float, float, int, float]]):
    source = [one[2] for one in made]
    kept = stay(rows(*[one[:2] for one in made]), [one[3] for one in made], source)
    for station in set(source):
        lost = sum(of == station and not good for of, good in zip(source, kept, strict=True))
        assert lost <= sum(of != station for of in source)
    assert not made or any(kept)
    assert sum(kept) >= max((source.count(station) for station in set(source)), default=0), "as many as the longest list names"
