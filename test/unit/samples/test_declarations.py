"""What a network declares about its samples: offsets, horizon, labels, truth, refusals, no route."""

import hashlib
import json

import numpy as np
import pytest
from support.bags import SPEED, Pictures, copy_bag, write_bag
from support.rewrite import moved, rewrite

from kd_planner_ros.core.errors import BagError, ConfigError, SensorError
from kd_planner_ros.core.road import MAP_LINE_DTYPE
from kd_planner_ros.core.scene import ACTOR_DTYPE
from kd_planner_ros.networks.samples import MAIN, SampleMaker
from kd_planner_ros.samples.dataset import Samples
from kd_planner_ros.samples.make import CHUNK
from kd_planner_ros.samples.shards import build_shards

TENTH_NS = 100_000_000


class Triplets(SampleMaker):
    """Three pictures at 10 Hz and the depth of the middle one; no route, no horizon."""

    cameras, key = ("front",), {}
    labels = {"front": ("depth",)}
    offsets_ns = (-TENTH_NS, 0, TENTH_NS)
    horizon_s = 0.0
    needs_route = False

    def record(self, frames, truth, tick):
        stamps = np.array([frame.stamp_ns for frame in frames])
        assert truth.labels["front"].semantic is None
        return {MAIN: frames[1].images["front"], "before": frames[0].images["front"], "after": frames[2].images["front"],
                "stamps": stamps, "depth": truth.labels["front"].depth}


def build(tmp_path, bag, maker):
    (shard,) = build_shards([bag], tmp_path / "cache", maker, progress=False)
    return shard


def test_triplets_leave_out_both_ends_of_a_drive(tmp_path):
    shard = build(tmp_path, write_bag(tmp_path / "bag", seconds=4.0, every=2, leave_out="route"), Triplets())
    assert len(shard.rows) == 38 and shard.facts["frames"] == 40
    assert shard.facts["left_out"] == {"collision": 0, "end of route": 0, "neighbour missing": 2, "waypoints masked": 0}
    np.testing.assert_array_equal(shard.fields["stamps"] - shard.rows["stamp"][:, None], [Triplets.offsets_ns] * 38)
    np.testing.assert_array_equal(shard.fields["before"][1:], shard.images[:-1])
    np.testing.assert_array_equal(shard.fields["after"][:-1], shard.images[1:])
    np.testing.assert_allclose(shard.fields["depth"], shard.images[..., 0] * 0.37 + 1.0, rtol=1e-6)  # as ``shot`` makes it
    assert np.isnan(shard.rows["target"]).all() and (shard.rows["command"] == -1).all()
    assert shard.rows["future"].shape == (38, 0, 2) and shard.rows["actions"].shape == (38, 1, 2)
    assert np.isfinite(shard.rows["ahead_m"]).sum() == 40 - 20 - 1  # the last 2 s are not driven to their end


def test_offsets_at_2_fps_find_no_neighbour(tmp_path):
    shard = build(tmp_path, write_bag(tmp_path / "bag", seconds=3.0), Triplets())
    assert len(shard.rows) == 0 and shard.facts["left_out"]["neighbour missing"] == 6


class Far(Pictures):
    horizon_s = 3.0


def test_a_horizon_of_three_seconds_has_six_steps(tmp_path):
    bag = write_bag(tmp_path / "bag", rate=0.2, crashed=(20, 21))  # collision at 1 s
    shard = build(tmp_path, bag, Far())
    assert shard.facts["left_out"] == {"collision": 9, "end of route": 6, "waypoints masked": 0}  # 0 ... 4 s, after 4.5 s no future
    assert len(shard.rows) == 1 and shard.rows["future"].shape == (1, 6, 2) and shard.rows["actions"].shape == (1, 7, 2)
    t = 0.5 * np.arange(1, 7)
    expected = np.stack([SPEED / 0.2 * np.sin(0.2 * t), SPEED / 0.2 * (1 - np.cos(0.2 * t))], axis=1)
    np.testing.assert_allclose(shard.rows["future"][0], expected, atol=1e-3)
    assert shard.rows["ahead_m"][0] == pytest.approx(10.0, abs=0.01)  # still of 2 s
    near = build(tmp_path, bag, Pictures())
    assert near.folder != shard.folder and near.rows["future"].shape[1] == 4


class Picky(Pictures):
    """Refuses every third instant."""

    def begin(self):
        self.seen = 0

    def record(self, frames, truth, tick):
        self.seen += 1
        return None if self.seen % 3 == 0 else super().record(frames, truth, tick)


def test_refused_samples_are_counted(tmp_path):
    shard = build(tmp_path, write_bag(tmp_path / "bag"), Picky())
    assert shard.facts["left_out"] == {"collision": 0, "end of route": 3, "refused by the network": 5, "waypoints masked": 0}
    assert len(shard.rows) == 16 - 5 - 3 == shard.facts["samples"] and shard.facts["frames"] == 16
    assert ((shard.rows["stamp"] - shard.rows["stamp"][0]) // 500_000_000).tolist() == [0, 1, 3, 4, 6, 7, 9, 10]


def test_a_network_that_refuses_all_gives_an_empty_shard(tmp_path):
    class Never(Pictures):
        def record(self, frames, truth, tick):
            return None

    shard = build(tmp_path, write_bag(tmp_path / "bag"), Never())
    assert len(shard.rows) == 0 and shard.facts["left_out"]["refused by the network"] == 16


class Asking(Pictures):
    """Never asked for a sample where a declaration is not met."""

    def record(self, frames, truth, tick):
        raise AssertionError("no sample may be made")


@pytest.mark.parametrize(("declared", "bag", "named"), [
    ({"labels": {"front": ("depth", "instance")}}, {"labels": False}, "front_depth/image.*front_instance/image.*--labels"),
    ({"truth": ("lines",)}, {}, "/truth/map_lines.*record the truth too"),
    ({"cameras": ("front", "left")}, {}, "left/image.*--network"),
    ({}, {"leave_out": "route"}, "global_plan.*record the route too"),
])
def test_what_a_recording_lacks_is_named_before_any_sample(tmp_path, declared, bag, named):
    maker = type("Declared", (Asking,), declared)()
    with pytest.raises(BagError, match=named):
        build(tmp_path, write_bag(tmp_path / "bag", **bag), maker)
    assert not list((tmp_path / "cache").rglob("*.npy"))


class Acting(Pictures):
    needs_control = True


def without(*ends):
    return lambda topic, when, raw: None if topic.endswith(ends) else raw


@pytest.mark.parametrize(("ends", "acted"), [((), 12), (("/vehicle_control_cmd",), 12), (("/truth/state",), 12)])
def test_the_control_or_the_experts_wish_will_do(tmp_path, ends, acted):
    bag = rewrite(copy_bag(tmp_path / "bag"), tmp_path / "b", without(*ends))
    shard = build(tmp_path, bag, Acting())
    assert shard.known_actions == acted and len(shard.rows) == 12


def test_without_either_a_network_that_learns_the_control_is_refused_and_another_is_not(tmp_path):
    bag = rewrite(copy_bag(tmp_path / "bag"), tmp_path / "b", without("/vehicle_control_cmd", "/truth/state"))
    with pytest.raises(BagError, match="vehicle_control_cmd in .*; got no such topic; .*autopilot sends no control"):
        build(tmp_path, bag, Acting())
    assert not list((tmp_path / "cache").rglob("*.npy"))
    shard = build(tmp_path, bag, Pictures())
    assert len(shard.rows) == 12 and shard.known_actions == 0
    with pytest.raises(BagError, match="vehicle_control_cmd"):  # the same samples lie in the cache by now
        build(tmp_path, bag, type("Acting", (Acting,), {})())


def test_a_control_that_never_comes_with_a_sample_is_refused(tmp_path):
    """The topic is there, and its first second alone has messages, of which no sample is made."""
    def change(topic, when, raw):
        early = when < 1_040_000_000
        return None if topic == "/truth/state" or (topic.endswith("/vehicle_control_cmd") and not early) else (
            None if topic.endswith("/front/image") and early else raw)

    bag = rewrite(copy_bag(tmp_path / "bag"), tmp_path / "b", change)
    with pytest.raises(BagError, match="vehicle_control_cmd, or the expert's wish .* at the samples of .*; got neither in 11 samples"):
        build(tmp_path, bag, Acting())


def test_a_topic_of_another_clock_is_refused_with_its_spans_and_an_unneeded_one_is_not(tmp_path):
    bag = rewrite(copy_bag(tmp_path / "bag"), tmp_path / "b", moved("/vehicle_control_cmd", lambda stamp: stamp + 5 * 10**9))
    shard = build(tmp_path, bag, Acting())  # the expert's wish is there
    assert any("vehicle_control_cmd is left out: stamps 5.0 s ahead" in note for note in shard.facts["notes"])
    bag = rewrite(copy_bag(tmp_path / "wishless"), tmp_path / "c", lambda topic, when, raw: None if topic == "/truth/state" else moved(
        "/vehicle_control_cmd", lambda stamp: stamp + 5 * 10**9)(topic, when, raw))
    with pytest.raises(BagError, match="vehicle_control_cmd in .*; got .*stamps 5.0 s ahead of those of /carla/ego_vehicle/odometry"):
        build(tmp_path, bag, Acting())


@pytest.mark.parametrize(("declared", "named"), [
    ({"offsets_ns": (-1, 1)}, "offsets_ns with 0"), ({"horizon_s": 1.2}, "whole steps"), ({"truth": ("weather",)}, "truth of"),
    ({"labels": {"left": ("depth",)}}, "depth of left"), ({"labels": {"front": ("flow",)}}, "flow of front")])
def test_declarations_that_make_no_sense_are_refused(tmp_path, declared, named):
    with pytest.raises(ConfigError, match=named):
        build_shards([], tmp_path, type("Wrong", (Pictures,), declared)(), progress=False)


def test_arrays_that_change_their_shape_are_refused_and_leave_nothing(tmp_path):
    class Growing(Picky):
        def record(self, frames, truth, tick):
            self.seen += 1
            return {MAIN: np.zeros((8, 8 + self.seen // 5, 3), np.uint8)}

    with pytest.raises(SensorError, match="always the same names, shapes and types from Growing"):
        build(tmp_path, write_bag(tmp_path / "bag"), Growing())
    assert not list((tmp_path / "cache").iterdir())


def actors(tick):
    """Car 7 drives along x at 2 m/s throughout; car 9 is there from 1 s to 2 s, and again from 3 s on."""
    rows = np.zeros(2 if 20 <= tick < 41 or tick >= 60 else 1, ACTOR_DTYPE)
    rows["id"], rows["x"], rows["vx"] = (7, 9)[:len(rows)], 2.0 * tick * 0.05, 2.0
    rows["y"] = (3.0, -3.0)[:len(rows)]
    return rows


class Agents(Pictures):
    """Where car 9 is in one second, and how many points of lines there are: from the whole drive."""

    truth = ("tracks", "lines")

    def per_tick_targets(self, drive):
        later = drive.tracks.states(np.array([9]), drive.stamps_ns + 10**9)[0]
        return {"later": later.astype(np.float32), "points": np.full(len(drive.stamps_ns), len(drive.lines)),
                "lazy": Lazy(drive.stamps_ns)}

    def record(self, frames, truth, tick):
        return {**super().record(frames, truth, tick), "later": tick["later"], "points": np.array(tick["points"]),
                "lazy": np.array(tick["lazy"])}


class Lazy:
    def __init__(self, stamps):
        self.stamps, self.asked = stamps, []

    def __getitem__(self, row):
        self.asked.append(row)
        return self.stamps[row]


def test_tracks_and_lines_reach_the_targets_of_each_tick(tmp_path):
    lines = np.zeros(5, MAP_LINE_DTYPE)
    shard = build(tmp_path, write_bag(tmp_path / "bag", seconds=6.0, every=2, actors=actors, lines=lines), Agents())
    t = (shard.rows["stamp"] - 1_000_000_000) / 1e9
    known = np.isfinite(shard.fields["later"][:, 0])
    there = ((t >= 0.0 - 1e-6) & (t <= 1.0 + 1e-6)) | (t >= 2.0 - 1e-6)
    np.testing.assert_array_equal(known, there)
    np.testing.assert_allclose(shard.fields["later"][known, 0], 2.0 * (t[known] + 1.0), atol=1e-4)
    assert (shard.fields["points"] == 5).all()
    np.testing.assert_array_equal(shard.fields["lazy"], shard.rows["stamp"])


def test_a_recording_longer_than_a_chunk_is_written_in_order(tmp_path):
    shard = build(tmp_path, write_bag(tmp_path / "bag", seconds=6.0, every=2), Pictures())
    assert len(shard.rows) == 40 > 2 * CHUNK and (np.diff(shard.rows["stamp"]) == TENTH_NS).all()
    assert len(shard.images) == len(shard.grids) == 40


def test_networks_with_equal_declarations_do_not_read_each_others_samples(tmp_path):
    class Dark(Triplets):
        def record(self, frames, truth, tick):
            return {name: array // 2 for name, array in super().record(frames, truth, tick).items()}

    class Truthful(Triplets):
        truth = ("objects",)

    bag = write_bag(tmp_path / "bag", every=2)
    shards = [build(tmp_path, bag, maker()) for maker in (Triplets, Dark, Truthful)]
    assert len({shard.folder for shard in shards}) == 3
    assert (shards[1].images[:] == shards[0].images[:] // 2).all() and build(tmp_path, bag, Triplets()).folder == shards[0].folder


def test_shards_keep_the_names_and_bytes_of_651a085(tmp_path):
    """Hashes of what 651a085 wrote of the same recording; its name there is a hash of format, content, camera and key."""
    bag = write_bag(tmp_path / "bag", rate=0.2, disturbed=(65, 75), storage="sqlite3")
    shard = build(tmp_path, bag, Pictures())
    name = hashlib.sha256(json.dumps([6, shard.facts["content"], "front", {"as": "recorded"}], sort_keys=True).encode())
    assert shard.folder.name == name.hexdigest()[:20]
    facts = json.loads((shard.folder / "facts.json").read_text())
    facts.pop("content")  # of the file, which holds the writer's version
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in sorted(shard.folder.glob("*.npy"))}
    found["facts"] = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    assert found == BASE


BASE = {"grids.npy": "4b2e28f29d1e812f", "images.npy": "bdd49ebb949335d6", "rows.npy": "fde87161b328c014", "facts": "95be7c912ef25576"}


class Numbered(SampleMaker):
    """Samples that know the tick they are of; every sixth is refused."""

    cameras, key = ("front",), {}
    horizon_s = 0.0
    past = (("tick", 3),)

    def begin(self):
        self.tick = -1

    def record(self, frames, truth, tick):
        self.tick += 1
        return None if self.tick % 6 == 5 else {MAIN: frames[0].images["front"], "tick": np.array([self.tick])}


def test_a_batch_holds_the_samples_before_where_they_are_asked_for(tmp_path):
    """Oldest first; what lies before the recording or beyond a gap is the first sample after it."""
    shards = build_shards([write_bag(tmp_path / f"bag{seed}", seconds=4.0, every=4, seed=seed) for seed in range(2)], tmp_path / "cache",
                          Numbered(), progress=False)
    samples = Samples(shards)
    ticks = samples.fetch(np.arange(len(samples))).arrays["tick"][..., 0]
    first = [0, 0, 0, 0, 0, 6, 6, 6, 6, 6, 12, 12, 12, 12, 12, 18, 18]
    now = [number for number in range(20) if number % 6 != 5]
    wanted = [[max(tick - back, begin) for back in (3, 2, 1, 0)] for tick, begin in zip(now, first, strict=True)]
    assert ticks.tolist() == 2 * wanted
    assert samples.fetch(np.array([3])).images.shape[0] == 1, "an array that is not named stays as it is"
    np.testing.assert_array_equal(shards[0].arrays(slice(4, 6))["tick"][..., 0], wanted[4:6])
