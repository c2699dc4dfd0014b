"""A weather that changes along a route, as route files of leaderboard 2.0 describe it."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from itertools import pairwise

from kd_planner_ros.core.scene import Weather

STEPS = 20
"""The weather changes after every 5 per cent of the route: each sun position has shadows of its own, which take a while."""


@dataclass(frozen=True)
class WeatherCourse:
    """Weathers at shares of the route's length: ``key_points`` are (share in [0, 1], weather) by ascending share. Between two of them
    every number is interpolated, before the first and after the last it stays."""

    name: str
    key_points: tuple[tuple[float, Weather], ...]

    def at(self, share: float) -> Weather:
        """The weather after ``share`` [0, 1] of the route."""
        share = math.floor(min(max(share, 0.0), 1.0) * STEPS + 1e-9) / STEPS
        for (start, before), (end, after) in pairwise(self.key_points):
            if start <= share < end:
                return _between(before, after, (share - start) / (end - start))
        return self.key_points[0][1] if share < self.key_points[0][0] else self.key_points[-1][1]


def weather_at(weather: Weather | WeatherCourse, share: float) -> Weather:
    """The weather after ``share`` [0, 1] of a route."""
    return weather.at(share) if isinstance(weather, WeatherCourse) else weather


def course(name: str, key_points: tuple[tuple[float, Weather], ...]) -> Weather | WeatherCourse:
    """The course called ``name``, or the one weather that it has throughout."""
    ordered = tuple((share, replace(weather, name=name)) for share, weather in sorted(key_points, key=lambda point: point[0]))
    alike = all(weather == ordered[0][1] for _, weather in ordered)
    return ordered[0][1] if alike else WeatherCourse(name, ordered)


def _between(before: Weather, after: Weather, share: float) -> Weather:
    numbers = {field.name: getattr(before, field.name) + share * (getattr(after, field.name) - getattr(before, field.name))
               for field in fields(Weather) if field.name != "name"}
    return replace(before, **numbers)
