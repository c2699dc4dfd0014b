"""Bad input: exit status 2, one line that says what to do, no traceback."""

from __future__ import annotations

import json
import os
import queue
import signal
import time
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace

import pytest
from support.fuzz import ROUTES

from kd_planner_ros.cli import main as cli
from kd_planner_ros.core.errors import BagError, ConfigError
from kd_planner_ros.distill.config import TrainReport
from kd_planner_ros.distill.interrupts import interrupts
from kd_planner_ros.record.record import RecordConfig, RecordReport, _listen


def _refused(capsys, *words: str) -> str:
    try:
        status = cli.main(list(words))
    except SystemExit as stop:
        status = stop.code
    text = capsys.readouterr().err
    lines = [line for line in text.splitlines() if line.strip()]
    assert status == 2 and len(lines) == 1 and lines[0].startswith("kd-planner: error: "), text
    return lines[0]


def test_unknown_command(capsys):
    assert "drvie" in _refused(capsys, "drvie")


def test_no_command(capsys):
    assert "COMMAND" in _refused(capsys)


def test_unknown_planner(capsys, tmp_path):
    line = _refused(capsys, "evaluate", "closed-loop", "--planner", "nobody", "--out", str(tmp_path / "o"))
    assert "nobody" in line and "constant_velocity" in line
    assert not (tmp_path / "o").exists()


def test_missing_map(capsys, tmp_path):
    line = _refused(capsys, "evaluate", "closed-loop", "--planner", "expert", "--map", str(tmp_path / "no.net.xml"),
                    "--out", str(tmp_path / "o"))
    assert "no.net.xml" in line


def test_broken_map(capsys, tmp_path):
    (tmp_path / "bad.net.xml").write_text("<net")
    line = _refused(capsys, "evaluate", "closed-loop", "--planner", "expert", "--map", str(tmp_path / "bad.net.xml"),
                    "--out", str(tmp_path / "o"))
    assert "bad.net.xml" in line


def test_missing_route_file(capsys, tmp_path):
    assert "no.xml" in _refused(capsys, "evaluate", "closed-loop", "--planner", "expert", "--routes",
                                str(tmp_path / "no.xml"), "--out", str(tmp_path / "o"))


@pytest.mark.parametrize(("option", "value"), [("--seeds", "0"), ("--jobs", "-1"), ("--weather", "Snow"), ("--weather", "21"),
                                               ("--vehicles", "-3"), ("--route-ids", "none_such")])
def test_values_out_of_range(capsys, tmp_path, option, value):
    line = _refused(capsys, "evaluate", "closed-loop", "--planner", "constant_velocity", "--out", str(tmp_path / "o"),
                    option, value)
    assert value in line


def test_missing_bag(capsys, tmp_path):
    assert "no_bag" in _refused(capsys, "evaluate", "open-loop", "--bag", str(tmp_path / "no_bag"))


def test_replay_of_a_missing_bag(capsys, tmp_path):
    assert "no_bag" in _refused(capsys, "replay", "--bag", str(tmp_path / "no_bag"))


def test_unknown_network(capsys):
    assert "tcp" in _refused(capsys, "models", "params", "no_such")


def test_broken_card(capsys, tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "card.json").write_text("{")
    assert "card.json" in _refused(capsys, "models", "check", "--models-dir", str(tmp_path))
    assert cli.main(["models", "list", "--models-dir", str(tmp_path)]) == 0  # one broken card does not hide the others
    out = capsys.readouterr().out
    assert "m" in out and "broken: " in out and "card.json" in out and "constant_velocity" in out


def test_a_folder_that_cannot_be_written(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    line = _refused(capsys, "models", "sensors", "constant_velocity", "--out", str(tmp_path / "file" / "s.json"))
    assert "file" in line


def test_a_sentence_with_line_breaks_stays_one_line(capsys, monkeypatch):
    def refuse(_):
        raise ConfigError("one\nline", "two", "mend it")

    monkeypatch.setattr("kd_planner_ros.cli.models._list", refuse)
    assert "one line" in _refused(capsys, "models", "list")


def test_a_package_that_is_not_installed_is_named(capsys, monkeypatch):
    def need(_):
        import no_such_package.inner  # noqa: F401

    monkeypatch.setattr("kd_planner_ros.cli.models._list", need)
    assert "'no_such_package'" in _refused(capsys, "models", "list")


def test_ctrl_c_says_so(capsys, monkeypatch):
    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("kd_planner_ros.cli.models._list", stop)
    assert cli.main(["models", "list"]) == 130
    assert capsys.readouterr().err == "kd-planner: stopped\n", "nothing is kept of a list"


def test_a_result_that_is_not_finished_ends_with_the_status_of_ctrl_c(capsys, monkeypatch):
    report = TrainReport("m", 3, 0.1, 24, 0.1, 4.0, 20, 4, 3, False, {})
    monkeypatch.setattr("kd_planner_ros.distill.train.train", lambda config: report)
    assert cli.main(["train", "--bags", "b", "--json"]) == 130
    out, err = capsys.readouterr()
    assert json.loads(out.splitlines()[-1])["finished"] is False and err.count("\n") == 1 and "stopped" in err
    monkeypatch.setattr("kd_planner_ros.distill.train.train", lambda config: replace(report, finished=True))
    assert cli.main(["train", "--bags", "b"]) == 0


def test_an_interrupted_recording_ends_with_the_status_of_ctrl_c(capsys, monkeypatch, tmp_path):
    report = RecordReport(str(tmp_path), 1, 0, 10, 1.0, 10.0, 10.0, 1.0, 1, finished=False)
    monkeypatch.setattr("kd_planner_ros.record.record.record", lambda config: report)
    assert cli.main(["record", "--out", str(tmp_path)]) == 130 and "stopped" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "nearest", "command"), [
    (("drive", "--planer", "x"), "'--planner'", "'kd-planner drive --help'"),
    (("train", "--tcp.input-heigth", "64"), "'--tcp.input-height'", "'kd-planner train --help'"),
    (("train", "--no-plankd.entropy"), "'--plankd.no-entropy'", "'kd-planner train --help'"),
    (("evaluate", "closed-loop", "--planner", "expert", "--out", "o", "--rout-ids=3"), "'--route-ids'",
     "'kd-planner evaluate closed-loop --help'")])
def test_an_unknown_option_names_the_nearest_one_and_its_commands_help(capsys, words, nearest, command):
    line = _refused(capsys, *words)
    assert nearest in line and line.endswith(f"see {command}")


@pytest.mark.parametrize("role", ["a b", "1", "hero/"])
def test_a_role_name_that_no_topic_can_have_is_refused_before_the_drive(capsys, tmp_path, role):
    pytest.importorskip("rclpy", reason="rclpy is not installed: use the pinned environment ('make setup')")
    line = _refused(capsys, "drive", "--planner", "constant_velocity", "--role-name", role, "--out", str(tmp_path / "o"))
    assert "role name" in line and repr(role) in line and not (tmp_path / "o").exists()


def test_a_role_name_that_no_topic_can_have_is_refused_for_a_sensor_file(capsys, tmp_path):
    assert "'he ro'" in _refused(capsys, "models", "sensors", "tcp64_7m6", "--role-name", "he ro", "--out", str(tmp_path / "o.json"))
    assert not (tmp_path / "o.json").exists()


def test_maps_of_no_folder_are_refused(capsys, tmp_path):
    (tmp_path / "r.xml").write_text(ROUTES)
    line = _refused(capsys, "routes", str(tmp_path / "r.xml"), "--maps-dir", str(tmp_path / "nope"))
    assert "a folder of maps at" in line and "correct --maps-dir" in line


def test_a_role_name_that_no_topic_can_have_is_refused_before_recording(capsys, tmp_path):
    line = _refused(capsys, "record", "--role-name", "a b", "--out", str(tmp_path / "o"))
    assert "role name" in line and "'a b'" in line and not (tmp_path / "o").exists()


def test_sigterm_ends_in_order(capsys, monkeypatch):
    def stop(_):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60.0)  # the signal ends it

    monkeypatch.setattr("kd_planner_ros.cli.models._list", stop)
    assert cli.main(["models", "list"]) == 143 and "stopped" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_commands_that_end_in_order_by_themselves_have_the_signals_status(tmp_path, capsys, monkeypatch, number, status):
    """``record`` and ``train`` give a result that says it is not finished; a benchmark whose training was stopped raises."""
    def record(config):
        with suppress(KeyboardInterrupt):
            os.kill(os.getpid(), number)
            time.sleep(60.0)  # the signal ends it
        return RecordReport(str(tmp_path), 1, 0, 10, 1.0, 10.0, 10.0, 1.0, 1, finished=False)

    def train(config):
        run = SimpleNamespace(stop=False)
        with interrupts(run):
            os.kill(os.getpid(), number)
            until_s = time.monotonic() + 60.0
            while not run.stop and time.monotonic() < until_s:
                time.sleep(0.01)
        return TrainReport("m", 3, 0.1, 24, 0.1, 4.0, 20, 4, 3, False, {})

    def benchmark(config):
        train(config)
        raise KeyboardInterrupt

    def again(config):
        raise KeyboardInterrupt

    monkeypatch.setattr("kd_planner_ros.record.record.record", record)
    assert cli.main(["record", "--out", str(tmp_path)]) == status
    for work in (train, benchmark):
        monkeypatch.setattr("kd_planner_ros.distill.train.train", work)
        assert cli.main(["train", "--bags", "b"]) == status
    monkeypatch.setattr("kd_planner_ros.distill.train.train", again)
    assert cli.main(["train", "--bags", "b"]) == 130, "an earlier command's signal is forgotten"
    assert capsys.readouterr().err.count("stopped") == 4


def test_workers_that_the_signal_ended_too_are_no_fault(tmp_path):
    """A service manager sends SIGTERM to the whole group; what they had finished is reported."""
    class News(queue.Queue):
        def get(self, *args, **kwargs):
            if not tries.append(0) and len(tries) == 2:
                raise KeyboardInterrupt
            return super().get(block=False)

    tries, news, stop = [], News(), SimpleNamespace(set=lambda: None)
    news.put(("frames", 5))
    dead = [SimpleNamespace(exitcode=-15), SimpleNamespace(exitcode=-15)]
    tally = _listen(RecordConfig(out=tmp_path, progress=False), 3, dead, None, news, stop)
    assert tally.finished is False and tally.frames == 5
    tries.extend([0] * 9)
    with pytest.raises(BagError, match="exit code -15"):
        _listen(RecordConfig(out=tmp_path, progress=False), 3, dead, None, news, stop)


@pytest.mark.parametrize(("words", "names"), [
    (("evaluate", "closed-loop", "--planner", "constant_velocity"), ("holiday.jpg",)),
    (("evaluate", "closed-loop", "--planner", "constant_velocity"), ("sensors.json", "graph")),  # a drive's
    (("drive", "--planner", "constant_velocity"), ("evaluation.json",)), (("drive", "--planner", "constant_velocity"), ("sensors.json",))])
def test_a_folder_with_other_files_is_left_alone(capsys, tmp_path, words, names):
    if words[0] == "drive":
        pytest.importorskip("rclpy", reason="rclpy is not installed: use the pinned environment ('make setup')")
    for name in names:
        (tmp_path / name).write_text("mine")
    line = _refused(capsys, *words, "--out", str(tmp_path))
    assert names[0] in line or names[-1] in line
    assert "give another --out" in line and sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


@pytest.mark.parametrize(("option", "value", "words"), [
    ("--route", "1000", "from 0 to 999"), ("--route", "-1", "the number of a default route from 0 to 999; got -1"),
    ("--stations", "[{id: far, x: 9000, y: 0}]", "station 'far' on map default")])
def test_a_drive_that_cannot_be_is_refused_before_anything_starts(capsys, tmp_path, option, value, words):
    pytest.importorskip("rclpy", reason="rclpy is not installed: use the pinned environment ('make setup')")
    if option == "--stations":
        (tmp_path / "s.yaml").write_text(f"stations: {value}")
        value = str(tmp_path / "s.yaml")
    assert words in _refused(capsys, "drive", "--planner", "constant_velocity", option, value, "--out", str(tmp_path / "o"))
    assert not (tmp_path / "o").exists()


def test_json_is_the_last_line(capsys):
    assert cli.main(["models", "list", "--json"]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert "constant_velocity" in [row["name"] for row in last["models"]]


def test_json_of_the_parameter_table_has_the_papers_counts(capsys):
    assert cli.main(["models", "params", "tcp", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])["configurations"]
    assert {row["parameters"] for row in rows} == {25_768_065, 13_915_201, 7_644_481, 3_107_417}
