"""Every network presents itself, so that no table or drawing leaves one out."""

from __future__ import annotations

import json

import pytest
from support.plugins import distribution

from kd_planner_ros.core.plugins import NETWORKS
from kd_planner_ros.networks.describe import describe, size_of
from kd_planner_ros.networks.registry import find_network, folders, is_weightless
from kd_planner_ros.runtime.paths import models_folder

LEARNED = [name for name in folders() if not is_weightless(name)]


@pytest.mark.parametrize("name", LEARNED)
def test_a_network_of_this_package_describes_itself(name):
    found, network = describe(name), find_network(name)
    assert found.title != name, f"networks/{name}/describe.py says no title"
    assert set(found.pictures) <= set(network.inputs)
    for config in network.configurations:
        published = found.published(config)
        assert not published or "parameters" in published
        assert isinstance(size_of(config), str)


def test_the_held_out_figure_is_on_the_shipped_cards():
    cards = [json.loads(path.read_text()) for path in sorted(models_folder().glob("*/card.json"))]
    judged = [(card["scores"]["validation"], describe(card["network"]).held_out) for card in cards if describe(card["network"]).held_out]
    assert judged
    for scores, name in judged:   # a horizon of its own, V2X-VLM's 4.5 s: there the kept velocity is the scale
        assert 0.0 < scores[name] < scores.get("constant_velocity_m", 3.0)


def test_published_figures_are_the_papers():
    assert describe("tcp").published(find_network("tcp").config({"size": "3.1m"})) == {
        "parameters": 3_107_417, "paper_gmacs": 2.67, "paper_ms": 7.2}
    assert list(describe("interfuser").published(find_network("interfuser").config({"size": "3.8m"}))) == [
        "parameters", "paper_gmacs", "paper_gflops", "paper_ms"]


def test_a_network_without_a_description_stands_under_its_own_name(tmp_path, monkeypatch):
    distribution(monkeypatch, tmp_path, "stranger", {NETWORKS: {"tiny": "stranger_n.tiny"}}, {"stranger_n/tiny/model.py": ""})
    found = describe("tiny")
    assert (found.title, found.held_out, found.pictures, found.published(None)) == ("tiny", "", (), {})
