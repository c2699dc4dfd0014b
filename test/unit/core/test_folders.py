"""Into which folders drives and recordings go."""

import pytest

from kd_planner_ros.cli.main import main
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.folders import make_folder, require_no_drive, require_undriven


def test_no_drive_takes_the_place_of_another(tmp_path):
    run = tmp_path / "run"
    require_undriven(run, "--out")
    (run / "graph").mkdir(parents=True)
    (run / ".hidden").touch()
    (run / "sensors.json").write_text("{}")
    require_undriven(run, "--out", ("sensors.json", "graph"))  # what a drive left that never began
    with pytest.raises(ConfigError, match="a new or empty folder at .*; got one with files, for example graph; give another run_dir"):
        require_undriven(run, "run_dir")
    (run / "run.json").write_text("{}")
    with pytest.raises(ConfigError, match="got that of an earlier drive; give another --out, or delete the folder"):
        require_undriven(run, "--out", ("sensors.json", "graph"))
    with pytest.raises(ConfigError, match="a folder for the drive at .*; got a file"):
        require_undriven(run / "run.json", "--out")


def test_recordings_stand_beside_all_but_a_drive(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("kd_planner_ros.record.record.load_map", lambda *words: pytest.fail("a map was loaded"))
    (tmp_path / "cache").mkdir()
    require_no_drive(tmp_path, "recordings")
    require_no_drive(tmp_path / "new", "recordings")
    (tmp_path / "run.json").write_text("{}")
    for out, words in ((tmp_path, f"expected a folder for recordings at {tmp_path}; got that of an earlier drive; give another --out"),
                       (tmp_path / "run.json", "got a file; give another --out")):
        assert main(["record", "--out", str(out), "--count", "1"]) == 2
        said = capsys.readouterr().err
        assert words in said and said.count("\n") == 1


def test_a_folder_for_results_is_made_or_refused_with_its_name(tmp_path):
    assert make_folder(tmp_path / "a" / "b").is_dir() and not list(make_folder(tmp_path / "a" / "b").iterdir())
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match="file"):
            make_folder(folder)
