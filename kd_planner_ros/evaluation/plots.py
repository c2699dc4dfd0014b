"""The report's drawings as SVG text: the map with the driven way, and plots over time. Colours come from the page's CSS,
so that they follow its light or dark mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from kd_planner_ros.evaluation.run_folder import Run

MAP_WIDTH, MAP_LOWEST, MAP_HIGHEST = 860.0, 240.0, 560.0
PLOT_SIZE = (860.0, 170.0)
STRIP_HEIGHT = 64.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 12.0, 12.0, 24.0
SPEED_STEPS = 5


@dataclass(frozen=True)
class Series:
    """One line of a plot: ``style`` names its CSS class (``s1`` .. ``s3``)."""

    label: str
    values: np.ndarray
    style: str


def path_text(points: np.ndarray) -> str:
    """The ``points`` attribute of an SVG polyline through ``points`` [N, 2]."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in np.asarray(points, float))


class MapView:
    """How metres in ``map`` become the drawing's units: x right, y up, the whole way in view."""

    def __init__(self, points: np.ndarray, margin_m: float = 18.0):
        low, high = points.min(0) - margin_m, points.max(0) + margin_m
        self.scale = float(min(MAP_WIDTH / (high - low)[0], MAP_HIGHEST / (high - low)[1]))
        self.size = np.array([MAP_WIDTH, max(MAP_LOWEST, (high - low)[1] * self.scale)])
        self._centre = (low + high) / 2

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Points [N, 2] of ``map`` in drawing units [N, 2]."""
        return (np.asarray(points, float).reshape(-1, 2) - self._centre) * (self.scale, -self.scale) + self.size / 2


def route_map(run: Run) -> tuple[str, MapView]:
    """The map as SVG (roads, route, driven way coloured by speed, infractions) and the view it is drawn in."""
    way = np.column_stack([run.telemetry["x"], run.telemetry["y"]])
    view = MapView(np.vstack([run.info.route.points, way]))
    parts = [f'<polyline class="lane" style="stroke-width:{width * view.scale:.1f}" points="{path_text(view(line))}"/>'
             for width, line in run.lanes]
    parts.append(f'<polyline class="route" points="{path_text(view(run.info.route.points))}"/>')
    parts += _driven(view(way), run.telemetry["speed_mps"])
    parts += [_dot(view(run.info.route.points[0])[0], "start", "start"),
              _dot(view(run.info.route.points[-1])[0], "goal", "goal")]
    parts += [_event_mark(view(np.array([event["x"], event["y"]]))[0], event) for event in run.events]
    parts.append('<g id="car"><path d="M10,0 L-7,6 L-4,0 L-7,-6 Z"/></g>')
    parts.append(_scale_bar(view))
    return f'<svg class="map" viewBox="0 0 {view.size[0]:.0f} {view.size[1]:.0f}">{"".join(parts)}</svg>', view


def speed_levels(speed_mps: np.ndarray) -> np.ndarray:
    """Upper ends [SPEED_STEPS] in m/s of the map's speed colours: round numbers that reach the highest speed."""
    step = max(1.0, float(np.ceil(np.max(speed_mps, initial=0.0) / SPEED_STEPS)))
    return step * np.arange(1, SPEED_STEPS + 1)


def _driven(way: np.ndarray, speed_mps: np.ndarray) -> list[str]:
    if len(way) < 2:
        return []
    level = np.searchsorted(speed_levels(speed_mps), speed_mps[:-1])
    cuts = [0, *(np.flatnonzero(np.diff(level)) + 1), len(level)]
    return [f'<polyline class="driven v{level[a]}" points="{path_text(way[a:b + 1])}"/>'
            for a, b in zip(cuts[:-1], cuts[1:], strict=True)]


def _dot(at: np.ndarray, style: str, label: str) -> str:
    return (f'<g class="{style}"><circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="6"/>'
            f'<text x="{at[0] + 10:.1f}" y="{at[1] + 4:.1f}">{label}</text></g>')


def _event_mark(at: np.ndarray, event: dict) -> str:
    title = escape(f'{event["kind"].replace("_", " ")} at {event["stamp_s"]:.1f} s')
    return (f'<g class="event" transform="translate({at[0]:.1f},{at[1]:.1f})"><title>{title}</title>'
            '<path d="M0,-9 L9,7 L-9,7 Z"/><text y="5">!</text></g>')


def _scale_bar(view: MapView) -> str:
    metres = next(m for m in (500, 200, 100, 50, 20, 10, 5) if m * view.scale < 200 or m == 5)
    x, y = 16.0, view.size[1] - 16.0
    end = x + metres * view.scale
    return (f'<path class="axis" d="M{x:.0f},{y - 5:.1f} V{y:.1f} H{end:.1f} V{y - 5:.1f}"/>'
            f'<text class="tick" x="{end + 8:.1f}" y="{y + 1:.1f}">{metres} m</text>')


def time_plot(time_s: np.ndarray, series: Sequence[Series], unit: str, *, low: float | None = None,
              high: float | None = None, marks_s: Sequence[float] = ()) -> str:
    """A plot over time as SVG: one axis, up to three lines, red marks at the infractions ``marks_s``.

    ``low`` and ``high`` fix the axis; None takes round numbers around the values. The drawing's attributes ``data-t0``,
    ``data-t1`` (seconds at the left and right end) let the page's cursor find its place.
    """
    every = np.concatenate([line.values for line in series])
    every = every[np.isfinite(every)]
    ticks = _ticks(min(every, default=0.0) if low is None else low, max(every, default=1.0) if high is None else high)
    low, high = ticks[0], ticks[-1]
    t0, t1 = (float(time_s[0]), float(time_s[-1])) if len(time_s) > 1 else (0.0, 1.0)
    width, height = PLOT_SIZE

    def column(t):
        return LEFT + (np.asarray(t, float) - t0) / (t1 - t0) * (width - LEFT - RIGHT)

    def row(value):
        return height - BOTTOM - (np.asarray(value, float) - low) / (high - low) * (height - TOP - BOTTOM)

    parts = [f'<path class="grid{" zero" if tick == 0 else ""}" d="M{LEFT},{row(tick):.1f} H{width - RIGHT}"/>'
             f'<text class="tick end" x="{LEFT - 6}" y="{row(tick) + 4:.1f}">{tick:g}</text>' for tick in ticks]
    parts += [f'<text class="tick mid" x="{column(t):.1f}" y="{height - 6}">{t:g} s</text>' for t in _ticks(t0, t1, 9)
              if t0 <= t <= t1]
    parts += [f'<path class="mark" d="M{column(t):.1f},{TOP} V{height - BOTTOM}"/>' for t in marks_s]
    for line in series:
        good = np.isfinite(line.values)
        points = np.column_stack([column(time_s), row(np.clip(line.values, low, high))])[good]
        parts.append(f'<polyline class="line {line.style}" points="{path_text(_thinned(points))}"/>')
    parts.append(f'<path class="cursor" d="M0,{TOP} V{height - BOTTOM}"/>')
    return (f'<svg class="plot" data-t0="{t0:.3f}" data-t1="{t1:.3f}" data-unit="{escape(unit)}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}">{"".join(parts)}</svg>')


@dataclass(frozen=True)
class Span:
    """A stretch of time of a strip, ``style`` its CSS class."""

    label: str
    from_s: float
    to_s: float
    style: str


def time_strip(spans: Sequence[Span], t0: float, t1: float, *, marks_s: Sequence[float] = ()) -> str:
    """``spans`` as a coloured strip over the time from ``t0`` to ``t1`` seconds, as wide as ``time_plot``; red marks at ``marks_s``."""
    width, height, t1 = PLOT_SIZE[0], STRIP_HEIGHT, max(t1, t0 + 1e-3)

    def column(t: float) -> float:
        return LEFT + (min(max(t, t0), t1) - t0) / (t1 - t0) * (width - LEFT - RIGHT)

    parts = [f'<rect class="{span.style}" x="{column(span.from_s):.1f}" y="{TOP}" height="{height - TOP - BOTTOM:.1f}" '
             f'width="{column(span.to_s) - column(span.from_s):.1f}"><title>{escape(span.label)}</title></rect>' for span in spans]
    parts += [f'<text class="tick mid" x="{column(t):.1f}" y="{height - 6}">{t:g} s</text>' for t in _ticks(t0, t1, 9) if t0 <= t <= t1]
    parts += [f'<path class="mark" d="M{column(t):.1f},{TOP} V{height - BOTTOM}"/>' for t in marks_s]
    parts.append(f'<path class="cursor" d="M0,{TOP} V{height - BOTTOM}"/>')
    return f'<svg class="plot" data-t0="{t0:.3f}" data-t1="{t1:.3f}" viewBox="0 0 {width:.0f} {height:.0f}">{"".join(parts)}</svg>'


def _ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round numbers from at or below ``low`` to at or above ``high``, about ``count`` steps; 1 is the span of equal ends."""
    if high - low < 1e-6:
        high = low + 1.0
    span = high - low
    power = 10.0 ** np.floor(np.log10(span / count))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if span / (power * factor) <= count)
    first, last = np.floor(low / step + 1e-9), np.ceil(high / step - 1e-9)
    return [round(float(i * step), 9) for i in np.arange(first, last + 1)]


def _thinned(points: np.ndarray, most: int = 1200) -> np.ndarray:
    """At most about ``most`` points that keep each bucket's lowest and highest, so that no spike is lost."""
    if len(points) <= most:
        return points
    kept = {0, len(points) - 1}
    for bucket in np.array_split(np.arange(len(points)), most // 2):
        kept |= {int(bucket[points[bucket, 1].argmin()]), int(bucket[points[bucket, 1].argmax()])}
    return points[sorted(kept)]
