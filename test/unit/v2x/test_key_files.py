"""Key files: what is made can be read, and what must not be used is refused by its name."""

import json
import re
import subprocess
from dataclasses import replace

import pytest
from support.v2x import START_NS, actor, station

from kd_planner_ros.cli import main as cli
from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.v2x import OBJECTS, RadioMessage
from kd_planner_ros.v2x.key_files import make_keys, read_allowed, read_signer
from kd_planner_ros.v2x.payloads import pack_rows
from kd_planner_ros.v2x.signing import place_digest

NOW_S = 1_800_000_000.0
DAY_S = 86_400.0


@pytest.fixture
def folder(tmp_path):
    make_keys(tmp_path / "keys", [station(), station("south", x=60.0)], NOW_S, NOW_S + DAY_S)
    return tmp_path / "keys"


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_what_a_station_signs_with_its_file_passes_with_the_allow_list(folder):
    signer = read_signer(folder / "private" / "north.json", station(), NOW_S)
    keys = replace(read_allowed(folder / "allowed", [station(), station("south", x=60.0)], NOW_S), now_s=lambda: NOW_S)
    one = RadioMessage("north", 1, OBJECTS, START_NS, pack_rows(actor()))
    assert keys.refused == {} and keys.check(replace(one, signature=signer.sign(one)), place_digest(station())) == ""
    assert keys.check(replace(one, station="south", signature=signer.sign(one)), place_digest(station())) == "forged"


def test_keys_are_their_owners_alone_and_never_made_twice(folder):
    files = sorted(folder.rglob("*.json"))
    assert [str(one.relative_to(folder)) for one in files] == [
        f"{part}/{name}.json" for part in ("allowed", "private") for name in ("north", "south")]
    assert {one.stat().st_mode & 0o777 for one in files} == {0o600}
    assert {one.stat().st_mode & 0o777 for one in (folder / "private", folder / "allowed")} == {0o700}
    before = [one.read_bytes() for one in files]
    with pytest.raises(ConfigError, match="without keys of these stations"):
        make_keys(folder, [station("west"), station()], NOW_S, NOW_S + DAY_S)
    assert sorted(folder.rglob("*.json")) == files and [one.read_bytes() for one in files] == before


def test_a_repository_gets_no_keys(tmp_path):
    subprocess.run(["git", "init", "-q", str(tmp_path / "work")], check=True)
    (tmp_path / "link").symlink_to(tmp_path / "work")
    for name in ("work/keys", "work", "link/keys"):
        with pytest.raises(ConfigError, match="outside every git repository"):
            make_keys(tmp_path / name, [station()], NOW_S, NOW_S + DAY_S)


@pytest.mark.parametrize("spoil, words", [
    (lambda path: path.chmod(0o640), "its owner alone can read .*mode 640.*chmod 600"),
    (lambda path: path.unlink(), "no such file"),
    (lambda path: path.write_text("{"), "a key file of kd-planner"),
    (lambda path: path.write_text("[]"), "no 'station' and 'algorithm'"),
    (lambda path: path.write_text(" " * 10_001), "10001 bytes"),
    (lambda path: edit(path, algorithm="RSA"), "no 'station' and 'algorithm'"),
    (lambda path: edit(path, private_key="00ff"), "a key of 32 bytes .*2 bytes"),
    (lambda path: edit(path, private_key=7), "a key file of kd-planner"),
    (lambda path: edit(path, valid_until="soon"), "a key file of kd-planner"),
    (lambda path: edit(path, station="south"), "key of station 'north' .*that of 'south'"),
    (lambda path: edit(path, valid_until="2020-01-01T00:00:00+00:00"), "expired on 2020-01-01"),
    (lambda path: edit(path, valid_from="2099-01-01T00:00:00+00:00"), "begins on 2099-01-01"),
])
def test_a_private_key_that_cannot_be_used_is_named(folder, spoil, words):
    path = folder / "private" / "north.json"
    spoil(path)
    with pytest.raises(ConfigError, match=words):
        read_signer(path, station(), NOW_S)


@pytest.mark.parametrize("spoil, words", [
    (lambda path: path.chmod(0o604), "its owner alone"), (lambda path: path.write_bytes(b"\xff\xfe"), "a key file of kd-planner"),
    (lambda path: edit(path, valid_until="2020-01-01T00:00:00+00:00"), "expired on"),
    (lambda path: edit(path, station="west"), "a station of the map .*'west'"),
    (lambda path: edit(path, place={"x": 0.0}), "a key file of kd-planner"),
])
def test_a_bad_key_of_the_allow_list_costs_its_station_alone(folder, spoil, words):
    spoil(folder / "allowed" / "north.json")
    ring = read_allowed(folder / "allowed", [station(), station("south", x=60.0)], NOW_S)
    assert set(ring.keys) == {"south"} and list(ring.refused) == ["north"]
    assert re.search(words, ring.refused["north"])


@pytest.mark.parametrize("now, good", [
    (station(x=0.4), True), (station(x=0.6), False), (replace(station(), pose=Pose(yaw=0.01)), True),
    (replace(station(), pose=Pose(yaw=0.02)), False), (replace(station(), pose=Pose(z=5.0)), False)])
def test_a_station_moved_on_the_map_is_named(folder, now, good):
    ring = read_allowed(folder / "allowed", [now, station("south", x=60.0)], NOW_S)
    assert ("north" in ring.keys) == good
    assert good or "station 'north' where its key was made" in ring.refused["north"]


@pytest.mark.parametrize("change, words", [(lambda one: replace(one, yaw=one.yaw + 2.9), "camera '.*' of station 'north' where"),
                                           (lambda one: replace(one, pitch=one.pitch + 0.1), "camera '.*' of station 'north' where"),
                                           (lambda one: replace(one, z=one.z + 1.0), "camera '.*' of station 'north' where"),
                                           (None, "no such camera")])
def test_a_camera_of_a_station_that_moved_is_named(folder, change, words):
    was = station()
    cameras = tuple(replace(one, pose=change(one.pose)) for one in was.cameras) if change else ()
    assert was.cameras
    ring = read_allowed(folder / "allowed", [replace(was, cameras=cameras), station("south", x=60.0)], NOW_S)
    assert set(ring.keys) == {"south"} and re.search(words, ring.refused["north"])


def test_keys_of_an_older_version_know_neither_heights_nor_cameras(folder):
    edit(folder / "allowed" / "north.json", place={"x": 0.0, "y": 0.0, "yaw_deg": 0.0})
    ring = read_allowed(folder / "allowed", [replace(station(), cameras=()), station("south", x=60.0)], NOW_S)
    assert ring.refused == {}


def test_a_station_has_two_keys_while_one_replaces_the_other(folder, tmp_path):
    make_keys(tmp_path / "next", [station()], NOW_S, NOW_S + DAY_S)
    (tmp_path / "next" / "allowed" / "north.json").rename(folder / "allowed" / "north_next.json")
    ring = replace(read_allowed(folder / "allowed", [station(), station("south", x=60.0)], NOW_S), now_s=lambda: NOW_S)
    assert ring.refused == {} and len(ring.keys["north"]) == 2
    one = RadioMessage("north", 1, "objects", 0, b"rows")
    for path in (folder, tmp_path / "next"):
        signer = read_signer(path / "private" / "north.json", station(), NOW_S)
        assert ring.check(replace(one, signature=signer.sign(one)), place_digest(station())) == ""


def test_an_allow_list_without_a_good_key_is_refused(folder, tmp_path):
    with pytest.raises(ConfigError, match="no such folder.*kd-planner v2x keys"):
        read_allowed(tmp_path / "none", [station()], NOW_S)
    with pytest.raises(ConfigError, match="a key that can be used .*expired on"):
        read_allowed(folder / "allowed", [station(), station("south", x=60.0)], NOW_S + 2 * DAY_S)
    (folder / "allowed").chmod(0o770)
    with pytest.raises(ConfigError, match="others may write to it"):
        read_allowed(folder / "allowed", [station()], NOW_S)


def test_the_command_makes_keys_for_a_stations_file(tmp_path, capsys):
    (tmp_path / "stations.yaml").write_text("stations: [{id: north, x: 1.0, y: 2.0}]\n")
    words = ["v2x", "keys", str(tmp_path / "keys"), "--stations", str(tmp_path / "stations.yaml"), "--json"]
    assert cli.main(words) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert answer["stations"] == ["north"] and len(answer["files"]) == 2
    assert cli.main(words) == 2 and "without keys of these stations" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        cli.main([*words, "--days", "0"])
    assert stop.value.code == 2 and "days above 0" in capsys.readouterr().err


def test_the_bench_measures_messages_that_pass():
    from kd_planner_ros.v2x.bench import bench_messages, bench_stream

    assert min(bench_messages(2)[name] for name in ("list_ms", "picture_ms")) > 0.0
    found = bench_stream(5, 2)
    assert found["messages"] == 5 * 20 + 4 * 4 and found["refused"] == 0 and found["busy_share"] > 0.0
