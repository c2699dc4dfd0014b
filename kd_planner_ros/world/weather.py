"""CARLA's 21 weathers of the benchmark's data collection, and the one its routes are scored in."""

from __future__ import annotations

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import Weather
from kd_planner_ros.core.weather_course import WeatherCourse, course

_NOON_DEG, _SUNSET_DEG, _NIGHT_DEG = 45.0, 15.0, -90.0


def _day(name: str, cloudiness: float, rain: float, puddles: float, wind: float, altitude_deg: float,
         fog: float) -> Weather:
    return Weather(name, cloudiness, rain, puddles, wind, -1.0, altitude_deg, fog, 0.75, 0.0)


def _night(name: str, cloudiness: float, rain: float, puddles: float, wind: float, fog: float, fog_distance: float,
           wetness: float) -> Weather:
    return Weather(name, cloudiness, rain, puddles, wind, -1.0, _NIGHT_DEG, fog, fog_distance, wetness)


WEATHERS: tuple[Weather, ...] = (
    _day("ClearNoon", 5, 0, 0, 10, _NOON_DEG, 2),
    _day("ClearSunset", 5, 0, 0, 10, _SUNSET_DEG, 2),
    _day("CloudyNoon", 60, 0, 0, 10, _NOON_DEG, 3),
    _day("CloudySunset", 60, 0, 0, 10, _SUNSET_DEG, 3),
    _day("WetNoon", 5, 0, 50, 10, _NOON_DEG, 3),
    _day("WetSunset", 5, 0, 50, 10, _SUNSET_DEG, 2),
    _day("MidRainyNoon", 60, 60, 60, 60, _NOON_DEG, 3),
    _day("MidRainSunset", 60, 60, 60, 60, _SUNSET_DEG, 3),
    _day("WetCloudyNoon", 60, 0, 50, 10, _NOON_DEG, 3),
    _day("WetCloudySunset", 60, 0, 50, 10, _SUNSET_DEG, 2),
    _day("HardRainNoon", 100, 100, 90, 100, _NOON_DEG, 7),
    _day("HardRainSunset", 100, 100, 90, 100, _SUNSET_DEG, 7),
    _day("SoftRainNoon", 20, 30, 50, 30, _NOON_DEG, 3),
    _day("SoftRainSunset", 20, 30, 50, 30, _SUNSET_DEG, 2),
    _night("ClearNight", 5, 0, 0, 10, 60, 75, 1),
    _night("CloudyNight", 60, 0, 0, 10, 60, 0.75, 0.1),
    _night("WetNight", 5, 0, 50, 10, 60, 75, 1),
    _night("WetCloudyNight", 60, 0, 50, 10, 60, 0.75, 0.1),
    _night("SoftRainNight", 60, 30, 50, 30, 60, 0.75, 0.1),
    _night("MidRainyNight", 80, 60, 60, 60, 60, 0.75, 0.1),
    _night("HardRainNight", 100, 100, 90, 100, 60, 0.75, 0.1),
)
"""Ids 0 to 20 as InterFuser's data collection numbers them."""

ROUTE_WEATHER = Weather("Benchmark", cloudiness=30.0, wind=0.0, sun_azimuth_deg=0.0, sun_altitude_deg=70.0,
                        fog_density=0.0)
"""What the leaderboard sets on routes that carry no weather."""


def weather_by(name_or_id: str | int) -> Weather:
    """The weather with that id (0 to 20) or name.

    Raises:
        ConfigError: there is none.
    """
    text = str(name_or_id)
    for number, weather in enumerate(WEATHERS):
        if text in (str(number), weather.name):
            return weather
    if text == ROUTE_WEATHER.name:
        return ROUTE_WEATHER
    raise ConfigError("a weather id from 0 to 20 or a name such as ClearNoon", repr(name_or_id),
                      f"name one of {', '.join(weather.name for weather in WEATHERS)}")


def route_weather(route: Route) -> Weather | WeatherCourse:
    """The weather of the route's own file, called ``Route``; where the file has none, what the leaderboard sets then."""
    return course("Route", route.weathers) if route.weathers else ROUTE_WEATHER


def needs_headlights(weather: Weather) -> bool:
    """Whether drivers have their lights on: low sun, heavy rain or fog."""
    return weather.sun_altitude_deg < 10.0 or weather.precipitation >= 60.0 or weather.fog_density >= 40.0
