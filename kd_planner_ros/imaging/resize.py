"""Scaling of pictures and of label maps."""

from __future__ import annotations

import math

import cv2
import numpy as np


def resize_rgb(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """``image`` [H, W] or [H, W, C] scaled to ``height`` x ``width``; unchanged (not copied) where it fits already.

    Area averaging when neither axis grows, which keeps thin markings and does not alias; linear otherwise.
    """
    if image.shape[:2] == (height, width):
        return image
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if _shrinks(image, height, width) else cv2.INTER_LINEAR)


def resize_rows(image: np.ndarray, height: int, width: int, top: int, rows: int) -> np.ndarray:
    """Rows ``top`` to ``top + rows`` of what ``resize_rgb`` gives. Of a picture that shrinks, rows far from them are not scaled."""
    if not _shrinks(image, height, width):
        return resize_rgb(image, height, width)[top:top + rows]
    tall = image.shape[0]
    step = height // math.gcd(height, tall)  # each step-th row begins where a row of the picture does
    first, last = top // step * step, min(-(-(top + rows) // step) * step, height)
    part = resize_rgb(image[first * tall // height:last * tall // height], last - first, width)
    return part[top - first:top - first + rows]


def _shrinks(image: np.ndarray, height: int, width: int) -> bool:
    return height <= image.shape[0] and width <= image.shape[1]


def resize_labels(labels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Class ids, instance ids or depth [H, W] scaled by nearest neighbour, so that no value is invented."""
    if labels.shape[:2] == (height, width):
        return labels
    rows = np.minimum(((np.arange(height) + 0.5) * labels.shape[0] / height).astype(int), labels.shape[0] - 1)
    columns = np.minimum(((np.arange(width) + 0.5) * labels.shape[1] / width).astype(int), labels.shape[1] - 1)
    return labels[rows[:, None], columns[None]]
