"""For tests of engines."""

import pytest


@pytest.fixture
def float32(monkeypatch):
    """Engines are compared in float32: with bfloat16, which torch takes on some processors, they differ by 0.005 m."""
    from kd_planner_ros.runtime import engines

    monkeypatch.setattr(engines, "fast_bfloat16", lambda device: False)


@pytest.fixture
def own_cache(tmp_path_factory, monkeypatch):
    """Compiled graphs are kept in a folder of the test run."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
