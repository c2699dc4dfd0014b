"""What several training processes agree on, and which device and precision each takes."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from support.processes import run_by_two

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.distill.parallel import autocast, join
from kd_planner_ros.runtime import engines

_HELD = """
import os
import time
from datetime import timedelta
from pathlib import Path

from kd_planner_ros.distill import parallel

parallel.PATIENCE, parallel.HOLD_S = timedelta(seconds=8), 1.0
met = Path(FOLDER)
(met / os.environ["RANK"]).touch()
while not all((met / name).exists() for name in "01"):  # importing takes longer than their patience
    time.sleep(0.01)
group = parallel.join("cpu")
said = group.share(0.1, 1.0) if group.leads else group.share(0.0, 0.0)
if group.leads:
    with group.hold():
        time.sleep(10.0)
print(said, group.share(float(group.leads)), flush=True)
group.close()
"""


_BUILT = """
import os
import time
from datetime import timedelta
from pathlib import Path

from kd_planner_ros.distill import parallel

parallel.PATIENCE, parallel.HOLD_S = timedelta(seconds=8), 1.0
met, built = Path(FOLDER), Path(FOLDER) / "built"
(met / os.environ["RANK"]).touch()
while not all((met / name).exists() for name in "01"):
    time.sleep(0.01)
group = parallel.join("cpu")


def build():
    if built.exists():
        return "found"
    time.sleep(10.0)
    built.touch()
    return "built"


print("built found".split()[group.rank] == group.leader_first(build), group.share(float(group.leads)), flush=True)
group.close()
"""


_PARTS = """
from pathlib import Path

from kd_planner_ros.core.errors import BagError
from kd_planner_ros.distill import parallel

group, folder = parallel.join("cpu"), Path(FOLDER)


def part():
    for name in group.part_of("abc"):
        (folder / name).write_text(str(group.rank))
    if not group.leads:
        raise BagError("a whole recording", "half of one", "record it again")


def work():
    return [(folder / name).read_text() for name in "abc"]


print(group.leader_first(work, part), flush=True)
group.close()
"""


@pytest.mark.slow
def test_each_process_does_its_part_and_the_leader_meets_what_was_refused(tmp_path):
    assert run_by_two(_PARTS.replace("FOLDER", repr(str(tmp_path))), tmp_path) == ["['0', '1', '0']"] * 2


@pytest.mark.slow
def test_the_others_wait_for_the_leader_however_long_it_holds_them_or_builds(tmp_path):
    """Both at the same time: the processes sleep for ten seconds, longer than their patience."""
    def ran(script, name):
        folder = tmp_path / name
        folder.mkdir()
        return run_by_two(script.replace("FOLDER", repr(str(folder))), folder)

    with ThreadPoolExecutor(2) as pairs:
        held, built = pairs.submit(ran, _HELD, "held"), pairs.submit(ran, _BUILT, "built")
        assert held.result() == ["[0.1, 1.0] [1.0]"] * 2
        assert built.result() == ["True [1.0]"] * 2


def test_alone_nobody_is_told_anything():
    group = join("cpu")
    with group.hold():
        assert group.share(0.5, 2.0) == [0.5, 2.0]
    assert group.leader_first(lambda: "built", lambda: pytest.fail("one process does all at once")) == "built"
    assert group.part_of("abc") == ["a", "b", "c"]


@pytest.mark.parametrize("device", ["cuda:7", "toaster", "cpu:0", "cuda:", "cuda:x"])
def test_a_device_that_is_not_there_is_refused(monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match="device"):
        join(device)


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name, value in {"RANK": "2", "WORLD_SIZE": "3", "LOCAL_RANK": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="cuda:2.*2 visible"):
        join("cuda")


def test_precision_is_what_the_engines_find_fast(monkeypatch):
    for capability, fast in (((7, 5), False), ((8, 0), True), ((9, 0), True)):
        asked = []
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: asked.append(device) or capability)
        assert engines.fast_bfloat16(torch.device("cuda:1")) is fast and asked == [torch.device("cuda:1")]
    for fast in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: fast)
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
        with autocast("auto", torch.device("cpu")):
            assert torch.is_autocast_enabled("cpu") is fast
