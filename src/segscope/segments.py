"""Areas that an image falls into by itself: connected parts of a mask, and superpixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidRegion, shown

__all__ = ["MAX_SUPERPIXELS", "check_count", "component", "components", "superpixels"]

MAX_SUPERPIXELS = 5000
"""The most superpixels that an image can be divided into."""

# Beyond this size superpixels are found on a smaller copy: more pixels would cost time, and hardly move a border.
_MOST_PIXELS = 2**18
# The usual weight of nearness against likeness of colour in CIELAB.
_COMPACTNESS = 10.0


def component(mask: NDArray[np.int32], row: int, column: int) -> NDArray[np.bool_]:
    """Return the pixels of the same class that are connected with one pixel, corners included.

    Parameters
    ----------
    mask : ndarray
        int32, H×W: class indices.
    row, column : int
        A pixel of the mask.

    Returns
    -------
    ndarray
        bool, H×W.
    """
    from skimage.measure import label

    labels = label(mask == mask[row, column], connectivity=2)
    return np.asarray(labels == labels[row, column])


def components(mask: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return which connected part of its class each pixel belongs to, corners included.

    Parameters
    ----------
    mask : ndarray
        int32, H×W: class indices.

    Returns
    -------
    ndarray
        int32, H×W: the number of each pixel's part, from 0 without gaps, in reading order.
    """
    from skimage.measure import label

    # No class has the index -1: every pixel belongs to a part.
    return np.asarray(label(mask, connectivity=2, background=-1) - 1, dtype=np.int32)


def superpixels(image: NDArray[np.uint8], count: int) -> NDArray[np.int32]:
    """Divide an image into patches of similar colour and size (SLIC, in CIELAB).

    The same image and count always give the same patches.

    Parameters
    ----------
    image : ndarray
        uint8, H×W×3.
    count : int
        How many patches are wanted, 1..5000; about as many come out.

    Returns
    -------
    ndarray
        int32, H×W: the number of each pixel's patch, from 0.

    Raises
    ------
    InvalidRegion
        When the count is out of range.

    Notes
    -----
    Achanta et al. 2012, SLIC superpixels compared to state-of-the-art superpixel methods, doi:10.1109/TPAMI.2012.120.
    Images of more than 2¹⁸ pixels are divided at a smaller size, and each pixel takes the patch of the nearest point.
    """
    from skimage.segmentation import slic

    check_count(count)
    height, width = image.shape[:2]
    shrink = min(1.0, (_MOST_PIXELS / (height * width)) ** 0.5)
    small = _shrunk(image, max(1, int(height * shrink)), max(1, int(width * shrink)))
    labels = slic(small, n_segments=count, compactness=_COMPACTNESS, start_label=0, channel_axis=2)
    rows, columns = (_nearest(*lengths) for lengths in zip((height, width), labels.shape, strict=True))
    return np.asarray(labels[rows[:, None], columns[None, :]], dtype=np.int32)


def check_count(count: object) -> None:
    """Raise :class:`InvalidRegion` unless an image can be divided into this many superpixels.

    Parameters
    ----------
    count : object
        What came.

    Raises
    ------
    InvalidRegion
        When it isn't a whole number in range.
    """
    whole = isinstance(count, (int, np.integer)) and not isinstance(count, bool)
    if not whole or not 1 <= int(count) <= MAX_SUPERPIXELS:  # type: ignore[call-overload] # it is a whole number
        raise InvalidRegion(
            f"The number of superpixels is {shown(count)}; expected a whole number from 1 to {MAX_SUPERPIXELS}."
        )


def _nearest(length: int, small: int) -> NDArray[np.intp]:
    """Return for each of so many pixels the nearest of fewer that cover the same length."""
    return ((np.arange(length) + 0.5) * small / length).astype(np.intp)


def _shrunk(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    from PIL import Image

    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BOX))
