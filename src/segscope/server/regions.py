"""Regions that came over the wire, checked against the image before any memory is taken for them."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import InvalidRegion
from ..region import Region
from .schemas import (
    CombinedRegion,
    ErrorsRegion,
    MaskRegion,
    OtherRegion,
    RegionBody,
    SuperpixelRegion,
    TrueRegion,
    to_json,
)

__all__ = ["MAX_DIVISIONS", "MAX_PARTS", "needs_truth", "read_region"]

MAX_PARTS = 64
"""How many parts a region may be made of: each takes a number for every pixel."""

MAX_DIVISIONS = 2
"""Into how many different numbers of superpixels a region may divide the image: each takes time."""


def read_region(body: RegionBody | None, *, size: tuple[int, int]) -> Region | None:
    """Return the region that a body describes.

    Parameters
    ----------
    body : RegionBody or None
        What came.
    size : (int, int)
        Height and width of the image.

    Returns
    -------
    Region or None
        None where nothing came.

    Raises
    ------
    InvalidRegion
        When it doesn't fit the image, or has too many parts.
    """
    if body is None:
        return None
    divisions: set[int] = set()
    for count, part in enumerate(_parts(body), start=1):
        if count > MAX_PARTS:
            raise InvalidRegion(f"The region has more than {MAX_PARTS} parts; send one mask instead.")
        if isinstance(part, SuperpixelRegion):
            divisions.add(part.count)
        if len(divisions) > MAX_DIVISIONS:
            raise InvalidRegion(
                f"The region has superpixels of more than {MAX_DIVISIONS} counts; choose all from the same count."
            )
        # A few bytes can announce a mask of any size.
        if isinstance(part, MaskRegion) and part.size != size:
            raise InvalidRegion(
                f"The region mask has size {part.size[0]}×{part.size[1]}, but the image has {size[0]}×{size[1]} "
                "(height×width)."
            )
    return Region.from_dict(to_json(body))


def needs_truth(body: RegionBody | None) -> bool:
    """Tell whether a region depends on the true mask.

    Parameters
    ----------
    body : RegionBody or None
        What came.

    Returns
    -------
    bool
        True where one of its parts does.
    """
    return body is not None and any(isinstance(part, (TrueRegion, ErrorsRegion)) for part in _parts(body))


def _parts(body: RegionBody) -> Iterator[RegionBody]:
    pending = [body]
    while pending:
        part = pending.pop()
        yield part
        if isinstance(part, CombinedRegion):
            pending.extend(part.regions)
        elif isinstance(part, OtherRegion):
            pending.append(part.region)
