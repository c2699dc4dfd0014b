"""Entry points of other distributions: found, loaded, named where they are broken or share a name."""

import pytest
from support.plugins import distribution

from kd_planner_ros.core.errors import PlannerError, PluginError
from kd_planner_ros.core.plugins import plugins

GROUP = "kd_planner_ros.test_extensions"


def test_a_plugin_is_found_by_its_name_and_loaded_when_asked(tmp_path, monkeypatch):
    distribution(monkeypatch, tmp_path, "pl-good", {GROUP: {"one": "pl_good.one", "two": "pl_good.one:VALUE"}},
                 {"pl_good/one.py": "VALUE = 7\n"})
    found = plugins(GROUP)
    assert list(found) == ["one", "two"]
    assert found["one"].load().VALUE == 7 and found["two"].load() == 7
    assert found["one"].distribution == "pl-good"
    assert plugins("kd_planner_ros.nothing_here") == {}


def test_a_broken_plugin_is_named_with_its_distribution_and_the_rest_works(tmp_path, monkeypatch):
    distribution(monkeypatch, tmp_path, "pl-bad", {GROUP: {"bad": "pl_bad.one", "gone": "pl_bad.two", "exits": "pl_bad.three"}},
                 {"pl_bad/one.py": "1 / 0\n", "pl_bad/three.py": "import no_such_package_at_all\n"})
    distribution(monkeypatch, tmp_path, "pl-fine", {GROUP: {"fine": "pl_fine.one"}}, {"pl_fine/one.py": ""})
    found = plugins(GROUP)
    for name, words in (("bad", "ZeroDivisionError"), ("gone", "pl_bad.two"), ("exits", "no_such_package_at_all")):
        with pytest.raises(PluginError, match=f"'{name}'.*distribution 'pl-bad'.*{words}.*uninstall pl-bad"):
            found[name].load()
    assert found["fine"].load().__name__ == "pl_fine.one"


def test_two_distributions_of_one_name_are_both_named(tmp_path, monkeypatch):
    for one in ("pl-first", "pl-second"):
        distribution(monkeypatch, tmp_path, one, {GROUP: {"same": f"{one.replace('-', '_')}.m", one: f"{one.replace('-', '_')}.m"}},
                     {f"{one.replace('-', '_')}/m.py": ""})
    found = plugins(GROUP)
    with pytest.raises(PluginError, match="one distribution.*pl-first and pl-second.*rename") as caught:
        found["same"].load()
    assert isinstance(caught.value, PlannerError) and "\n" not in str(caught.value)
    assert found["pl-first"].load() and found["pl-second"].load()


def test_a_plugin_with_a_built_in_name_is_refused(tmp_path, monkeypatch):
    distribution(monkeypatch, tmp_path, "pl-shadow", {GROUP: {"tcp": "pl_shadow.m"}}, {"pl_shadow/m.py": ""})
    with pytest.raises(PluginError, match="kd_planner_ros and pl-shadow"):
        plugins(GROUP, builtin=("tcp",))["tcp"].load()
    assert plugins(GROUP)["tcp"].load()
