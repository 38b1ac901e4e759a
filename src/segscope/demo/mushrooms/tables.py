"""Distances to profiles, tabulated once and read many times.

A profile is a line in the half-plane of radius and height round an axis. Marching asks for its distance at hundreds of
thousands of places, so it's computed on a grid first and then interpolated: any profile costs the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .vectors import Floats, clip01

__all__ = ["Profile", "Table", "tabulate"]

_CELL = 0.011  # in units of the mushroom's height: about two pixels at 256


class Profile(NamedTuple):
    """A line in (radius, height), float32 N×2.

    A solid profile is the outline of a body, closed along the axis; any other is a sheet. `thickness` is added on
    every side.
    """

    points: Floats
    thickness: float = 0.0
    solid: bool = False


@dataclass(frozen=True)
class Table:
    """Signed distances sampled over (radius, height)."""

    values: Floats
    columns: int
    rows: int
    bottom: float

    def at(self, radius: Floats, height: Floats) -> Floats:
        """Interpolate; a place outside the table takes the value at its border, which is a safe step for marching."""
        scale = np.float32(1 / _CELL)
        u = np.minimum(radius * scale, np.float32(self.columns - 1.01))
        v = np.minimum(np.maximum((height - np.float32(self.bottom)) * scale, 0), np.float32(self.rows - 1.01))
        i, j = u.astype(np.intp), v.astype(np.intp)
        u -= i.astype(np.float32)
        v -= j.astype(np.float32)
        i *= self.rows
        i += j
        near = self.values.take(i)
        near += (self.values.take(i + 1) - near) * v
        i += self.rows
        far = self.values.take(i)
        far += (self.values.take(i + 1) - far) * v
        return np.asarray(near + (far - near) * u)


def tabulate(profiles: list[Profile], *, radius: float, bottom: float, top: float) -> tuple[list[Table], Table]:
    """Tabulate the distance to each profile, and to the nearest of them.

    Parameters
    ----------
    profiles : list of Profile
        What to measure the distance to.
    radius, bottom, top : float
        Extent of the tables.

    Returns
    -------
    tuple of list of Table and Table
        One table a profile, and the table of their union.
    """
    columns, rows = int(radius / _CELL) + 2, int((top - bottom) / _CELL) + 2
    x = np.repeat(np.arange(columns, dtype=np.float32) * np.float32(_CELL), rows)
    y = np.tile(np.float32(bottom) + np.arange(rows, dtype=np.float32) * np.float32(_CELL), columns)
    fields = [_distance(profile, x, y) for profile in profiles]
    tables = [Table(field, columns, rows, bottom) for field in fields]
    return tables, Table(np.minimum.reduce(fields), columns, rows, bottom)


def _distance(profile: Profile, x: Floats, y: Floats) -> Floats:
    distance = _to_line(profile.points, x, y)
    if profile.solid:
        distance = np.where(_inside(profile.points, x, y), -distance, distance)
    return np.asarray(distance - np.float32(profile.thickness))


def _to_line(points: Floats, x: Floats, y: Floats) -> Floats:
    best = np.full_like(x, 1e9)
    for (ax, ay), (bx, by) in pairwise(points):
        dx, dy = bx - ax, by - ay
        share = clip01(((x - ax) * dx + (y - ay) * dy) / max(dx * dx + dy * dy, np.float32(1e-12)))
        ex, ey = x - ax - share * dx, y - ay - share * dy
        best = np.minimum(best, ex * ex + ey * ey)
    return np.sqrt(best)


def _inside(points: Floats, x: Floats, y: Floats) -> NDArray[np.bool_]:
    inside = np.zeros(x.shape, bool)
    for (ax, ay), (bx, by) in zip(points, np.roll(points, -1, 0), strict=True):
        if ay != by:
            inside ^= ((ay > y) != (by > y)) & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
    return inside
