"""Photometric augmentation of pictures: TCP's, cheap enough for training on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import cv2
import numpy as np

Operation = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def augment(images: np.ndarray, probability: float, rng: np.random.Generator, operations: Sequence[Operation] | None = None) -> np.ndarray:
    """``images`` uint8 [B, H, W, 3] changed in place and given back: each of eight operations, or of ``operations``, with ``probability``.

    Blur, additive noise, coarse dropout, dropout, brightness, scale (all channels or each), contrast, grey.
    No operation moves pixels: the geometry that the waypoints refer to stays. Source: TCP's augmenter, ranges ours
    where imgaug's defaults are too slow.
    """
    known = _OPERATIONS if operations is None else operations
    for row in range(len(images)):
        chosen = rng.random(len(known)) < probability
        if chosen.any():
            image = images[row]
            for operation in rng.permutation(np.flatnonzero(chosen)):
                image = known[operation](image, rng)
            images[row] = image
    return images


def augment_alike(stacks: Iterable[np.ndarray], probability: float, rng: np.random.Generator) -> None:
    """Blur, brightness, scale, contrast and grey of ``augment`` on each of ``stacks`` uint8 [B, H, W, 3] in place, with one draw: row b of
    every stack gets the same operations of the same strength. For neighbouring frames of one camera, and for pictures of different
    sizes. Noise and dropout are left out: a pattern at the same pixels of two frames looks like a world that does not move."""
    first, *others = stacks
    before = rng.bit_generator.state
    augment(first, probability, rng, WITHOUT_PATTERN)
    for stack in others:
        again = np.random.Generator(type(rng.bit_generator)())
        again.bit_generator.state = before
        augment(stack, probability, again, WITHOUT_PATTERN)


def _blur(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.1, 1.3)))


def _noise(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    tile = rng.normal(0.0, rng.uniform(1.0, 12.0), (64, 64, 3)).astype(np.int16)
    repeats = (image.shape[0] // 64 + 1, image.shape[1] // 64 + 1, 1)
    noise = np.tile(tile, repeats)[: image.shape[0], : image.shape[1]]
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def _coarse_dropout(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    keep = (rng.random((8, 16)) > rng.uniform(0.0, 0.1)).astype(np.uint8)
    mask = cv2.resize(keep, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    return image * mask[..., None]


def _dropout(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    tile = rng.random((64, 64)) > rng.uniform(0.0, 0.1)
    repeats = (image.shape[0] // 64 + 1, image.shape[1] // 64 + 1)
    return image * np.tile(tile, repeats)[: image.shape[0], : image.shape[1], None]


def _linear(image: np.ndarray, scale: np.ndarray, offset: np.ndarray) -> np.ndarray:
    levels = np.arange(256, dtype=np.float32)[:, None]
    table = np.clip(levels * scale + offset, 0.0, 255.0).astype(np.uint8)  # [256, 3]
    return cv2.LUT(image, table.reshape(1, 256, 3))


def _brightness(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    per_channel = rng.random() < 0.3
    return _linear(image, np.ones(3), np.broadcast_to(rng.uniform(-30.0, 30.0, 3 if per_channel else 1), 3))


def _scale(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    per_channel = rng.random() < 0.2
    return _linear(image, np.broadcast_to(rng.uniform(0.75, 1.3, 3 if per_channel else 1), 3), np.zeros(3))


def _contrast(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    scale = rng.uniform(0.6, 1.5)
    return _linear(image, np.full(3, scale), np.full(3, 127.0 * (1.0 - scale)))


def _grey(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    share = float(rng.random())
    return cv2.addWeighted(image, 1.0 - share, grey, share, 0.0)


_OPERATIONS = (_blur, _noise, _coarse_dropout, _dropout, _brightness, _scale, _contrast, _grey)
WITHOUT_PATTERN = (_blur, _brightness, _scale, _contrast, _grey)
"""The operations that leave no pattern of single pixels or squares."""
