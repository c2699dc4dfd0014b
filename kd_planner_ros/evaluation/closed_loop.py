"""Closed-loop evaluation: a planner drives routes in the built-in world and gets the leaderboard's scores. No ROS graph.

Layout of the output folder: ``evaluation.json`` (what is evaluated), ``statistics.json`` (the leaderboard's file over all
routes and seeds), ``summary.json`` (means over routes and their spread over seeds), ``report.html``, and one run folder
(``run_folder.py``) a drive under ``seed_<S>/<route>_w<weather>/``. A drive is finished when its ``statistics.json`` is
there; a second call skips finished drives, and writes those reports that an earlier one did not come to.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.fields import check_fields
from kd_planner_ros.evaluation import worker
from kd_planner_ros.evaluation.drives import ClosedLoopConfig, Drive, claim_folder, plan_drives
from kd_planner_ros.evaluation.latency import Latency


def run(config: ClosedLoopConfig, progress: bool = True) -> dict[str, Any]:
    """Evaluate, and give back the summary that is also written to ``summary.json``.

    The same config gives the same bytes in every ``statistics.json``, however many jobs there are and however often
    the evaluation was stopped and went on.

    Raises:
        ConfigError: a value is out of range, or the output folder holds another evaluation.
        MapError, RouteError, PlannerError, CardError: from the map, the routes and the planner.
    """
    check_fields(config)
    setup = worker.Setup(config)  # the map, the routes and the planner are loaded here first: bad input is refused at once
    config = setup.config
    drives = plan_drives(config, setup.routes())
    claim_folder(config, setup.weights, setup.fallback_weights)
    waiting = [drive for drive in drives if not (drive.folder / "statistics.json").exists()]
    bar = _bar(len(drives), len(drives) - len(waiting), config, progress)
    with bar:
        for record in _results(config, setup, waiting):
            bar.update()
            bar.set_postfix_str(f"{record['route_id']} {record['scores']['score_composed']:.1f} {record['status']}")
    if config.report:
        _write_missing_reports(drives)
    return conclude(config, drives, setup.name, setup.sensors, setup.latency, setup.notes, setup.fallback_facts)


def conclude(config: ClosedLoopConfig, drives: Sequence[Drive], name: str, sensors: Sequence[str],
             latency: Latency, notes: Sequence[str] = (), fallback: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Put the drives' records together: writes ``statistics.json``, ``summary.json`` and ``report.html``, gives back the
    summary. ``notes`` say what of the route file is left out or changed, ``fallback`` which planner stood by."""
    from kd_planner_ros.core.files import write_text
    from kd_planner_ros.evaluation import overview, score
    from kd_planner_ros.evaluation.v2x_link import summed
    from kd_planner_ros.world.route_scenarios import count_by_status

    records = [replace(score.read_records(drive.folder / "statistics.json")[0], index=drive.index) for drive in drives]
    out = Path(config.out)
    score.write_statistics(out / "statistics.json", records, len(drives), sensors)
    by_seed = {seed: score.summary([record for record in records if record.seed == seed])
               for seed in sorted({record.seed for record in records})}
    keys = next(iter(by_seed.values())).keys()
    spread = {key: np.array([summary[key] for summary in by_seed.values()]) for key in keys}
    result = {"planner": name, "map": config.map, "latency": latency.facts(), "latency_text": str(latency),
              "drives": len(records), "seeds": list(by_seed),
              "mean": {key: float(values.mean()) for key, values in spread.items()},
              "std": {key: float(values.std(ddof=1)) if len(values) > 1 else 0.0 for key, values in spread.items()},
              "by_seed": {str(seed): summary for seed, summary in by_seed.items()},
              "route_notes": list(notes), **({"fallback": dict(fallback)} if fallback else {}),
              "v2x": summed(record.notes["v2x"] for record in records if "v2x" in record.notes),
              "scenarios": count_by_status(one for record in records for one in record.notes.get("scenarios", ()))}
    write_text(out / "summary.json", json.dumps(result, indent=1, sort_keys=True) + "\n")
    overview.write(out, result, records, [drive.folder for drive in drives])
    return result


def _results(config: ClosedLoopConfig, setup: worker.Setup, drives: Sequence[Drive]) -> Iterator[dict[str, Any]]:
    """The records of ``drives`` as they are finished."""
    if config.jobs == 1 or len(drives) < 2:
        try:
            for drive in drives:
                yield worker.drive_one(setup, drive)
        finally:
            setup.close()
        return
    context = multiprocessing.get_context("spawn")  # a forked child would share SUMO and Embree with its parent
    pool = ProcessPoolExecutor(min(config.jobs, len(drives)), context, initializer=worker.begin, initargs=(config,))
    try:
        for done in as_completed([pool.submit(worker.drive_in_worker, drive) for drive in drives]):
            yield done.result()
    except BrokenProcessPool:
        raise ConfigError("worker processes that run to the end of their drives", "one was killed",
                          "use fewer --jobs if memory ran out; the same command goes on where it stopped") from None
    except BaseException:
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _write_missing_reports(drives: Sequence[Drive]) -> None:
    """The page of each drive whose pictures are there, but which was stopped between its statistics and its page."""
    from kd_planner_ros.evaluation import report

    for drive in drives:
        if any((drive.folder / "frames").glob("*.jpg")) and not (drive.folder / "report.html").exists():
            report.write(drive.folder)


def _bar(total: int, done: int, config: ClosedLoopConfig, progress: bool) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, initial=done, unit="drive", desc=config.planner, disable=not progress, file=sys.stderr,
                dynamic_ncols=True)
