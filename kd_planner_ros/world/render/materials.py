"""What surfaces are made of: ground classes, materials of triangles, their colours and their semantic tags.

Colours are written as sRGB (what a picture shows at noon) and used as linear light.
"""

from __future__ import annotations

import numpy as np

# CARLA >= 0.9.14 semantic tags used by the static world (ActorKind holds those of actors)
TAG_ROAD, TAG_SIDEWALK, TAG_BUILDING, TAG_WALL, TAG_FENCE, TAG_POLE = 1, 2, 3, 4, 5, 6
TAG_TRAFFIC_LIGHT, TAG_SIGN, TAG_VEGETATION, TAG_TERRAIN, TAG_SKY, TAG_RIDER = 7, 8, 9, 10, 11, 13
TAG_STATIC, TAG_ROAD_LINE, TAG_GROUND = 20, 24, 25

# classes of the ground raster
(G_GRASS, G_ASPHALT, G_WHITE, G_YELLOW, G_SIDEWALK, G_KERB, G_SHOULDER, G_PLAZA, G_DIRT) = range(9)
GROUND_TAGS = np.array([TAG_TERRAIN, TAG_ROAD, TAG_ROAD_LINE, TAG_ROAD_LINE, TAG_SIDEWALK, TAG_SIDEWALK, TAG_ROAD,
                        TAG_GROUND, TAG_TERRAIN], np.uint8)
GROUND_RGB = np.array([[86, 104, 58], [92, 92, 94], [214, 214, 208], [208, 168, 62], [150, 147, 140],
                       [176, 172, 164], [104, 103, 101], [128, 124, 117], [120, 104, 80]], np.uint8)

# materials of triangles: the static world first, then what actors are made of
(M_FACADE, M_PLAIN, M_ROOF, M_LEAF, M_BARK, M_METAL, M_HOUSING, M_LAMP, M_STOP_SIGN, M_STREET_LAMP) = range(10)
(M_PAINT, M_GLASS, M_TYRE, M_RIM, M_DARK, M_BRAKE, M_HEADLIGHT, M_LEFT_LAMP, M_RIGHT_LAMP, M_PLATE, M_SKIN, M_SHIRT,
 M_TROUSERS, M_HAIR, M_CARGO, M_BARRIER) = range(10, 26)

FACADE_RGB = np.array([[178, 160, 138], [142, 88, 70], [196, 188, 174], [120, 118, 116], [168, 130, 100],
                       [98, 104, 112], [205, 192, 160], [150, 152, 156], [122, 72, 58], [184, 176, 150]], np.uint8)
LEAF_RGB = np.array([[66, 92, 40], [84, 108, 48], [56, 82, 44], [98, 106, 46], [74, 98, 62]], np.uint8)
PAINT_RGB = np.array([[222, 222, 220], [24, 24, 26], [140, 142, 146], [90, 94, 100], [170, 26, 24], [28, 58, 120],
                      [196, 190, 176], [18, 62, 44], [212, 148, 24], [70, 20, 28], [88, 132, 170], [120, 92, 62]],
                     np.uint8)
CLOTH_RGB = np.array([[150, 40, 40], [40, 60, 120], [44, 44, 48], [190, 186, 176], [60, 100, 66], [186, 150, 60],
                      [110, 70, 110], [96, 120, 140], [210, 96, 40], [72, 58, 46]], np.uint8)

# fixed colours of actor materials; paint, cargo and cloth come from the actor's seed
FIXED_RGB = {M_GLASS: (26, 32, 38), M_TYRE: (26, 26, 27), M_RIM: (150, 152, 156), M_DARK: (34, 34, 36),
             M_BRAKE: (120, 14, 14), M_HEADLIGHT: (216, 220, 224), M_LEFT_LAMP: (190, 104, 20),
             M_RIGHT_LAMP: (190, 104, 20), M_PLATE: (220, 220, 210), M_HAIR: (48, 36, 28), M_BARRIER: (214, 92, 30)}


def linear(rgb) -> np.ndarray:
    """sRGB bytes [..., 3] as linear light, float32 in [0, 1] (gamma 2.2)."""
    return ((np.asarray(rgb, np.float64) / 255.0) ** 2.2).astype(np.float32)


def tone_table(size: int = 4096) -> np.ndarray:
    """Display bytes [size] for linear light 0..4: a filmic shoulder, then gamma 2.2."""
    light = np.linspace(0.0, 4.0, size)
    shoulder = light * (1.0 + light / 9.0) / (1.0 + light * 0.62)
    return np.clip(255.0 * np.clip(shoulder, 0.0, 1.0) ** (1.0 / 2.2) + 0.5, 0, 255).astype(np.uint8)


def noise_tile(rng: np.random.Generator, size: int = 512, slope: float = 1.0) -> np.ndarray:
    """Tileable noise [size, size], float32 in [0, 1], mean 0.5; power falls with frequency to the ``slope``."""
    spectrum = np.fft.rfft2(rng.standard_normal((size, size)))
    fy, fx = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]
    radius = np.hypot(fx, fy)
    radius[0, 0] = 1.0
    spectrum *= radius ** -slope
    spectrum[0, 0] = 0.0
    field = np.fft.irfft2(spectrum, (size, size))
    return np.clip(0.5 + field / (6.0 * field.std()), 0.0, 1.0).astype(np.float32)
