"""From an image to the network's input, with the geometry kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .errors import InvalidImage, InvalidInput
from .geometry import Geometry

__all__ = ["Preprocess"]


@dataclass(frozen=True)
class Preprocess:
    """How an image becomes the network's input: scaled to 0..1, resized, padded, normalised.

    Parameters
    ----------
    size : int or (int, int), optional
        Height and width of the network's input, in pixels; one number means a square. Without it the image keeps its
        size.
    fit : {"resize", "letterbox", "shortest"}
        ``"resize"`` stretches the image to ``size``; ``"letterbox"`` keeps its proportions and pads around it, in the
        middle; ``"shortest"`` keeps its proportions and makes its shorter side ``size``, one number.
    multiple_of : int
        Pad at the bottom and at the right until height and width are multiples of this.
    mean, std : float or sequence of float
        After the image was scaled to 0..1, each channel becomes ``(value - mean) / std``.
    channels : int, optional
        Channels that the network takes. Without it, as many as ``mean`` or ``std`` have, and else as the image has.
    fill : float
        The value of the padding, in the normalised units of the input: 0 is the mean.
    longest : int, optional
        With ``"shortest"``: the longer side is at most as many pixels, which makes the shorter one smaller.

    Raises
    ------
    InvalidInput
        When a size, multiple or standard deviation isn't positive, or ``mean``, ``std`` and ``channels`` disagree.

    Examples
    --------
    >>> preprocess = Preprocess(64, fit="letterbox", mean=0.5, std=0.25)
    >>> tensor, geometry = preprocess(np.full((20, 40, 3), 255, dtype=np.uint8))
    >>> tuple(tensor.shape), geometry.content, geometry.offset
    ((3, 64, 64), (32, 64), (16, 0))
    """

    size: int | tuple[int, int] | None = None
    fit: Literal["resize", "letterbox", "shortest"] = "resize"
    multiple_of: int = 1
    mean: float | Sequence[float] = 0.0
    std: float | Sequence[float] = 1.0
    channels: int | None = None
    fill: float = 0.0
    longest: int | None = None

    def __post_init__(self) -> None:
        if self.fit not in ("resize", "letterbox", "shortest"):
            raise InvalidInput(f"fit is {self.fit!r}; expected 'resize', 'letterbox' or 'shortest'.")
        if self.fit == "shortest" and not _is_count(self.size):
            raise InvalidInput(f"size is {self.size!r}; expected one whole number with fit='shortest'.")
        if self.longest is not None and not (self.fit == "shortest" and _is_count(self.longest)):
            raise InvalidInput(f"longest is {self.longest!r}; expected a whole number, and fit='shortest'.")
        sides = self.size if isinstance(self.size, (tuple, list)) else (self.size, self.size)
        if self.size is not None and not (len(sides) == 2 and all(map(_is_count, sides))):
            raise InvalidInput(f"size is {self.size!r}; expected a positive whole number or (height, width).")
        for name in ("multiple_of", "channels"):
            if not _is_count(getattr(self, name)) and (name, self.channels) != ("channels", None):
                raise InvalidInput(f"{name} is {getattr(self, name)!r}; expected a whole number, 1 or more.")
        for name in ("mean", "std", "fill"):
            object.__setattr__(self, name, self._numbers(name))
        lengths = {len(value) for value in (self.mean, self.std) if isinstance(value, tuple)}
        lengths |= {self.channels} if self.channels is not None else set()
        if len(lengths) > 1:
            raise InvalidInput(
                f"mean, std and channels speak of {sorted(lengths)} channels; expected one number of channels."
            )
        if lengths:
            object.__setattr__(self, "channels", lengths.pop())

    def __call__(self, image: NDArray[np.integer]) -> tuple[Tensor, Geometry]:
        """Turn an image into the network's input.

        Parameters
        ----------
        image : ndarray
            uint8 or uint16, H×W×C.

        Returns
        -------
        tensor : Tensor
            float32, C×h×w, on the CPU.
        geometry : Geometry
            Where the image lies in it.

        Raises
        ------
        InvalidImage
            When the image has another number of channels than the network takes.
        """
        if self.channels is not None and image.shape[2] != self.channels:
            raise InvalidImage(f"The image has {image.shape[2]} channels; the network takes {self.channels}.")
        geometry = self.geometry((image.shape[0], image.shape[1]))
        values = torch.from_numpy(np.ascontiguousarray(np.moveaxis(image, 2, 0), dtype=np.float32))
        values = values / float(np.iinfo(image.dtype).max)
        mean, std = (torch.as_tensor(value, dtype=torch.float32).reshape(-1, 1, 1) for value in (self.mean, self.std))
        # Normalised before it is placed, so that the padding is in the input's own units.
        return geometry.to_input((values - mean) / std, fill=self.fill), geometry

    def geometry(self, image: tuple[int, int]) -> Geometry:
        """Return where an image of this size lies in the network's input.

        Parameters
        ----------
        image : (int, int)
            Height and width in pixels.

        Returns
        -------
        Geometry
            Content, offset and input size.
        """
        target = self._target(image)
        content, offset = target, (0, 0)
        if self.fit == "letterbox":
            scale = min(target[0] / image[0], target[1] / image[1])
            content = (
                min(target[0], max(1, round(image[0] * scale))),
                min(target[1], max(1, round(image[1] * scale))),
            )
            offset = ((target[0] - content[0]) // 2, (target[1] - content[1]) // 2)
        height, width = (math.ceil(side / self.multiple_of) * self.multiple_of for side in target)
        return Geometry(image=image, content=content, offset=offset, input=(height, width))

    def _target(self, image: tuple[int, int]) -> tuple[int, int]:
        if self.size is None:
            return image
        if self.fit != "shortest" or not isinstance(self.size, (int, np.integer)):
            return self._height_width(self.size)
        scale = self.size / min(image)
        if self.longest is not None:
            scale = min(scale, self.longest / max(image))
        return max(1, round(image[0] * scale)), max(1, round(image[1] * scale))

    def _numbers(self, name: str) -> float | tuple[float, ...]:
        given = getattr(self, name)
        try:
            values = np.asarray(given, dtype=float)
        except (TypeError, ValueError):
            values = np.array(np.nan)
        if values.ndim > (name != "fill") or not np.isfinite(values).all() or (name == "std" and (values <= 0).any()):
            kind = "positive numbers" if name == "std" else "finite numbers"
            raise InvalidInput(f"{name} is {given!r}; expected {kind}.")
        return tuple(values.tolist()) if values.ndim else float(values)

    @staticmethod
    def _height_width(size: int | tuple[int, int]) -> tuple[int, int]:
        height, width = size if isinstance(size, (tuple, list)) else (size, size)
        return int(height), int(width)


def _is_count(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and int(value) > 0
