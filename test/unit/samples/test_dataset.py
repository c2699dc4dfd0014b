"""Samples made from recordings: targets by hand, what is masked and left out, split, balance, order."""

import numpy as np
import pytest
from support.bags import SPEED, Pictures, write_bag

from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.samples.augment import augment, chance
from kd_planner_ros.samples.dataset import Samples, split, weights
from kd_planner_ros.samples.rows import SAMPLE_DTYPE
from kd_planner_ros.samples.sampler import EpochSampler
from kd_planner_ros.samples.shards import build_shards


def shards(tmp_path, bags, **kwargs):
    return build_shards(bags, tmp_path / "cache", Pictures(), progress=False, **kwargs)


def test_rows_are_what_the_car_did(tmp_path):
    bag = write_bag(tmp_path / "bag", rate=0.2)
    (shard,) = shards(tmp_path, [bag])
    rows = shard.rows
    assert len(rows) == 12 and shard.facts["left_out"]["end of route"] == 4  # 16 frames; the last 2 s have no future
    for step in range(4):  # on a circle: x = v / w sin(w t), y = v / w (1 - cos(w t)), left positive
        t = 0.5 * (step + 1)
        expected = [SPEED / 0.2 * np.sin(0.2 * t), SPEED / 0.2 * (1 - np.cos(0.2 * t))]
        np.testing.assert_allclose(rows["future"][:, step], [expected] * 12, atol=1e-3)
    np.testing.assert_allclose(rows["actions"], [[[0.3, 0.1]] * 5] * 12, atol=1e-6)
    np.testing.assert_allclose(rows["speed"], SPEED)
    np.testing.assert_allclose(rows["ahead_m"], 10.0, atol=0.01)
    assert (rows["states"] == 0).all() and (rows["command"] == 1).all()
    frames = [s.frame for s in open_bag(bag).samples()]
    np.testing.assert_allclose(rows["target"], [f.goal.target_point for f in frames[:12]], rtol=1e-6)
    np.testing.assert_array_equal(shard.images, [f.images["front"] for f in frames[:12]])


def test_disturbances_mask_the_future_and_keep_the_wish(tmp_path):
    (shard,) = shards(tmp_path, [write_bag(tmp_path / "bag", disturbed=(65, 75))])  # 3.25 s to 3.7 s
    masked = np.isnan(shard.rows["future"]).all((1, 2))
    assert masked.tolist() == [False] * 3 + [True] * 5 + [False] * 4  # 1.5 s (looks to 3.5 s) to 3.5 s
    assert np.isnan(shard.rows["actions"][masked][:, 1:]).all()
    np.testing.assert_allclose(shard.rows["actions"][:, 0], [[0.3, 0.1]] * 12, atol=1e-6)  # the wish, not the push


def test_cache_is_reused_and_follows_content(tmp_path):
    bag = write_bag(tmp_path / "bag")
    (first,) = shards(tmp_path, [bag])
    stamp = (first.folder / "rows.npy").stat().st_mtime_ns
    (again,) = shards(tmp_path, [bag])
    assert again.folder == first.folder and (again.folder / "rows.npy").stat().st_mtime_ns == stamp
    (other,) = shards(tmp_path, [write_bag(tmp_path / "other" / "bag", seed=1)])
    assert other.folder != first.folder


def test_missing_route_is_refused(tmp_path):
    with pytest.raises(BagError, match="global_plan.*target point"):
        shards(tmp_path, [write_bag(tmp_path / "bag", leave_out="route")])


def test_split_keeps_routes_whole(tmp_path):
    made = shards(tmp_path, [write_bag(tmp_path / f"b{i}", seconds=3.0, seed=i, labels=False) for i in range(8)])
    train, held = split(made, 0.25)
    assert len(train) + len(held) == 8 * 2 and len(held) % 2 == 0 and len(held) > 0
    train_again, _ = split(made[::-1], 0.25)
    assert train_again.data_hash == train.data_hash
    more = shards(tmp_path, [write_bag(tmp_path / "b8", seconds=3.0, seed=8, labels=False)])
    routes = {s.facts["route"] for s in held.shards}
    assert {s.facts["route"] for s in split(made + more, 0.25)[1].shards} - {"r8"} == routes
    alone, nothing = split(made[:1], 0.25)
    assert len(alone) == 2 and len(nothing) == 0


def rows_of(count, **values):
    rows = np.zeros(count, SAMPLE_DTYPE)
    for name, value in values.items():
        rows[name] = value
    return rows


def test_balance_thins_waiting_and_doubles_turns_and_starts():
    rows = np.concatenate([
        rows_of(100, speed=5.0, ahead_m=10.0, command=4), rows_of(10, speed=5.0, ahead_m=10.0, command=1),
        rows_of(5, speed=0.0, ahead_m=3.0, command=4), rows_of(400, speed=0.0, ahead_m=0.0, command=4)])
    drawn = weights(rows)
    assert drawn[0] == 1.0 and drawn[100] == 2.0 and drawn[110] == 2.0
    assert drawn[115:].sum() / drawn.sum() == pytest.approx(0.12, abs=1e-6)
    few = weights(rows[:116])
    assert few[115] == 1.0  # never more often than it is there


def test_sampler_is_a_pure_function_of_seed_and_step():
    drawn = np.array([1.0] * 50 + [2.0] * 10 + [0.25] * 40)
    sampler = EpochSampler(drawn, 8, seed=3)
    assert sampler.steps_per_epoch == 10
    late = EpochSampler(drawn, 8, seed=3)
    np.testing.assert_array_equal(late.step(17), [sampler.step(s) for s in range(18)][-1])
    epoch = np.concatenate([sampler.step(s) for s in range(10)])
    assert set(range(50)) - set(epoch.tolist()) == set() or len(sampler.order(0)) > 80
    assert not np.array_equal(sampler.order(0), sampler.order(1))
    assert not np.array_equal(sampler.order(0), EpochSampler(drawn, 8, seed=4).order(0))


def test_samples_fetch_across_shards(tmp_path):
    made = shards(tmp_path, [write_bag(tmp_path / f"b{i}", seconds=4.0, seed=i, labels=False) for i in range(2)])
    samples = Samples(made)
    batch = samples.fetch(np.array([5, 0, 4]))
    np.testing.assert_array_equal(batch.images[0], made[1].images[1])
    np.testing.assert_array_equal(batch.images[1], made[0].images[0])
    np.testing.assert_array_equal(batch.rows["stamp"], [made[1].rows["stamp"][1], made[0].rows["stamp"][0],
                                                        made[1].rows["stamp"][0]])


def test_augmentation_is_seeded_photometric_and_ramps():
    images = np.random.default_rng(0).integers(0, 255, (16, 32, 64, 3), dtype=np.uint8)
    same = augment(images.copy(), 0.0, np.random.default_rng(1))
    np.testing.assert_array_equal(same, images)
    one, two = (augment(images.copy(), 0.5, np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert one.dtype == np.uint8 and one.shape == images.shape and (one != images).any((1, 2, 3)).sum() > 12
    halves = np.zeros((1, 32, 64, 3), np.uint8)
    halves[:, :, 32:] = 200
    changed = augment(np.repeat(halves, 64, 0), 1.0, np.random.default_rng(2)).astype(float)
    assert (changed[:, :, 40:].mean((1, 2, 3)) > changed[:, :, :24].mean((1, 2, 3))).all()  # nothing moves sideways
    assert chance(0) == 0.05 and chance(32 * 10_000) == pytest.approx(0.55) and chance(10**9) == 1.0
