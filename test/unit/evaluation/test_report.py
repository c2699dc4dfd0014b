"""The report of a made-up drive: complete, self-contained, and honest about what is missing."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from PIL import Image, ImageDraw
from support.runs import write_run

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.evaluation import animation, plots, report, report_facts, report_radio
from kd_planner_ros.evaluation.run_folder import read_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = write_run(tmp_path_factory.mktemp("run"), seconds=4.0)
    report.write(made)
    return made


def test_the_page_names_everything(folder):
    page = (folder / "report.html").read_text()
    for text in ("tcp_student", "RouteScenario_0", "42.0", "Completed", "collisions vehicle", "13 915 201", "rgb_front",
                 "hit vehicle.tesla.model3", "passed &lt;light&gt; 12"):
        assert text in page


def test_the_page_shows_what_a_perceiver_saw_and_the_next_drive_begins_without(tmp_path):
    made = write_run(tmp_path / "run", seconds=1.0)
    (made / "perception").mkdir()
    for number in range(20):
        Image.new("RGB", (8, 4)).save(made / "perception" / f"{1000 * number:08d}.png")
    page = report.write(made).read_text()
    assert "What the perceiver saw" in page and page.count("input and outputs of the perceiver at") == report.KEY_PICTURES
    assert "Dark grey: unknown" in page and "80 m and more" in page
    assert "perceiver at 0.0 s" in page and "perceiver at 19.0 s" in page
    write_run(made, seconds=1.0)
    assert "What the perceiver saw" not in report.write(made).read_text() and not list((made / "perception").iterdir())


def radio_lines(*states):
    """Lines of a gateway's log: (from second, state, why)."""
    counts = {"accepted": 40, "rejected": {"forged": 3, "stale": 20}}
    return [{"stamp_s": at, "state": state, "why": why, **counts} for at, state, why in states]


def test_the_page_shows_what_came_by_radio(tmp_path):
    made = write_run(tmp_path / "run", seconds=4.0, pictures=False)
    assert "What came by radio" not in report.write(made).read_text()
    views = [{"stamp_s": float(second), "view": f"{1000 * second:08d}_0.jpg", "station": "north", "camera": "east", "age_s": 0.1}
             for second in range(4)]
    lines = radio_lines((0.0, "EGO_ONLY", "no <message>"), (1.0, "COOP_FULL", ""), (2.0, "COOP_FULL", ""), (3.0, "EGO_ONLY", "lost"))
    (made / "v2x.jsonl").write_text("".join(json.dumps(line) + "\n" for line in [*lines, *views]) + '{"stamp_s": 3.5, "sta')
    (made / "v2x_rejected.jsonl").write_text("{}\n")
    (made / "roadside").mkdir()
    for line in views[:3]:
        Image.new("RGB", (8, 4)).save(made / "roadside" / line["view"])
    shown = report_radio.of_drive(read_run(made), 2)
    assert [(row["name"], round(row["seconds"], 2), row["why"]) for row in shown["states"]] == [
        ("COOP_FULL", 2.0, []), ("EGO_ONLY", 1.95, ["no <message>", "lost"])]
    assert [(row["reason"], row["count"]) for row in shown["rejected"]] == [("stale", 20), ("forged", 3)] and shown["refused"] == 23
    assert [view["text"][:5] for view in shown["views"]] == ["0.0 s", "2.0 s"], "the file of the last one is gone"
    told = (made / "telemetry.csv").read_text().splitlines()
    told[5:7] = [line.rstrip(",") + "," + reason for line, reason in zip(told[5:7], ("hidden_object", "red_signal"), strict=True)]
    (made / "telemetry.csv").write_text("\n".join(told) + "\n")
    page = report.write(made).read_text()
    assert "named as its reason reported road users in 1 ticks and red signals in 1 ticks" in page
    for text in ("What came by radio", "COOP_FULL", "no &lt;message&gt;; lost", "does not fit the message", "north/east", 'class="alone"',
                 'href="v2x_rejected.jsonl"', "23 messages and objects refused"):
        assert text in page
    write_run(made, seconds=1.0, pictures=False)
    assert "What came by radio" not in report.write(made).read_text() and not list((made / "roadside").iterdir())
    assert not (made / "v2x_rejected.jsonl").exists(), "an earlier drive's"


def test_spans_of_a_strip_stand_below_the_plots_and_stay_inside():
    drawing = plots.time_strip([plots.Span("a", -5.0, 5.0, "full"), plots.Span("b", 5.0, 20.0, "risk")], 0.0, 10.0)
    rects = [(style, float(x), float(w)) for style, x, w in re.findall(r'class="(full|risk)" x="([\d.]+)".*?width="([\d.]+)"', drawing)]
    middle = (plots.LEFT + plots.PLOT_SIZE[0] - plots.RIGHT) / 2
    assert rects == [("full", plots.LEFT, middle - plots.LEFT), ("risk", middle, plots.PLOT_SIZE[0] - plots.RIGHT - middle)]
    assert "nan" not in plots.time_strip([plots.Span("a", 1.0, 1.0, "full")], 1.0, 1.0)


def test_the_page_needs_no_network_and_its_files_exist(folder):
    page = (folder / "report.html").read_text()
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)
    linked = [link for link in re.findall(r'(?:src|href)="([^"#]+)"', page) if not link.startswith("data:")]
    film = json.loads(re.search(r'id="film">(.*?)</script>', page, re.S).group(1).replace("<\\/", "</"))
    linked += [frame["src"] for frame in film["frames"]]
    assert len(film["frames"]) == 20 and "statistics.json" in linked
    assert [link for link in linked if "${" not in link and not (folder / link).exists()] == []


def test_the_animation_has_one_picture_a_frame(folder):
    with Image.open(folder / "drive.webp") as animation:
        assert animation.n_frames == 20 and animation.size[0] == 720


@pytest.mark.parametrize("longest_s, pictures", [(4.0, 20), (3.0, 10), (1.5, 7)])
def test_a_long_drive_is_sped_up_until_it_fits(folder, tmp_path, longest_s, pictures):
    animation.write(read_run(folder), tmp_path / "drive.webp", longest_s=longest_s)  # 20 pictures in 3.8 s
    with Image.open(tmp_path / "drive.webp") as made:
        assert made.n_frames == pictures


def test_a_drive_cut_short_without_pictures_still_gives_a_page(tmp_path):
    made = write_run(tmp_path, seconds=1.0, pictures=False, finished=False)
    page = report.write(made).read_text()
    assert "the drive has not ended" in page and "What the car saw" not in page and not (made / "drive.webp").exists()


def test_a_drive_that_never_started_still_gives_a_page(tmp_path):
    assert "Where it drove" in report.write(write_run(tmp_path, seconds=0.0, finished=False)).read_text()


def test_no_run_folder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="run folder"):
        report.write(tmp_path)


def test_plot_puts_values_where_the_axis_says():
    drawing = plots.time_plot(np.array([0.0, 10.0]), [plots.Series("x", np.array([0.0, 1.0]), "s1")], "", low=0.0, high=1.0)
    first, last = re.search(r'class="line s1" points="(\S+) (\S+)"', drawing).groups()
    width, height = plots.PLOT_SIZE
    assert first == f"{plots.LEFT:.1f},{height - plots.BOTTOM:.1f}"
    assert last == f"{width - plots.RIGHT:.1f},{plots.TOP:.1f}"


@pytest.mark.parametrize("value, low", [(0.0, 0.0), (1e-17, 0.0), (5.0, None)])
def test_a_value_that_never_changes_is_a_level_line(value, low):
    with np.errstate(all="raise"):
        drawing = plots.time_plot(np.arange(3.0), [plots.Series("x", np.full(3, value), "s1")], "m/s", low=low)
    heights = {point.split(",")[1] for point in re.search(r'class="line s1" points="([^"]+)"', drawing).group(1).split()}
    assert len(heights) == 1 and "nan" not in drawing and drawing.count('class="grid') >= 2


def test_long_plots_are_thinned_without_losing_a_spike():
    values = np.zeros(100_000)
    values[54_321] = 1.0
    drawing = plots.time_plot(np.arange(100_000) / 20, [plots.Series("x", values, "s1")], "", low=0.0, high=1.0)
    line = re.search(r'class="line s1" points="([^"]+)"', drawing).group(1).split()
    assert len(line) < 1500 and any(point.endswith(f",{plots.TOP:.1f}") for point in line)


def test_the_card_is_read_by_the_planners_name(tmp_path):
    """A run folder of the graph names its planner; the page shows that model's card, or says that it is gone."""
    made = write_run(tmp_path, seconds=0.5, pictures=False)
    facts = json.loads((made / "run.json").read_text())
    for planner, text in (("tcp64_7m6", "weights sha256"), ("constant_velocity", "nothing learned"), ("gone", "cannot be read any more")):
        (made / "run.json").write_text(json.dumps({**facts, "planner": planner, "card": {}}))
        assert text in report.write(made).read_text()


def rows_of(page):
    """The cells of every table row of the page, without tags."""
    rows = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.S) for row in re.findall(r"<tr>(.*?)</tr>", page, re.S)]
    return [[re.sub(r"<[^>]+>", " ", cell).strip() for cell in row] for row in rows]


def test_a_cards_scores_are_one_row_each_and_its_training_is_short(tmp_path):
    card = {"network": "tcp", "parameters": 7_588_237, "training": {
                "method": "plankd", "teacher": {"name": "wise"}, "start": {"name": "older", "sha256": "1" * 64}, "seed": 2020,
                "epochs": 0.36, "steps": 1516, "finished": False, "planned": {"epochs": 2.0}, "recipe": {"stages": [{"lr": 0.1}]},
                "data": {"maps": ["Town01", "Town03"], "recordings": 286, "samples": 42416, "held_out_routes": ["a", "b"]}},
            "scores": {"closed_loop_default_town": {"driving_score": 81.032, "seeds": [0], "routes": 10, "std": {"driving_score": 0.0}},
                       "closed_loop_town05_short": {"driving_score": 72.125, "seeds": [0, 1, 2], "std": {"driving_score": 10.37},
                                                    "command": "kd-planner benchmark <x>"}, "steering": 0.5}}
    made = write_run(tmp_path, seconds=0.5, pictures=False)
    facts = json.loads((made / "run.json").read_text())
    (made / "run.json").write_text(json.dumps({**facts, "seed": 2020, "card": card}))
    page = report.write(made).read_text()
    rows = rows_of(page)
    assert [row for row in rows if row[0] in ("driving score", "steering")][:4] == [
        ["driving score", "81.03", ""], ["driving score", "72.12", "10.37"], ["steering"], ["steering", "0.5", ""]]
    assert ["parameters", "7 588 237"] in rows and ["seed", "2020"] in rows and not any(row[0] == "scores" for row in rows)
    training = dict(row for row in rows if len(row) == 2)["training"].splitlines()
    assert training == ["plankd, teacher wise", "started from older", "286 recordings, 42 416 samples", "maps Town01, Town03",
                        "0.36 epochs, 1516 steps, seed 2020, ended before the 2 epochs planned"]
    assert "kd-planner benchmark &lt;x&gt;" in page and "[" not in "".join(training) and "held_out" not in page
    assert 'href="card.json"' in page and json.loads((made / "card.json").read_text()) == card
    write_run(made, seconds=0.5, pictures=False)
    assert not (made / "card.json").exists(), "an earlier drive's"


@pytest.mark.parametrize("card", [None, {}, {"scores": [], "training": "lost"}, {"scores": {"a": None}, "training": {"teacher": ["x"]}}])
def test_a_card_of_any_content_gives_rows(tmp_path, card):
    run = read_run(write_run(tmp_path, seconds=0.0))
    assert ("planner", "tcp_student") in report_facts.facts_of(run, card) and isinstance(report_facts.score_groups(card), list)


def test_a_drive_that_was_ended_early_says_so(tmp_path):
    made = write_run(tmp_path, seconds=0.5, pictures=False)
    facts = json.loads((made / "statistics.json").read_text())
    facts["_checkpoint"]["records"][0]["status"] = "Started"
    (made / "statistics.json").write_text(json.dumps(facts))
    assert '<p class="status">stopped before the end</p>' in report.write(made).read_text()


def test_page_and_animation_name_a_command_alike(folder, monkeypatch):
    said = []
    real = ImageDraw.ImageDraw.text
    monkeypatch.setattr(ImageDraw.ImageDraw, "text", lambda self, at, text, *more: said.append(text) or real(self, at, text, *more))
    next(animation.compose(read_run(folder), [0], 720))
    assert "follow the lane" in said and "0.0 s, follow the lane" in (folder / "report.html").read_text()


@pytest.mark.parametrize("altitude_deg, text", [(30.0, "sun 30° high"), (-90.0, "night, the sun is below the horizon")])
def test_the_page_says_whether_it_was_night(tmp_path, altitude_deg, text):
    made = write_run(tmp_path, seconds=0.5, pictures=False)
    facts = json.loads((made / "run.json").read_text())
    facts["weather"]["sun_altitude_deg"] = altitude_deg
    (made / "run.json").write_text(json.dumps(facts))
    page = report.write(made).read_text()
    assert text in page and "-90" not in page
