"""Colours: one for each class, and how importance is coloured."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

__all__ = ["class_colors", "colorize", "to_rgb"]

# Okabe and Ito's colours, which people with any kind of colour vision tell apart; the first class is most often the
# background.
_OKABE_ITO = ("#999999", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")


def class_colors(count: int) -> tuple[str, ...]:
    """Return a colour for each class: grey for the first, then colour-blind safe ones, then more of them.

    Parameters
    ----------
    count : int
        How many classes there are.

    Returns
    -------
    tuple of str
        ``"#RRGGBB"`` each.
    """
    return tuple(_OKABE_ITO[index] if index < len(_OKABE_ITO) else _further(index) for index in range(count))


def to_rgb(colors: tuple[str, ...]) -> NDArray[np.uint8]:
    """Return colours as numbers.

    Parameters
    ----------
    colors : tuple of str
        ``"#RRGGBB"`` each.

    Returns
    -------
    ndarray
        uint8, N×3.
    """
    return np.array([[int(color[start : start + 2], 16) for start in (1, 3, 5)] for color in colors], dtype=np.uint8)


def colorize(values: NDArray[np.float32], *, limit: float, signed: bool) -> NDArray[np.uint8]:
    """Colour a map: inferno from 0 to the limit, or red–blue around zero for signed maps.

    Parameters
    ----------
    values : ndarray
        float32, H×W, raw.
    limit : float
        The value that gets the last colour, zero or above; for signed maps also the negative end.
    signed : bool
        Whether negative values have a meaning.

    Returns
    -------
    ndarray
        uint8, H×W×3. A limit of zero gives the colour of zero everywhere.
    """
    from matplotlib import colormaps

    scaled = values / limit if limit > 0 else np.zeros_like(values)
    shown = colormaps["RdBu_r"](scaled / 2 + 0.5, bytes=True) if signed else colormaps["inferno"](scaled, bytes=True)
    return np.ascontiguousarray(shown[..., :3])


def _further(index: int) -> str:
    """Return colours that step around the hue circle by the golden angle, in three lightnesses."""
    red, green, blue = colorsys.hls_to_rgb(index * 0.618034 % 1, (0.45, 0.62, 0.32)[index % 3], 0.65)
    return "#" + "".join(f"{round(part * 255):02X}" for part in (red, green, blue))
