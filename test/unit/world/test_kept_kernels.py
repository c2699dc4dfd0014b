"""The world's state says that kernels are compiled, where none is kept."""

import numba

from kd_planner_ros.ros.specs.world import WorldParams
from kd_planner_ros.ros.world_setup import loading_sentence
from kd_planner_ros.world.render import jit


def test_the_first_start_says_that_it_compiles(tmp_path, monkeypatch):
    assert str(numba.config.CACHE_DIR).endswith(f"kernels-{jit.sources_hash()}")
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "kernels"))
    assert loading_sentence(WorldParams(map="default")) == "loading map default, and compiling the renderer, once"
    (tmp_path / "kernels" / "render_1").mkdir(parents=True)
    assert not jit.has_kernels(), "an empty folder holds none"
    (tmp_path / "kernels" / "render_1" / "visible.hits-58.py311.1.nbc").write_bytes(b"")
    assert loading_sentence(WorldParams(map="default")) == "loading map default"
