"""How the air looks in each weather: sun, sky dome, fog, wetness, night. CARLA's weather units in, linear light out."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from kd_planner_ros.core.scene import Weather

DOME = 512  # texels a side of the hemi-octahedral sky


class Look(NamedTuple):
    """Scalars of one weather. Light is linear; ``sun_*`` unit vector towards the sun; ``fog_beta`` 1/m."""

    sun_x: float
    sun_y: float
    sun_z: float
    sun_r: float
    sun_g: float
    sun_b: float
    sky_r: float  # ambient light from above
    sky_g: float
    sky_b: float
    low_r: float  # ambient light from the ground
    low_g: float
    low_b: float
    fog_r: float
    fog_g: float
    fog_b: float
    fog_beta: float
    fog_start: float
    wet: float
    puddles: float
    night: float
    rain: float


def _mix(a, b, share: float) -> np.ndarray:
    return np.asarray(a, float) * (1.0 - share) + np.asarray(b, float) * share


def make_look(weather: Weather) -> Look:
    """The scalars of ``weather``. CARLA's azimuth runs clockwise from its +x (east here), seen from above."""
    azimuth, altitude = -math.radians(weather.sun_azimuth_deg), math.radians(weather.sun_altitude_deg)
    cloud = min(1.0, weather.cloudiness / 100.0)
    night = float(np.clip((4.0 - weather.sun_altitude_deg) / 12.0, 0.0, 1.0))
    low_sun = float(np.clip((32.0 - weather.sun_altitude_deg) / 26.0, 0.0, 1.0))
    overcast = cloud ** 1.6
    sun = _mix((1.0, 0.96, 0.88), (1.0, 0.62, 0.32), low_sun) * (1.85 - 0.45 * low_sun) * (1.0 - 0.93 * overcast) * (1 - night)
    sky = _mix(_mix((0.27, 0.34, 0.46), (0.42, 0.38, 0.42), low_sun), (0.62, 0.64, 0.68), 0.8 * overcast)
    sky = sky * (1.0 - 0.25 * low_sun) * (1.0 - 0.25 * overcast) * (1.0 - night) + np.array([0.016, 0.020, 0.034]) * night
    low = _mix(0.35 * sky, 0.18 * sun + 0.25 * sky, 1.0 - overcast)
    fog = _mix(_mix((0.66, 0.75, 0.86), (0.86, 0.66, 0.52), low_sun), (0.62, 0.65, 0.69), overcast)
    fog = fog * (1.0 - 0.22 * low_sun) * (1.0 - night) + np.array([0.014, 0.017, 0.026]) * night
    beta = 0.0011 + 0.016 * (weather.fog_density / 100.0) ** 1.5 + 0.0025 * (weather.precipitation / 100.0)
    wet = float(np.clip(max(weather.wetness, weather.puddles * 1.3, weather.precipitation * 1.4) / 100.0, 0.0, 1.0))
    height = max(altitude, math.radians(6.0))  # a sun below the horizon gives no light; keep the vector above it
    return Look(math.cos(height) * math.cos(azimuth), math.cos(height) * math.sin(azimuth), math.sin(height),
                *map(float, sun), *map(float, sky), *map(float, low), *map(float, fog), beta,
                float(min(weather.fog_distance, 100.0)), wet, min(1.0, weather.puddles / 100.0), night,
                min(1.0, weather.precipitation / 100.0))


def make_dome(look: Look, cloudiness: float, clouds: np.ndarray) -> np.ndarray:
    """Sky light [DOME, DOME, 3] float32 over the hemi-octahedral map of directions; ``clouds`` a noise tile."""
    u, v = np.meshgrid(*(2.0 * (np.arange(DOME) + 0.5) / DOME - 1.0,) * 2)
    x, y = 0.5 * (u + v), 0.5 * (u - v)
    direction = np.stack([x, y, np.maximum(1.0 - np.abs(x) - np.abs(y), 0.0)], -1)
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    height = direction[..., 2]
    sun = direction @ np.array([look.sun_x, look.sun_y, look.sun_z])
    low = np.array([look.fog_r, look.fog_g, look.fog_b])
    warm = look.sun_r / max(look.sun_b, 1e-3) if look.night < 0.5 else 1.0
    zenith = np.array([0.16, 0.30, 0.62]) * (1.0 - look.night) / warm ** 0.25 + np.array([0.004, 0.006, 0.014]) * look.night
    sky = zenith + (low - zenith) * np.exp(-4.2 * height)[..., None]
    light = np.array([look.sun_r, look.sun_g, look.sun_b])
    sky = sky + light * (0.30 * np.clip(sun, 0, 1) ** 8 + 0.9 * np.clip(sun, 0, 1) ** 220)[..., None]
    sky += light * (6.0 * (sun > 0.9993))[..., None]
    return _clouded(sky, direction, light, low, cloudiness, look.night, clouds).astype(np.float32)


def _clouded(sky, direction, light, low, cloudiness: float, night: float, clouds: np.ndarray) -> np.ndarray:
    """Lays a plane of clouds over ``sky``; near the horizon it melts into the haze."""
    size = clouds.shape[0]
    height = direction[..., 2]
    plane = direction[..., :2] / np.maximum(height, 0.06)[..., None]
    column, row = (np.floor(plane[..., k] * 46.0).astype(int) % size for k in (0, 1))
    fine_c, fine_r = (np.floor(plane[..., k] * 150.0).astype(int) % size for k in (0, 1))
    field = 0.78 * clouds[row, column] + 0.22 * clouds[fine_r, fine_c]
    edge = 0.78 - 0.62 * cloudiness / 100.0
    cover = np.clip((field - edge) / 0.16, 0.0, 1.0) * np.clip(height * 7.0, 0.0, 1.0)
    white = (0.32 * light + 0.55 * np.maximum(low, 0.0)) * (1.15 - 0.45 * np.clip((field - edge) / 0.5, 0, 1))[..., None]
    white = white * (1.0 - night) + np.array([0.010, 0.011, 0.015]) * night
    return sky * (1.0 - 0.92 * cover[..., None]) + white * 0.92 * cover[..., None]
