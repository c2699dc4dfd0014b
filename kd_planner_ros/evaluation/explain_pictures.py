"""The pictures of ``explain``: the waypoints' attention over the scene, and heat maps over camera pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from kd_planner_ros.core.files import whole_file
from kd_planner_ros.geometry.frames import planner_to_base
from kd_planner_ros.imaging.bev_scene import BevView

SCENE_PX = 720
HEAT_SHARE = 0.55


def draw_attention(path: Path, scene: np.ndarray, waypoints: np.ndarray, attention: np.ndarray, proximity: np.ndarray,
                   obstacles: np.ndarray, view: BevView, title: str) -> None:
    """Figure 3: the scene with the car looking up, each waypoint as a disc, redder and larger the more weight it has;
    beside it the weights as bars, and how near each waypoint passes to others (psi).

    Args:
        scene: uint8 [180, 180, 3] as the network reads it. waypoints: [T, 2] metres, frame P. attention: [T], sum 1.
        proximity: [T]. obstacles: [N, 2] ``base_link``.
    """
    upright = np.ascontiguousarray(scene.transpose(1, 0, 2))  # the car looks up, its right side is right
    picture = cv2.resize(upright, (SCENE_PX, SCENE_PX), interpolation=cv2.INTER_NEAREST)
    scale = SCENE_PX / scene.shape[0]
    places = view.pixels(planner_to_base(waypoints)) * scale
    for row, column in view.pixels(obstacles) * scale:
        cv2.circle(picture, (round(row), round(column)), 7, (255, 255, 255), 2, cv2.LINE_AA)
    heat = np.clip(attention * len(attention) / 2.0, 0.0, 1.0)  # half way to red is uniform
    for (row, column), share in sorted(zip(places.tolist(), heat.tolist(), strict=True), key=lambda pair: pair[1]):
        colour = tuple(int(c) for c in _hot(np.array([[share]]))[0, 0])
        cv2.circle(picture, (round(row), round(column)), round(7 + 11 * share), (20, 20, 20), cv2.FILLED, cv2.LINE_AA)
        cv2.circle(picture, (round(row), round(column)), round(5 + 11 * share), colour, cv2.FILLED, cv2.LINE_AA)

    def draw(figure: Any) -> None:
        left, right = figure.subplots(1, 2, width_ratios=(1.6, 1.0))
        left.imshow(picture)
        left.set_axis_off()
        left.set_title(title, fontsize=9)
        steps = np.arange(1, len(attention) + 1)
        right.bar(steps, attention, color=[tuple(c / 255.0 for c in _hot(np.array([[share]]))[0, 0]) for share in heat],
                  edgecolor="#444")
        right.axhline(1.0 / len(attention), color="#888", lw=1, ls="--", label="uniform")
        right.set(xlabel="waypoint", ylabel="attention", xticks=steps,
                  ylim=(0.0, max(0.5, float(attention.max()) * 1.15)))
        beside = right.twinx()
        beside.plot(steps, proximity, "D-", color="#2a78d6", ms=4, lw=1, label="nearness to others (psi)")
        beside.set(ylabel="psi", ylim=(0.0, max(1.0, float(proximity.max()) * 1.15)))
        figure.legend(loc="outside lower right", ncols=2, frameon=False, fontsize=8)

    _save(path, draw, (9.0, 5.0))


def draw_states(path: Path, pictures: Sequence[np.ndarray], energy: Sequence[np.ndarray],
                maps: Mapping[str, Sequence[np.ndarray]], captions: Mapping[str, str], title: str) -> None:
    """Figure 4 and its parts: a row each for the picture, AT's map, and every entry of ``maps``; a column a view.

    Args:
        pictures: RGB uint8 [H, W, 3] a view, as the network saw them. energy, ``maps``: [h, w] in [0, 1] a view.
        captions: text of each entry of ``maps``.
    """
    rows = [("what the network sees", list(pictures)),
            ("AT: energy of the map", [overlay(p, e) for p, e in zip(pictures, energy, strict=True)])]
    rows += [(captions[name], [overlay(p, m) for p, m in zip(pictures, views, strict=True)]) for name, views in maps.items()]
    columns = 2 if len(pictures) == 1 else 1
    lines = -(-len(rows) // columns)
    shapes = [picture.shape[1] / picture.shape[0] for picture in pictures]

    def draw(figure: Any) -> None:
        figure.suptitle(title, fontsize=9)
        grid = figure.subplots(lines, columns * len(pictures), squeeze=False, width_ratios=shapes * columns)
        for axes in grid.flat:
            axes.set_axis_off()
        for index, (text, images) in enumerate(rows):
            line, column = divmod(index, columns)
            for view, image in enumerate(images):
                axes = grid[line][column * len(pictures) + view]
                axes.imshow(image)
                if view == 0:
                    axes.set_title(text, fontsize=8, loc="left")

    _save(path, draw, (5.2 * columns if len(pictures) == 1 else 2.2 * sum(shapes), 1.75 * lines + 0.4))


def overlay(picture: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """``picture`` uint8 [H, W, 3] under ``heat`` [h, w] in [0, 1]: blue is nothing, red is most."""
    height, width = picture.shape[:2]
    smooth = cv2.resize(np.asarray(heat, np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    return cv2.addWeighted(picture, 1.0 - HEAT_SHARE, _jet(np.clip(smooth, 0.0, 1.0)), HEAT_SHARE, 0.0)


def _jet(heat: np.ndarray) -> np.ndarray:
    return cv2.applyColorMap(np.round(heat * 255).astype(np.uint8), cv2.COLORMAP_JET)[..., ::-1].copy()


def _hot(heat: np.ndarray) -> np.ndarray:
    """White to red, [h, w] to uint8 [h, w, 3]."""
    low, high = np.array([255.0, 240.0, 220.0]), np.array([214.0, 30.0, 30.0])
    return np.round(low + np.asarray(heat)[..., None] * (high - low)).astype(np.uint8)


def _save(path: Path, draw: Any, size: tuple[float, float]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained", dpi=110)
    FigureCanvasAgg(figure)
    draw(figure)
    with whole_file(path) as part:
        figure.savefig(part, format="png", metadata={"Software": None})
