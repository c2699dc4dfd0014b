"""Sequences in order: every slot walks on, resets say where a sequence begins, and a resumed run reads what it would have read."""

from types import SimpleNamespace

import numpy as np
import pytest

from kd_planner_ros.core.errors import BagError, ConfigError
from kd_planner_ros.networks.samples import Random, Sequences
from kd_planner_ros.samples.rows import begins
from kd_planner_ros.samples.sampler import EpochSampler, SequenceSampler, build_sampler, pieces


def samples_of(*recordings):
    """Samples whose recordings have the stamps given, in tenths of a second."""
    shards = [SimpleNamespace(rows={"stamp": np.array(stamps, np.int64) * 100_000_000}) for stamps in recordings]
    return SimpleNamespace(shards=shards)


def test_pieces_end_with_a_recording_at_a_gap_and_at_the_length():
    samples = samples_of([0, 1, 2, 3, 7, 8], [0, 5, 10])
    assert [one.tolist() for one in pieces(samples)] == [[0, 1, 2, 3], [4, 5], [6, 7, 8]]
    assert [one.tolist() for one in pieces(samples, Sequences(3))] == [[0, 1, 2], [3], [4, 5], [6, 7, 8]]


def test_a_period_gives_interleaved_sequences_whatever_the_rate():
    samples = samples_of([0, 1, 2, 3, 4, 5, 6, 10, 11], [0, 5, 10, 15])
    found = [one.tolist() for one in pieces(samples, Sequences(2, 0.3))]
    assert found == [[0, 3], [6], [1, 4], [2, 5], [7], [8], [9, 10], [11, 12]], "0.1 s apart in the first recording, 0.5 s in the second"
    with pytest.raises(ConfigError, match="period"):
        Sequences(2, -0.5)


def test_samples_that_cannot_be_used_end_a_sequence_and_are_not_read():
    samples, usable = samples_of([0, 1, 2, 3, 4], [0, 5, 10]), np.array([True, True, False, True, True, False, True, True])
    assert [one.tolist() for one in pieces(samples, Sequences(), usable)] == [[0, 1], [3, 4], [6, 7]]
    sampler = build_sampler(Sequences(), samples, np.ones(8), 2, 0, usable)
    assert sampler.steps_per_epoch == 3 and {*np.concatenate([sampler.step(step) for step in range(3)]).tolist()} == {0, 1, 3, 4, 6, 7}
    with pytest.raises(BagError, match="samples to train on"):
        build_sampler(Sequences(), samples, np.ones(8), 2, 0, np.zeros(8, bool))


@pytest.mark.parametrize("seed", range(12))
def test_slots_walk_in_order_and_a_resumed_run_reads_the_same(seed):
    rng = np.random.default_rng(seed)
    lengths, batch = rng.integers(1, 30, rng.integers(1, 12)), int(rng.integers(1, 9))
    parts = np.split(np.arange(lengths.sum()), np.cumsum(lengths)[:-1])
    firsts = {int(part[0]) for part in parts}
    sampler = SequenceSampler(parts, batch, seed)
    steps = 2 * sampler.steps_per_epoch + 1
    index = np.array([sampler.step(step) for step in range(steps)])
    reset = np.array([sampler.resets(step) for step in range(steps)])
    for step in range(1, steps):
        goes_on = ~reset[step]
        np.testing.assert_array_equal(index[step][goes_on], index[step - 1][goes_on] + 1)
        assert not firsts & set(index[step][goes_on].tolist())  # nothing runs over into another recording
    assert reset[0].all() and reset[sampler.steps_per_epoch].all()
    assert set(index[:sampler.steps_per_epoch].reshape(-1).tolist()) == set(range(lengths.sum()))
    for step in rng.permutation(steps)[:6].tolist():  # in whatever order a new one is asked
        late = SequenceSampler(parts, batch, seed)
        np.testing.assert_array_equal(late.resets(step), reset[step])
        np.testing.assert_array_equal(late.step(step), index[step])


def test_epochs_and_seeds_differ():
    parts = np.split(np.arange(200), 20)
    one, other = SequenceSampler(parts, 4, 0), SequenceSampler(parts, 4, 1)
    epochs = [[one.step(step + epoch * one.steps_per_epoch).tolist() for step in range(50)] for epoch in range(2)]
    assert epochs[0] != epochs[1] and epochs[0] != [other.step(step).tolist() for step in range(50)]


def test_the_declaration_chooses_the_sampler():
    samples = samples_of([0, 1, 2, 3])
    random = build_sampler(Random(), samples, np.ones(4), 2, 0)
    assert isinstance(random, EpochSampler) and random.resets(3).tolist() == [True, True]
    ordered = build_sampler(Sequences(2), samples, np.ones(4), 1, 0)
    assert [bool(ordered.resets(step)[0]) for step in range(4)] == [True, False, True, False]
    with pytest.raises(BagError, match="longer than the network's horizon"):
        build_sampler(Sequences(), samples_of([]), np.ones(0), 1, 0)
    with pytest.raises(ConfigError, match="at least 0"):
        Sequences(-1)


@pytest.mark.parametrize("stamps, wanted", [
    ([], []), ([5], [1]), ([0, 10, 20, 30], [1, 0, 0, 0]), ([0, 10, 20, 50, 60], [1, 0, 0, 1, 0]),
    ([0, 10, 20, 30, 44, 60], [1, 0, 0, 0, 0, 1])])
def test_stretches_begin_behind_gaps(stamps, wanted):
    assert begins(np.array(stamps, np.int64)).astype(int).tolist() == wanted
