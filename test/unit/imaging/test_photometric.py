"""One draw for several pictures, and clean arrays beside augmented ones."""

import numpy as np
from support.bags import Pictures

from kd_planner_ros.imaging.photometric import augment, augment_alike
from kd_planner_ros.networks.samples import MAIN


def test_one_draw_serves_three_frames():
    frame = np.random.default_rng(0).integers(0, 255, (8, 32, 64, 3), dtype=np.uint8)
    stacks = [frame.copy() for _ in range(3)]
    rng = np.random.default_rng(5)
    augment_alike(stacks, 0.5, rng)
    assert (stacks[0] != frame).any((1, 2, 3)).sum() > 4
    assert all(np.array_equal(stack, stacks[0]) for stack in stacks[1:])
    alone = np.random.default_rng(5)
    augment_alike([frame.copy()], 0.5, alone)
    assert rng.random() == alone.random()  # the generator went on as after one picture


def test_neighbouring_frames_share_no_pattern_that_stands_still():
    """Even pictures stay even: noise or black spots at the same pixels of both would teach that nothing moves."""
    stacks = [np.full((64, 32, 64, 3), level, np.uint8) for level in (90, 160)]
    augment_alike(stacks, 0.9, np.random.default_rng(7))
    assert all(np.ptp(stack, axis=(1, 2)).max() == 0 for stack in stacks)
    assert np.ptp(augment(np.full((8, 32, 64, 3), 90, np.uint8), 0.9, np.random.default_rng(7)), axis=(1, 2)).max() > 0


def test_the_default_hook_leaves_the_clean_pictures_and_draws_anew_for_each():
    class Two(Pictures):
        pictures = (MAIN, "left")

    clean = np.random.default_rng(0).integers(0, 255, (4, 32, 64, 3), dtype=np.uint8)
    arrays = {MAIN: clean.copy(), "left": clean.copy(), "path": np.zeros(4)}
    seen = Two().augment(arrays, 0.9, np.random.default_rng(1))
    assert set(seen) == {MAIN, "left"} and not np.array_equal(seen[MAIN], seen["left"])
    assert all(np.array_equal(arrays[name], clean) for name in seen)
