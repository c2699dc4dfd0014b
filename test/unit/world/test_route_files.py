"""Route files of leaderboard 1.0, 2.0 and Bench2Drive: what is read, what is left out with its reason, and planning route by route."""

from __future__ import annotations

import contextlib
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kd_planner_ros.cli.main import main
from kd_planner_ros.core.errors import KdPlannerError, RouteError
from kd_planner_ros.core.scene import Weather
from kd_planner_ros.core.weather_course import WeatherCourse, course
from kd_planner_ros.evaluation.drives import ClosedLoopConfig, plan_drives
from kd_planner_ros.record.jobs import RecordConfig, plan_jobs
from kd_planner_ros.ros.world_setup import choose_route
from kd_planner_ros.world.lane_graph import LaneGraph
from kd_planner_ros.world.maps import load_map
from kd_planner_ros.world.route_files import read_route_file
from kd_planner_ros.world.route_listing import list_routes
from kd_planner_ros.world.route_scenarios import PLAYED
from kd_planner_ros.world.routes import plan_routes
from kd_planner_ros.world.weather import ROUTE_WEATHER, route_weather

SHARED = Path(__file__).resolve().parents[4] / "shared"
needs_shared = pytest.mark.skipif(not (SHARED / "maps").is_dir(),
                                  reason="put CARLA's road networks and routes into ../shared/maps and ../shared/routes")
NOON = 'cloudiness="10" precipitation="0" precipitation_deposits="50" wetness="0" wind_intensity="5" sun_azimuth_angle="-1" ' \
       'sun_altitude_angle="45" fog_density="2" fog_distance="0.75"'


@pytest.fixture(scope="module")
def town():
    return replace(load_map("default"), name="Town05")


@pytest.fixture(scope="module")
def lane(town):
    """The places 5 m and 60 m along the town's longest lane, in CARLA's coordinates."""
    graph = LaneGraph(town)
    name = max((one for one in graph.lanes if not graph.lanes[one].junction), key=graph.lengths.get)
    return [tuple(graph.at(name, arc) * (1.0, -1.0)) for arc in (5.0, 60.0)]


def write(path: Path, *routes: str) -> Path:
    path.write_text(f"<routes>{''.join(routes)}</routes>")
    return path


def old(name, *points, town="Town05", more="") -> str:
    """A route as leaderboard 1.0 has it."""
    places = "".join(f'<waypoint x="{x}" y="{y}" z="0" yaw="90"/>' for x, y in points)
    return f'<route id="{name}" town="{town}">{places}{more}</route>'


def new(name, *points, town="Town05", weathers="", scenarios="") -> str:
    """A route as leaderboard 2.0 and Bench2Drive have it."""
    places = "".join(f'<position x="{x}" y="{y}" z="0.0"/>' for x, y in points)
    return (f'<route id="{name}" town="{town}"><weathers>{weathers}</weathers><waypoints>{places}</waypoints>'
            f"<scenarios>{scenarios}</scenarios></route>")


def test_both_forms_give_the_same_places_mirrored(tmp_path):
    first, = read_route_file(write(tmp_path / "1.xml", old("7", (3, 4), (5, -6)))).routes
    second, = read_route_file(write(tmp_path / "2.xml", new("7", (3, 4), (5, -6)))).routes
    for spec in (first, second):
        assert (spec.name, spec.town) == ("7", "Town05")
        np.testing.assert_allclose(spec.key_points[:, :2], [[3, -4], [5, 6]])
    np.testing.assert_allclose(first.key_points[:, 2], -np.pi / 2)
    np.testing.assert_allclose(second.key_points[:, 2], math.atan2(10, 2))  # towards the next place: the file gives no yaw
    assert (first.scenarios, second.scenarios) == (None, ())  # 1.0 leaves them to the world, 2.0 asks for none


def test_weathers_are_read_with_their_key_points(tmp_path):
    weathers = f'<weather route_percentage="100" {NOON}/><weather route_percentage="0" {NOON.replace("45", "-15").replace("10", "90", 1)}/>'
    spec, = read_route_file(write(tmp_path / "r.xml", new("1", (0, 0), (9, 0), weathers=weathers))).routes
    assert [share for share, _ in spec.weathers] == [1.0, 0.0]
    noon = spec.weathers[0][1]
    assert (noon.cloudiness, noon.puddles, noon.wind, noon.sun_azimuth_deg, noon.sun_altitude_deg, noon.fog_density, noon.fog_distance) == (
        10, 50, 5, -1, 45, 2, 0.75)
    along = course("Route", spec.weathers)
    assert [(along.at(share).cloudiness, along.at(share).sun_altitude_deg) for share in (0.0, 0.5, 1.0)] == [(90, -15), (50, 15), (10, 45)]


@pytest.mark.parametrize("more", [f'<weather {NOON}/>', f'<weather id="3" route_percentage="30" {NOON}/>'])
def test_one_weather_stays_the_whole_route(tmp_path, more):
    spec, = read_route_file(write(tmp_path / "r.xml", old("1", (0, 0), (9, 0), more=more))).routes
    weather = course("Route", spec.weathers)
    assert isinstance(weather, Weather) and (weather.name, weather.sun_altitude_deg) == ("Route", 45.0)
    assert spec.unread == (("id",) if "id=" in more else ())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 100)), min_size=1, max_size=5), st.floats(-0.5, 1.5))
def test_a_course_stays_between_its_key_points(points, share):
    along = course("Route", tuple((place, Weather(cloudiness=value)) for place, value in points))
    weather = along.at(share) if isinstance(along, WeatherCourse) else along
    values = [value for _, value in points]
    assert min(values) - 1e-9 <= weather.cloudiness <= max(values) + 1e-9


def test_scenarios_are_read_with_their_places_and_settings(tmp_path):
    asked = ('<scenario type="ParkingCutIn" name="P"><trigger_point x="3" y="4" yaw="0" z="0"/><direction value="right"/>'
             '<flow from="1" to="2"/></scenario><scenario type="Unheard"/>')
    spec, = read_route_file(write(tmp_path / "r.xml", new("1", (0, 0), (9, 0), scenarios=asked))).routes
    first, second = spec.scenarios
    assert (first.name, first.kind, first.x, first.y) == ("P", "ParkingCutIn", 3, -4)
    assert first.settings == (("direction", "right"), ("flow", "from=1 to=2"))
    assert (second.name, second.kind, math.isnan(second.x)) == ("Unheard_1", "Unheard", True)


BROKEN = [
    ('<route town="T"/>', "an id"), ('<route id="b"><waypoint x="0" y="0"/></route>', "two waypoints"),
    ('<route id="b"><waypoint x="a" y="0"/><waypoint x="0" y="0"/></route>', "a number as x"),
    ('<route id="b"><waypoint x="nan" y="0"/><waypoint x="0" y="0"/></route>', "finite"),
    ('<route id="b"><waypoint x="1e300" y="0"/><waypoint x="0" y="0"/></route>', "within 1000000 m"),
    ('<route id="b"><waypoint y="0"/><waypoint x="0" y="0"/></route>', "x and y"),
    ('<route id="b"><waypoints/></route>', "two waypoints"), (old("good", (0, 0), (9, 0)), "one route good"),
    (new("b", (0, 0), (9, 0), weathers='<weather cloudiness="101"/>'), "cloudiness from 0 to 100"),
    (new("b", (0, 0), (9, 0), weathers='<weather route_percentage="-1"/>'), "route_percentage from 0 to 100"),
    (new("b", (0, 0), (9, 0), weathers='<weather sun_altitude_angle="x"/>'), "a number as sun_altitude_angle"),
    (new("b", (0, 0), (9, 0), scenarios="<scenario/>"), "a type in scenario 0"),
    (new("b", (0, 0), (9, 0), scenarios='<scenario type="A"><trigger_point x="1"/></scenario>'), "x and y in scenario 0")]


@pytest.mark.parametrize("broken, said", BROKEN)
def test_a_broken_route_is_left_out_with_its_reason_and_the_others_are_read(tmp_path, broken, said):
    file = read_route_file(write(tmp_path / "r.xml", old("good", (0, 0), (9, 0)), broken, old("last", (0, 0), (9, 0))))
    assert [spec.name for spec in file.routes] == ["good", "last"]
    (left,) = file.left_out
    assert said in left.reason and "\n" not in left.reason


@pytest.mark.parametrize("text", ["", "{}", "<routes>", "<routes/>", "<html><body/></html>", '<routes><route id="1"/></routes>',
                                  '<?xml version="1.0" encoding="none-such"?><routes/>', "<routes>\x00</routes>"])
def test_a_foreign_or_empty_file_is_named(tmp_path, text):
    (tmp_path / "r.xml").write_text(text)
    with pytest.raises(RouteError) as caught:
        read_route_file(tmp_path / "r.xml")
    assert "r.xml" in str(caught.value) and "\n" not in str(caught.value)


def test_missing_route_file_is_refused(tmp_path):
    with pytest.raises(RouteError):
        read_route_file(tmp_path / "none.xml")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(tmp_path, text):
    path = tmp_path / "r.xml"
    path.write_text(text, encoding="utf-8", errors="replace")
    with contextlib.suppress(KdPlannerError):
        assert read_route_file(path).routes


@pytest.fixture
def mixed(tmp_path, lane):
    """Five routes: two on the lane, one of another town, one 5 km off the road, one unreadable."""
    far = [(x + 5000.0, y) for x, y in lane]
    asks = '<scenario type="Unheard"/>'
    return write(tmp_path / "mixed.xml", old("other", *lane, town="Town03"), new("far", *far, scenarios=asks),
                 new("here", *lane), '<route id="bad"/>', old("too", *lane))


def test_each_route_is_judged_by_itself(town, mixed):
    planned = plan_routes(town, read_route_file(mixed))
    assert [route.name for route in planned.routes] == ["here", "too"]
    assert {one.name: one.town for one in planned.left_out} == {"bad": "", "other": "Town03", "far": ""}
    text = "\n".join(planned.sentences())
    assert "1 routes of Town03 are left out on Town05: other" in text and "route far is left out" in text and "route bad" in text


def test_only_the_routes_asked_for_are_judged(town, mixed):
    planned = plan_routes(town, read_route_file(mixed), ids=("too",))
    assert [route.name for route in planned.routes] == ["too"] and planned.sentences() == []
    for wanted, said in (("far", "from the nearest lane"), ("other", "the map Town03"), ("bad", "two waypoints"), ("none", "routes of")):
        with pytest.raises(RouteError, match=said):
            plan_routes(town, read_route_file(mixed), ids=("too", wanted))


def test_a_file_without_a_route_for_the_map_is_refused(tmp_path, town, lane):
    with pytest.raises(RouteError, match="none of 2; the first"):
        plan_routes(town, read_route_file(write(tmp_path / "r.xml", *(old(name, *lane, town="Town01") for name in "ab"))))


def test_snap_takes_a_far_key_point_to_the_nearest_lane_and_says_how_far(tmp_path, town, lane):
    (x, y), goal = lane
    start = (x - 300.0 * np.sign(goal[0] - x), y - 300.0 * np.sign(goal[1] - y))  # beyond the town's edge
    file = read_route_file(write(tmp_path / "r.xml", old("r", start, goal)))
    with pytest.raises(RouteError, match="--snap"):
        plan_routes(town, file)
    planned = plan_routes(town, file, snap=True)
    assert len(planned.routes) == 1
    (moved,) = planned.moved
    assert moved.row == 0 and f"{moved.distance_m:.1f} m (route r, key point 0)" in planned.sentences()[0] and moved.distance_m > 60.0


def test_the_evaluation_takes_each_routes_own_weather(town, lane, tmp_path):
    file = write(tmp_path / "r.xml", new("a", *lane, weathers=f"<weather {NOON}/>"), old("b", *lane))
    routes = plan_routes(town, read_route_file(file)).routes
    drives = plan_drives(ClosedLoopConfig("expert", tmp_path, routes=str(file), seeds=2), routes)
    assert [(drive.seed, drive.route.name, drive.weather.name) for drive in drives] == [
        (seed, *kind) for seed in (0, 1) for kind in (("a", "Route"), ("b", "Benchmark"))]
    assert {drive.weather.name for drive in plan_drives(ClosedLoopConfig("expert", tmp_path, weather="WetNoon"), routes)} == {"WetNoon"}
    assert route_weather(routes[1]) == ROUTE_WEATHER


def test_the_recorder_leaves_out_what_is_for_other_maps(tmp_path, town, mixed, told):
    jobs, failed = plan_jobs(RecordConfig(out=tmp_path / "out", routes=mixed, weather=("benchmark",)), town)
    assert [job.route.name for job in jobs] == ["mixed/here", "mixed/too"] and {job.weather.name for job in jobs} == {"Benchmark"}
    assert sorted(line.split()[1] for line in failed) == ["bad:", "far:"]
    assert any("left out on Town05: other" in line for line in told())
    jobs, _ = plan_jobs(RecordConfig(out=tmp_path / "out", routes=mixed, first=2), town)
    assert [job.route.name for job in jobs] == ["mixed/too"]  # numbers count over the routes of this map: far, here, too


def test_drive_takes_the_first_route_on_the_map_or_the_one_named(town, mixed, told):
    assert choose_route(town, str(mixed)).name == "here"
    assert any("route here is driven; the 2 before it" in line for line in told())
    assert choose_route(town, f"{mixed}:too").name == "too"
    for name, said in (("other", "the map Town03"), ("none", "correct the id"), ("far", "nearest lane")):
        with pytest.raises(RouteError, match=said):
            choose_route(town, f"{mixed}:{name}")


@needs_shared
def test_bench2drive_routes_are_planned_close_to_their_key_points():
    roads: dict = {}
    for number in ("24211", "24781", "28035"):  # three of Town01's
        file = read_route_file(SHARED / "routes" / "bench2drive" / f"{number}.xml")
        name = file.routes[0].town
        road = roads.setdefault(name, load_map(str(SHARED / "maps" / f"{name}.net.xml")))
        route, = plan_routes(road, file).routes
        gaps = np.linalg.norm(route.points[None] - route.key_points[:, None], axis=2).min(axis=1)
        assert gaps.max() < 4.0 and np.median(gaps) < 1.5 and len(route.scenarios) == 1 and len(route.weathers) == 2


@needs_shared
def test_longest6_names_the_towns_that_are_left_out():
    file = read_route_file(SHARED / "routes" / "longest6.xml")
    planned = plan_routes(load_map(str(SHARED / "maps" / "Town01.net.xml")), file)
    assert len(file.routes) == 36 and sorted(route.name for route in planned.routes) == list("012345")
    assert "6 routes of Town02 are left out on Town01: 10, 11, 9, 8, 6, 7" in "\n".join(planned.sentences())


def test_the_listing_says_what_is_read_planned_and_left_out(town, mixed, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("kd_planner_ros.world.route_listing.load_map", lambda spec: town)
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "Town05.xodr.gz").write_bytes(b"")
    assert main(["routes", str(mixed), "--maps-dir", str(tmp_path / "maps"), "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    facts = json.loads(lines[-1])
    assert (facts["read"], facts["planned"], facts["not_supported"]) == (4, 2, {}), "scenarios of a route that is left out do not count"
    reasons = {one["route"]: one["reason"] for one in facts["left_out"]}
    assert reasons["other"].startswith("no map of Town03") and "--snap" in reasons["far"] and "two waypoints" in reasons["bad"]
    assert lines[-2] == "4 routes read, 2 planned on a map, 3 left out"
    assert [row["scenarios"] for row in facts["routes"] if row["route"] == "far"] == [{"Unheard": 1}]
    (tmp_path / "maps" / "Town03.xodr").write_text("<broken")
    monkeypatch.setattr("kd_planner_ros.world.route_listing.load_map", lambda spec: town if "Town05" in spec else load_map(spec))
    folder = tmp_path / "files"
    folder.mkdir()
    for name, text in (("mixed", mixed.read_text()), ("cut", "<routes><route id='1'"), ("foreign", "<scenarios/>")):
        (folder / f"{name}.xml").write_text(text)
    assert main(["routes", str(folder), "--maps-dir", str(tmp_path / "maps"), "--json"]) == 0, "one bad file must not end the list"
    lines = capsys.readouterr().out.splitlines()
    facts = json.loads(lines[-1])
    assert (facts["read"], facts["planned"]) == (4, 2) and lines[-2].endswith("3 left out; 2 files not readable")
    assert {Path(one["file"]).name for one in facts["left_out"] if not one["route"]} == {"cut.xml", "foreign.xml"}
    assert any("left out: cut.xml: expected" in line for line in lines)
    assert "Town03.xodr" in next(one["reason"] for one in facts["left_out"] if one["route"] == "other"), "one bad map must not either"
    assert main(["routes", str(folder / "cut.xml")]) == 2 and "cut.xml" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["routes", str(tmp_path / "empty")]) == 2 and "route files" in capsys.readouterr().err


@needs_shared
def test_the_guides_figures_of_the_files_at_hand_are_true():
    guide = (Path(__file__).resolve().parents[3] / "docs" / "guides" / "maps_and_routes.md").read_text()
    for name in ("longest6.xml", "bench2drive"):
        facts = list_routes([SHARED / "routes" / name])
        playable, others = (sum(facts[key].values()) for key in ("playable", "not_supported"))
        assert re.search(rf"\| `{name}` \| {facts['read']} \| \d+ \| \d+ \| {playable + others} \| {playable} \| {others} \|", guide)


def test_the_guide_names_every_type_that_is_played():
    guide = (Path(__file__).resolve().parents[3] / "docs" / "guides" / "maps_and_routes.md").read_text()
    rows = [line.split("|")[1:3] for line in guide.splitlines() if re.match(r"\| [A-Z]\w+(, \w+)* \|", line)]
    told = {kind: what.strip() for kinds, what in rows for kind in kinds.strip().split(", ")}
    assert told == {kind: what for kind, (what, _) in PLAYED.items()}
