"""Where a pixel of the image lies in the network's input, and back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .errors import InvalidInput

__all__ = ["Geometry", "resize", "unresize"]


@dataclass(frozen=True)
class Geometry:
    """How an image was placed in the network's input: resized to ``content``, then padded to ``input``.

    Coordinates are continuous, (row, column) from the top left; pixel *i* covers the interval [i, i + 1), so that its
    centre is at i + 0.5. All sizes are (height, width) in pixels.

    Parameters
    ----------
    image : (int, int)
        Size of the image that the user gave.
    content : (int, int)
        Size of the resized image inside the input.
    offset : (int, int)
        Row and column of the input at which the content starts.
    input : (int, int)
        Size of the network's input, padding included.

    Examples
    --------
    >>> geometry = Geometry(image=(100, 200), content=(50, 100), offset=(25, 0), input=(100, 100))
    >>> geometry.point_to_input(0.0, 200.0)
    (25.0, 100.0)
    >>> geometry.point_to_image(25.0, 100.0)
    (0.0, 200.0)
    """

    image: tuple[int, int]
    content: tuple[int, int]
    offset: tuple[int, int]
    input: tuple[int, int]

    @classmethod
    def identity(cls, size: tuple[int, int]) -> Geometry:
        """Return the geometry of an image that is itself the network's input.

        Parameters
        ----------
        size : (int, int)
            Height and width in pixels.

        Returns
        -------
        Geometry
            Content and input are the image.
        """
        return cls(image=size, content=size, offset=(0, 0), input=size)

    def point_to_input(self, row: float, column: float) -> tuple[float, float]:
        """Map a point of the image to the point of the input that shows it.

        Parameters
        ----------
        row, column : float
            Continuous image coordinates, in pixels.

        Returns
        -------
        (float, float)
            Row and column in the input, in pixels.
        """
        points = zip((row, column), self.image, self.content, self.offset, strict=True)
        vertical, horizontal = (point * content / image + offset for point, image, content, offset in points)
        return vertical, horizontal

    def point_to_image(self, row: float, column: float) -> tuple[float, float]:
        """Map a point of the input to the point of the image that it shows; in the padding it lies outside the image.

        Parameters
        ----------
        row, column : float
            Continuous input coordinates, in pixels.

        Returns
        -------
        (float, float)
            Row and column in the image, in pixels.
        """
        points = zip((row, column), self.image, self.content, self.offset, strict=True)
        vertical, horizontal = ((point - offset) * image / content for point, image, content, offset in points)
        return vertical, horizontal

    def to_input(self, values: Tensor, *, fill: float = 0.0) -> Tensor:
        """Place values given per image pixel in the input, by the geometry of the image itself.

        Parameters
        ----------
        values : Tensor
            float, …×H×W, one value a pixel of the image.
        fill : float
            The value of the padding.

        Returns
        -------
        Tensor
            float, …×h×w, one value a pixel of the input.

        Raises
        ------
        InvalidInput
            When the values have another size than the image.
        """
        if tuple(values.shape[-2:]) != self.image:
            raise InvalidInput(f"The values have size {tuple(values.shape[-2:])}, but the image has {self.image}.")
        top, left = self.offset
        bottom, right = (
            whole - start - part for whole, start, part in zip(self.input, self.offset, self.content, strict=True)
        )
        return functional.pad(resize(values, self.content), (left, right, top, bottom), value=fill)

    def to_image(self, values: Tensor) -> Tensor:
        """Bring a map that covers the whole input, at any resolution, to the pixels of the image.

        Interpolation is bilinear with pixel centres at half-integers (``align_corners=False``), anti-aliased where the
        image is coarser than the map. Without padding it equals
        ``torch.nn.functional.interpolate(values, image, mode="bilinear", antialias=True)``.

        Parameters
        ----------
        values : Tensor
            float, …×m×n, a map over the whole input, padding included.

        Returns
        -------
        Tensor
            float, …×H×W.
        """
        if self.content == self.input:
            return resize(values, self.image)
        rows, columns = (torch.arange(length, dtype=torch.float64) + 0.5 for length in self.image)
        return self.sample(values, rows, columns)

    def sample(self, values: Tensor, rows: Tensor, columns: Tensor, *, spacing: tuple[float, float] = (1, 1)) -> Tensor:
        """Read a map that covers the whole input, at any resolution, on a grid of points of the image.

        Parameters
        ----------
        values : Tensor
            float, …×m×n, a map over the whole input, padding included.
        rows, columns : Tensor
            float, M and N continuous coordinates in the image, in pixels.
        spacing : (float, float)
            How far the points are apart, in pixels; where that is more than the map's own cells, it is anti-aliased.

        Returns
        -------
        Tensor
            float, …×M×N, bilinearly interpolated.
        """
        down, across = (
            self._sampling(axis, values.shape[axis - 2], points, spacing[axis], values)
            for axis, points in enumerate((rows, columns))
        )
        return down @ values @ across.mT

    def _sampling(self, axis: int, length: int, points: Tensor, spacing: float, like: Tensor) -> Tensor:
        """Return the matrix (points × map length) which samples a map's axis at points of the image."""
        scale = length / self.input[axis]
        per_pixel = self.content[axis] / self.image[axis] * scale
        step = spacing * per_pixel
        positions = points.to(like.device, torch.float64) * per_pixel + self.offset[axis] * scale
        cells = torch.arange(length, device=like.device, dtype=torch.float64) + 0.5
        weights = (1 - (cells[None, :] - positions.clamp(0.5, length - 0.5)[:, None]).abs() / max(step, 1.0)).clamp(
            min=0
        )
        return (weights / weights.sum(1, keepdim=True)).to(like.dtype)


def resize(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize the last two axes bilinearly (``align_corners=False``), anti-aliased when they shrink.

    Parameters
    ----------
    values : Tensor
        float, …×h×w.
    size : (int, int)
        The new height and width.

    Returns
    -------
    Tensor
        float, …×H×W; the very same tensor when the size is right already.
    """
    if tuple(values.shape[-2:]) == tuple(size):
        return values
    flat = values.reshape(1, -1, *values.shape[-2:])
    # Where both axes grow, anti-aliasing changes nothing and costs time.
    shrinks = size[0] < values.shape[-2] or size[1] < values.shape[-1]
    if shrinks and size[1] == 1 < size[0]:
        # PyTorch (seen in 2.13) anti-aliases wrongly where the new width is 1; turned on its side the map is right.
        return resize(values.mT, (1, size[0])).mT
    resized = functional.interpolate(flat, size=tuple(size), mode="bilinear", align_corners=False, antialias=shrinks)
    return resized.reshape(*values.shape[:-2], *size)


def unresize(weights: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring the weights of a sum over resized values to the values themselves: the transpose of :func:`resize`.

    Parameters
    ----------
    weights : Tensor
        float, H×W.
    size : (int, int)
        Height and width of the values before they are resized to H×W.

    Returns
    -------
    Tensor
        float, h×w, so that ``(values * unresize(weights, size)).sum()`` is ``(resize(values, (H, W)) * weights).sum()``
        for all values; the very same tensor when the size is right already.
    """
    if tuple(weights.shape) == tuple(size):
        return weights
    down, across = (_resizing(old, new, weights) for old, new in zip(size, weights.shape, strict=True))
    return down @ weights @ across.mT


def _resizing(old: int, new: int, like: Tensor) -> Tensor:
    """Return what one axis is multiplied with from the right to resize it, old×new."""
    return resize(torch.eye(old, dtype=like.dtype, device=like.device)[:, :, None], (new, 1))[:, :, 0]
