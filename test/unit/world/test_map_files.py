"""Map files by kind: left-hand traffic, packed files, paths that SUMO would split, and what is foreign or broken."""

from __future__ import annotations

import gzip
import re

import numpy as np
import pytest

from kd_planner_ros.core.errors import MapError
from kd_planner_ros.core.records import Control
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.core.towns import town_of
from kd_planner_ros.world.maps import check_map, load_map
from kd_planner_ros.world.routes import RouteSpec, plan_route
from kd_planner_ros.world.simulation import World
from kd_planner_ros.world.sumo_tools import run_tool
from kd_planner_ros.world.weather import ROUTE_WEATHER

LANE = '<lane id="{id}" type="driving"{more}><width sOffset="0" a="3.5" b="0" c="0" d="0"/></lane>'


def opendrive(*rules: str, lane: str = "") -> str:
    """One straight road of 200 m for each of ``rules`` (an attribute of <road>), lanes with the attribute ``lane``."""
    roads = [f'<road id="{number}" junction="-1" length="200" {rule}><link/><planView><geometry s="0" x="0" y="{40 * number}" hdg="0" '
             'length="200"><line/></geometry></planView><lanes><laneSection s="0">'
             f'<left>{LANE.format(id=1, more="")}</left><center><lane id="0" type="none"/></center>'
             f'<right>{LANE.format(id=-1, more=lane)}</right></laneSection></lanes></road>'
             for number, rule in enumerate(rules)]
    return f'<OpenDRIVE><header revMajor="1" revMinor="7"/>{"".join(roads)}</OpenDRIVE>'


@pytest.fixture(scope="module")
def plain_net(tmp_path_factory):
    """A SUMO network: the road of ``opendrive``, converted."""
    folder = tmp_path_factory.mktemp("net")
    (folder / "road.xodr").write_text(opendrive(""))
    run_tool("netconvert", "--opendrive-files", "road.xodr", "-o", "road.net.xml", folder=folder)
    return (folder / "road.net.xml").read_text()


def streets(road):
    return [lane for lane in road.lanes.values() if lane.kind == "driving" and not lane.junction]


@pytest.mark.parametrize("rules, said", [
    (['rule="LHT"'], "1 of 1 roads"), (["rule='LHT'"], "1 of 1 roads"), (['rule = " lht "'], "1 of 1 roads"),
    (['rule="RHT"', 'rule="LHT"'], "1 of 2 roads, the first is road 1")])
def test_a_left_hand_opendrive_map_is_refused_by_name(tmp_path, rules, said):
    (tmp_path / "left.xodr").write_text(opendrive(*rules))
    for take in (load_map, check_map):  # check_map: before the processes of a graph are started
        with pytest.raises(MapError, match=f"left-hand traffic .* on {said}"):
            take(str(tmp_path / "left.xodr"))


@pytest.mark.parametrize("rule", ["", 'rule="RHT"'])
def test_a_right_hand_map_leads_each_lane_along_its_own_side(tmp_path, rule):
    (tmp_path / "right.xodr").write_text(opendrive(rule))
    lanes = streets(load_map(str(tmp_path / "right.xodr")))
    assert len(lanes) == 2
    for lane in lanes:
        ahead = lane.centre[-1] - lane.centre[0]
        assert (ahead[0] > 0) == (lane.centre[0, 1] < 0)  # right of the middle line towards +x


def test_a_lane_against_its_roads_direction_is_refused(tmp_path):
    (tmp_path / "turned.xodr").write_text(opendrive("", lane=' direction="reversed"'))
    with pytest.raises(MapError, match="lane -1 of road 0"):
        load_map(str(tmp_path / "turned.xodr"))


@pytest.mark.parametrize("kind", ["biking", "sidewalk", "walking", "shoulder", "tram", "none", "restricted"])
def test_a_reversed_lane_that_no_car_drives_on_does_not_matter(tmp_path, kind):
    beside = LANE.format(id=-2, more=' direction="reversed"').replace("driving", kind)
    (tmp_path / "beside.xodr").write_text(opendrive("").replace("</right>", f"{beside}</right>"))
    for lane in (found := streets(load_map(str(tmp_path / "beside.xodr")))):
        assert (lane.centre[-1, 0] > lane.centre[0, 0]) == (lane.centre[0, 1] < 0)
    assert len(found) == 2


@pytest.mark.parametrize("word", ["true", "1", "yes"])
def test_a_left_hand_network_is_refused_by_name(tmp_path, plain_net, word):
    (tmp_path / "left.net.xml").write_text(plain_net.replace("<net ", f'<net lefthand="{word}" ', 1))
    for take in (load_map, check_map):
        with pytest.raises(MapError, match="left-hand traffic"):
            take(str(tmp_path / "left.net.xml"))
    (tmp_path / "right.net.xml").write_text(plain_net.replace("<net ", '<net lefthand="false" ', 1))
    assert len(streets(load_map(str(tmp_path / "right.net.xml")))) == 2


@pytest.mark.parametrize("ending", [".xodr", ".net.xml"])
def test_a_packed_map_is_the_same_map_under_the_same_name(tmp_path, plain_net, ending):
    content = opendrive("") if ending == ".xodr" else plain_net
    (tmp_path / f"Town05{ending}").write_text(content)
    (tmp_path / f"Town05{ending}.gz").write_bytes(gzip.compress(content.encode()))
    plain, packed = (load_map(str(tmp_path / f"Town05{one}")) for one in (ending, f"{ending}.gz"))
    assert plain.name == packed.name == town_of(f"maps/Town05{ending}.gz") == "Town05"
    assert plain.lanes.keys() == packed.lanes.keys()
    for name, lane in plain.lanes.items():
        np.testing.assert_array_equal(lane.centre, packed.lanes[name].centre)


@pytest.mark.parametrize("folder", ["a,b;c", "${HOME}", "a:b", "ä #&'\"%"])
def test_any_path_is_loaded_and_driven(tmp_path, monkeypatch, plain_net, folder):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"cache {folder}"))
    place = tmp_path / folder
    place.mkdir()
    (place / "m.xodr").write_text(opendrive(""))
    (place / "m.net.xml").write_text(plain_net)
    for name in ("m.xodr", "m.net.xml"):
        road = load_map(str(place / name))
        route = plan_route(road, RouteSpec("r", "m", np.array([[20.0, -1.75, 0.0], [150.0, -1.75, 0.0]])))
        world = World(road, SensorRig(), vehicles=0, walkers=0)
        world.start(route, 0, ROUTE_WEATHER)
        assert world.tick(Control()).stamp_ns == 50_000_000
        world.close()


@pytest.mark.parametrize("lane", ['shape="nan,0 9,0"', 'shape="0,0 1e9,0"', 'shape="0,0 inf,1"', 'width="1e300"', 'width="-3"',
                                  'speed="nan"', 'speed="-1"'])
def test_lanes_that_cannot_be_are_refused(tmp_path, plain_net, lane):
    name = lane.partition("=")[0]
    old = re.search(r'<lane id="-?0[^"]*"[^>]*>', plain_net).group()  # a lane of the road, not of a junction
    new = re.sub(rf' {name}="[^"]*"', "", old).replace("<lane ", f"<lane {lane} ")
    (tmp_path / "odd.net.xml").write_text(plain_net.replace(old, new))
    with pytest.raises(MapError, match=r"odd\.net\.xml"):
        load_map(str(tmp_path / "odd.net.xml"))


def merge(order: int) -> str:
    """A motorway that leads to -x, two lanes and a ramp that become three at x = 130 to 100. Its lanes lie left of the roads'
    lines; ``order`` 1 lists them by ascending ids, as the package scenariogeneration does, -1 by descending ones."""
    def road(number, x, y, length, junction, lanes, before="", after="", link=()):
        of = {"p": before, "s": after}
        ends = "".join(f'<{tag} elementType="{of[tag[0]].split()[0]}" elementId="{of[tag[0]].split()[1]}"'
                       + (f' contactPoint="{of[tag[0]].split()[2]}"' if len(of[tag[0]].split()) > 2 else "") + "/>"
                       for tag in ("predecessor", "successor") if of[tag[0]])
        inner = [f'<lane id="{one}" type="driving"><link>' + (f'<predecessor id="{link[one]}"/><successor id="{one}"/>' if link else "")
                 + '</link><width sOffset="0" a="3" b="0" c="0" d="0"/></lane>' for one in range(1, lanes + 1)][::order]
        return (f'<road id="{number}" junction="{junction}" length="{length}"><link>{ends}</link><planView><geometry s="0" x="{x}" y="{y}" '
                f'hdg="0" length="{length}"><line/></geometry></planView><lanes><laneSection s="0"><left>{"".join(inner)}</left>'
                '<center><lane id="0" type="none"/></center></laneSection></lanes></road>')

    def link(number, incoming, connecting, lanes):
        return (f'<connection id="{number}" incomingRoad="{incoming}" connectingRoad="{connecting}" contactPoint="end">'
                + "".join(f'<laneLink from="{one}" to="{one}"/>' for one in range(1, lanes + 1)) + "</connection>")

    return ('<OpenDRIVE><header revMajor="1" revMinor="5"/>' + road(1, 0, 0, 100, -1, 3, after="junction 2")
            + road(5, 130, 0, 120, -1, 2, before="junction 2") + road(8, 130, 6, 120, -1, 1, before="junction 2")
            + road(6, 100, 0, 30, 2, 2, "road 1 end", "road 5 start", {1: 1, 2: 2})
            + road(7, 100, 6, 30, 2, 1, "road 1 end", "road 8 start", {1: 3})
            + f'<junction id="2">{link(0, 5, 6, 2)}{link(1, 8, 7, 1)}</junction></OpenDRIVE>')


@pytest.mark.parametrize("order", [1, -1])
def test_lanes_of_a_merge_join_whatever_their_order_in_the_file(tmp_path, order):
    (tmp_path / "merge.xodr").write_text(merge(order))
    road = load_map(str(tmp_path / "merge.xodr"))
    joins = [(lane, road.lanes[after]) for lane in road.lanes.values() for after in lane.successors]
    assert len(joins) == 6  # three lanes into the junction, and out of it
    for before, after in joins:
        np.testing.assert_allclose(before.centre[-1], after.centre[0], atol=0.1)
    for y in (1.5, 4.5, 7.5):
        route = plan_route(road, RouteSpec("r", "merge", np.array([[240.0, y, np.pi], [10.0, y, np.pi]])))
        np.testing.assert_allclose(route.points[:, 1], y, atol=0.1)


def test_lanes_without_numbers_are_refused(tmp_path):
    (tmp_path / "lanes.xodr").write_text(opendrive("").replace('id="-1" type', 'id="right" type'))
    with pytest.raises(MapError, match="whole number as id of every lane"):
        load_map(str(tmp_path / "lanes.xodr"))


def test_a_file_with_a_namespace_is_read_and_checked(tmp_path):
    space = 'OpenDRIVE xmlns="http://code.asam.net/simulation/standard/opendrive_schema"'
    (tmp_path / "right.xodr").write_text(opendrive("").replace("OpenDRIVE", space, 1))
    assert len(streets(load_map(str(tmp_path / "right.xodr")))) == 2
    (tmp_path / "left.xodr").write_text(opendrive('rule="LHT"').replace("OpenDRIVE", space, 1))
    with pytest.raises(MapError, match="left-hand traffic"):
        load_map(str(tmp_path / "left.xodr"))


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


PACKED = gzip.compress(opendrive("").encode(), mtime=0)  # the content names the tests, which two workers must name alike


@pytest.mark.parametrize("name, content, said", [
    ("a.xodr.gz", opendrive("").encode(), "whole gzip"), ("b.xodr.gz", cut(PACKED), "whole gzip"),
    ("c.net.xml.gz", PACKED[:-6], "whole gzip"), ("d.xodr.gz", PACKED[:12] + b"\xff" * 40, "whole gzip"), ("e.xodr", b"", "empty file"),
    ("f.net.xml", b"", "empty file"), ("g.xodr", cut(opendrive("").encode()), "XML in"), ("h.xodr", b"<net/>", "<OpenDRIVE> in"),
    ("i.net.xml", opendrive("").encode(), "<net> in"), ("j.xodr", b"<OpenDRIVE/>", "a <road> in"), ("k.net.xml", b"\x00\x01\xff", "XML in"),
    ("l.xodr", b'<?xml version="1.0" encoding="none-such"?><OpenDRIVE/>', "XML in"),
    ("m.xodr", opendrive("").encode("utf-16")[:60], "XML in"),
    ("n.xodr", opendrive("").replace('length="200"', 'length="x"').encode(), "netconvert can read in")])
def test_a_foreign_or_broken_map_is_named(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MapError, match=said) as caught:
        load_map(str(tmp_path / name))
    assert name in str(caught.value) and "\n" not in str(caught.value)
