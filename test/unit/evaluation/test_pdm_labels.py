"""Scores of several trainings pooled: who belongs together, intervals over seeds and scenes, and the table."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from support.networks import write_card

from kd_planner_ros.core.card import read_card
from kd_planner_ros.evaluation.pdm.blocks import TOTALS, Blocks
from kd_planner_ros.evaluation.pdm.labels import Label, find_labels, pool, table

KEYS = [("a", round(second * 1e9)) for second in range(40)]
BASE, FULL = (Label(name, {seed: f"{name}_{seed}" for seed in range(3)}) for name in ("base", "full"))


def scores(values) -> dict:
    """One value for each scene, or one for all, as every total."""
    return {key: dict.fromkeys(TOTALS, float(value)) for key, value in zip(KEYS, np.broadcast_to(values, len(KEYS)), strict=True)}


def rows(**by_label) -> dict:
    """Scores of the models NAME_0, NAME_1 ... of each label."""
    return {f"{name}_{seed}": scores(value) for name, values in by_label.items() for seed, value in enumerate(values)}


def pooled(found, labels=(BASE, FULL), baseline="base_1", block_s=10.0):
    return pool(labels, found, Blocks(KEYS, block_s, 4000, 0), baseline, 0)


# --- intervals -------------------------------------------------------------------------------------------------------

def test_an_interval_holds_how_trainings_differ():
    """Scenes alike, so blocks alone would give a point. Of 27 draws of three seeds one has the first alone: 3.7 %."""
    found = pooled(rows(base=(0.5, 0.5, 0.5), full=(0.5, 0.53, 0.56)))
    over = found["rows"]["full"]["over_baseline"]["PDMS"]
    assert over["by_seed"] == pytest.approx({"0": 0.0, "1": 0.03, "2": 0.06}) and over["std"] == pytest.approx(0.03)
    assert (over["mean"], over["low"], over["high"]) == pytest.approx((0.03, 0.0, 0.06))
    own = found["rows"]["full"]["EPDMS"]
    assert (own["mean"], own["low"], own["high"]) == pytest.approx((0.53, 0.5, 0.56))
    assert found["baseline"] == "base" and "over_baseline" not in found["rows"]["base"]


def test_an_interval_holds_how_scenes_differ():
    """Four blocks of ten, two with 0 and two with 1, as of one planner: a mean of 0 and of 1 have 1/16 each."""
    lucky = [0.0] * 20 + [1.0] * 20
    found = pooled(rows(base=(0.0, 0.0, 0.0), full=(lucky, lucky, lucky)))["rows"]["full"]
    assert (found["PDMS"]["mean"], found["PDMS"]["low"], found["PDMS"]["high"]) == pytest.approx((0.5, 0.0, 1.0))
    assert found["over_baseline"]["PDMS"]["low"] == 0.0 and found["PDMS"]["std"] == 0.0


def test_what_both_labels_share_leaves_the_difference():
    """Seed 2 and the second half of the scenes are better for both; the difference is 0.1 everywhere."""
    easy = np.array([0.2] * 20 + [0.6] * 20)
    base = [easy + shift for shift in (0.0, 0.05, 0.2)]
    found = pooled(rows(base=base, full=[one + 0.1 for one in base]))["rows"]
    over = found["full"]["over_baseline"]["EPDMS"]
    assert (over["mean"], over["low"], over["high"]) == pytest.approx((0.1, 0.1, 0.1))
    assert found["full"]["EPDMS"]["high"] - found["full"]["EPDMS"]["low"] > 0.3


def test_trainings_of_other_seeds_are_no_pairs():
    others = Label("full", {seed + 3: f"full_{seed}" for seed in range(3)})
    found = pooled(rows(base=(0.4, 0.5, 0.6), full=(0.5, 0.6, 0.7)), (BASE, others))["rows"]["full"]["over_baseline"]["PDMS"]
    assert found["mean"] == pytest.approx(0.1) and found["high"] - found["low"] > 0.1
    assert found["by_seed"] == pytest.approx({"3": 0.0, "4": 0.1, "5": 0.2}), "to the mean over the others"


def test_the_baseline_is_a_label_or_a_planner():
    found = rows(base=(0.5, 0.5, 0.5), full=(0.6, 0.6, 0.6)) | {"constant_velocity": scores(0.2), "base_0 + constant-speed": scores(0.1)}
    for baseline, name, gain in (("base_2", "base", 0.1), ("base", "base", 0.1), ("constant_velocity", "constant_velocity", 0.4)):
        one = pooled(found, baseline=baseline)
        assert one["baseline"] == name and one["rows"]["full"]["over_baseline"]["PDMS"]["mean"] == pytest.approx(gain)
    none = pooled(found, baseline="nobody")
    assert none["baseline"] == "" and all("over_baseline" not in row for row in none["rows"].values())


def test_a_label_of_one_scored_model_says_so():
    found = rows(base=(0.5, 0.5, 0.5), full=(0.6, 0.6, 0.6))
    del found["full_0"], found["full_2"]
    one = pooled(found)
    assert set(one["rows"]) == {"base"} and one["left_out"] == {"full": "of its models only full_1 is in the table"}
    assert pooled({name: row for name, row in found.items() if "full" not in name})["left_out"] == {}, "'not_scored' names them"


def test_plans_that_go_on_have_labels_of_their_own():
    longer = {f"{name} + constant-speed": row for name, row in rows(full=(0.6, 0.6, 0.6)).items()}
    one = pooled(rows(base=(0.5, 0.5, 0.5)) | longer)
    assert one["rows"]["full + constant-speed"]["over_baseline"]["PDMS"]["mean"] == pytest.approx(0.1)


def test_the_same_seed_gives_the_same_intervals():
    found = rows(base=(0.4, 0.5, 0.6), full=np.random.default_rng(0).random((3, len(KEYS))))
    assert pooled(found) == pooled(found)


# --- who belongs together --------------------------------------------------------------------------------------------

def labels_in(folder):
    return find_labels({one.name: read_card(one) for one in sorted(folder.iterdir())})


def test_models_that_differ_in_the_seed_alone_are_a_label(tmp_path):
    for seed in range(3):
        write_card(tmp_path / f"base_{seed}", seed)
        write_card(tmp_path / f"full_{seed}", seed, {"method": "plankd", "teacher": "big"})
    write_card(tmp_path / "longer", 7, {"batch": 99})
    found, doubled = labels_in(tmp_path)
    assert found == [BASE, FULL] and not doubled


def test_other_recordings_another_start_or_another_length_is_another_label(tmp_path):
    first = read_card(write_card(tmp_path / "m_0", 0, maps=["Town01"]))
    facts = first.training
    others = {"m_1": {"data": {"sha256": "x"}}, "m_2": {"start": {"sha256": "x"}}, "m_3": {"teacher": {"sha256": "x"}},
              "m_4": {"planned": {"epochs": 2.0}}}
    cards = {"m_0": first} | {name: replace(first, training={**facts, "seed": 1, **more}) for name, more in others.items()}
    assert find_labels(cards) == ([], {})
    cards["m_5"] = replace(first, training={**facts, "recipe": {**facts["recipe"], "seed": 1}, "seed": 1})
    assert find_labels(cards)[0] == [Label("m", {0: "m_0", 1: "m_5"})]


def test_a_model_that_does_not_say_how_it_was_trained_is_in_no_label(tmp_path):
    first = read_card(write_card(tmp_path / "m", 0))
    assert find_labels({name: replace(first, training={"seed": seed}) for seed, name in enumerate("ab")}) == ([], {})


def test_a_seed_counts_once(tmp_path):
    for name, seed in (("a", 0), ("b", 1), ("copy", 0)):
        write_card(tmp_path / name, seed)
    found, doubled = labels_in(tmp_path)
    assert found == [Label("a", {0: "a", 1: "b"})] and doubled == {"copy": "its recipe and seed are those of a"}


def test_labels_of_one_name_are_told_apart(tmp_path):
    for name, seed, batch in (("m_0", 0, 8), ("m_1", 1, 8), ("m_2", 0, 9), ("m_3", 1, 9)):
        write_card(tmp_path / name, seed, {"batch": batch})
    assert [one.name for one in labels_in(tmp_path)[0]] == ["m_0 + m_1", "m_2 + m_3"]


# --- the table -------------------------------------------------------------------------------------------------------

def test_the_table_says_by_how_much_and_how_surely():
    found = pooled(rows(base=(0.5, 0.5, 0.5), full=(0.5, 0.53, 0.56)))
    lines = table("2", {"scenes": 40, "labels": json.loads(json.dumps(found))})
    assert lines[1].startswith("Over 2 s by label, 40 scenes") and "| PDMS over base | EPDMS over base |" in lines[3]
    assert lines[-1] == ("| full | 0, 1, 2 | 53.0 (50.0 to 56.0) | 53.0 (50.0 to 56.0) | 53.0 (50.0 to 56.0) | +3.0 (+0.0 to +6.0) | "
                         "+3.0 (+0.0 to +6.0) | 50.0, 53.0, 56.0 |")
    assert lines[-2].split("|")[6:8] == [" - ", " - "] and table("2", {"scenes": 40}) == []
