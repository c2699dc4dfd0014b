"""Every writer of whole files on a full disk: the old file stays, nothing else is left, and the error names the file and the cause."""

import resource
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from kd_planner_ros.core.errors import sentence_of
from kd_planner_ros.core.files import whole_file, write_bytes, write_text, writing

ROOM = 2000


@contextmanager
def full_disk():
    """No file of this process may grow above ``ROOM`` bytes: what a full disk is, for those who are not root."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def noise(*shape):
    return np.random.default_rng(0).integers(0, 255, shape, np.uint8)


def save_checkpoint(folder):
    torch = pytest.importorskip("torch", reason="torch is not installed: use the pinned environment ('make setup')")
    from kd_planner_ros.distill.checkpoint import save

    save(folder, {"x": torch.zeros(5000)})
    return "last.pt"


def save_weights(folder):
    pytest.importorskip("torch", reason="torch is not installed: use the pinned environment ('make setup')")
    from kd_planner_ros.networks.tcp.config import TCPConfig
    from kd_planner_ros.networks.tcp.model import build_model
    from kd_planner_ros.runtime.store import save_model

    config = TCPConfig(size="3.1m", input_height=32, input_width=64, camera_width=64, camera_height=32)
    save_model(folder, "tcp", config, build_model(config).state_dict())
    return "weights.safetensors"


def save_strip(folder):
    from kd_planner_ros.imaging.dense_strip import write_strip

    write_strip(folder / "strip.png", [[("a", noise(64, 64, 3))]])
    return "strip.png"


def save_statistics(folder):
    from kd_planner_ros.evaluation.score import RouteRecord, write_statistics

    records = [RouteRecord(str(n), n, "Completed", 100.0, 1.0, {}, 50.0, 50.0, 10.0, 5.0) for n in range(20)]
    write_statistics(folder / "statistics.json", records, 20, [])
    return "statistics.json"


def save_batch(folder):
    with whole_file(folder / "batch.npz") as part:
        np.savez_compressed(part, x=noise(9000))
    return "batch.npz"


def save_array(folder):
    with whole_file(folder / "a.npy") as part:
        np.save(part, noise(9000))
    return "a.npy"


def save_text(folder):
    write_text(folder / "page.html", "x" * 9000)
    return "page.html"


WRITERS = [save_checkpoint, save_weights, save_strip, save_statistics, save_batch, save_array, save_text]


@pytest.mark.parametrize("write", WRITERS)
def test_a_full_disk_keeps_what_is_whole(tmp_path, write):
    name = write(tmp_path)
    whole = (tmp_path / name).read_bytes()
    assert len(whole) > ROOM
    before = sorted(path.name for path in tmp_path.iterdir())
    with full_disk(), pytest.raises(OSError) as failed:
        write(tmp_path)
    assert (tmp_path / name).read_bytes() == whole and sorted(path.name for path in tmp_path.iterdir()) == before
    said = sentence_of(failed.value)
    assert said.startswith(f"expected room to write {tmp_path}") and "File too large" in said and name in said


@pytest.mark.parametrize("write", WRITERS)
def test_a_full_disk_leaves_no_half_file(tmp_path, write):
    with full_disk(), pytest.raises(OSError):
        write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_rows_name_their_file(tmp_path):
    from kd_planner_ros.samples.arrays import ArrayWriter

    with full_disk(), pytest.raises(OSError) as failed, ArrayWriter(tmp_path / "rows.npy", (100,), np.dtype(np.uint8)) as rows:
        for _ in range(400):
            rows.append(noise(1, 100))
    assert failed.value.filename == str(tmp_path / "rows.npy") and "File too large" in str(failed.value)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_recording_on_a_full_disk_stays_partial(tmp_path, storage):
    from support.bags import RIG, TICK_NS

    from kd_planner_ros.bags.writer import BagWriter

    with full_disk(), pytest.raises(OSError) as failed, BagWriter(tmp_path / "drive", RIG, {}, storage=storage) as bag:
        for n in range(3000):
            bag.put("image", noise(32, 64, 3), n * TICK_NS, "front")
    assert [path.name for path in tmp_path.iterdir()] == ["drive.partial"]
    assert str(tmp_path / "drive.partial") in sentence_of(failed.value) and "internal" not in sentence_of(failed.value)


def test_an_error_that_was_handled_before_is_not_taken_for_the_cause(tmp_path):
    try:
        (tmp_path / "none").read_bytes()
    except FileNotFoundError:
        with full_disk(), pytest.raises(OSError, match="File too large"):
            write_bytes(tmp_path / "x", bytes(9000))


def test_other_errors_pass(tmp_path):
    with pytest.raises(ValueError), writing(tmp_path / "x"):
        raise ValueError("no file")
    with pytest.raises(FileNotFoundError) as lost, writing(tmp_path / "x"):
        (tmp_path / "y").read_bytes()
    assert lost.value.filename == str(tmp_path / "y")


def test_a_file_is_written_with_its_suffix_and_replaced(tmp_path):
    for text in ("old", "new"):
        with whole_file(tmp_path / "a.txt", durable=True) as part:
            assert part.suffix == ".txt" and part.parent == tmp_path and part.name != "a.txt"
            part.write_text(text)
        assert (tmp_path / "a.txt").read_text() == text
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("place", [".", "folder", "/"])
def test_a_folder_is_no_file(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError) as raised:
        write_text(Path(place), "text")
    assert "got Is a directory" in sentence_of(raised.value) and ".part" not in sentence_of(raised.value)
    assert list((tmp_path / "folder").iterdir()) == []
