"""Mushroom bodies as signed-distance fields: profiles turned round a bent axis.

Stipe, ring and volva are measured in the stem's frame, round a bent axis; cap and gills in the cap's frame, which is
tilted at the stem's top.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .classes import CLASSES
from .tables import Profile, tabulate
from .vectors import Floats, clip01, dot, turn, unit

__all__ = ["CAP", "GILLS", "RING", "STIPE", "VOLVA", "Body", "Posture", "Profiles"]

VOLVA, GILLS, STIPE, RING, CAP = (CLASSES.index(name) for name in ("volva", "gills", "stipe", "ring", "cap"))


@dataclass(frozen=True)
class Profiles:
    """Lines of one mushroom's parts, N×2 (radius, height), in units of its height; the cap sits at `stem_height`."""

    stipe: Profile
    ring: Profile | None
    volva: Profile | None
    upper: Floats
    lower: Floats
    stem_height: float


@dataclass(frozen=True)
class Posture:
    """How a mushroom stands: slopes and waves are in units of its height.

    `lean` and `bend` are the linear and the quadratic course of the stem's axis towards x and z, `tilt` the slope of
    the cap's axis beyond the stem's. Waves ripple the cap's margin, the ring and the volva's rim round the axis.
    """

    lean: Floats
    bend: Floats
    tilt: tuple[float, float]
    cap_wave: float
    cap_phase: float
    ring_wave: float
    ring_phase: float
    volva_wave: float


class Body:
    """One mushroom in the world: distances to its surface, and which part a place belongs to.

    Parameters
    ----------
    profiles : Profiles
        Shapes of the parts.
    posture : Posture
        How it stands.
    place : tuple of float
        Foot of the stipe on the ground, (x, z).
    size : float
        Height in world units.
    """

    def __init__(self, profiles: Profiles, posture: Posture, *, place: tuple[float, float], size: float) -> None:
        self.profiles, self.size, self.height = profiles, np.float32(size), np.float32(profiles.stem_height)
        self.place = np.array([place[0], 0, place[1]], np.float32)
        self._lean, self._bend = posture.lean.astype(np.float32), posture.bend.astype(np.float32)
        self._cap_wave, self._cap_phase = np.float32(posture.cap_wave), np.float32(posture.cap_phase)
        self._ring_wave, self._ring_phase = np.float32(posture.ring_wave), np.float32(posture.ring_phase)
        self._volva_wave = np.float32(posture.volva_wave)
        self._tabulate_stem()
        self._tabulate_cap()
        x, z = self._axis(self.height)
        self._top = np.array([x, self.height, z], np.float32)
        self.frame = self._cap_frame(posture.tilt)
        self.cloud = self._surround()
        low, high = self.cloud.min(1), self.cloud.max(1)
        self.center = (low + high) / 2
        spread = self.cloud - self.center[:, None]
        self.radius = np.float32(np.sqrt(dot(spread, spread).max()) + 0.05 * self.size)

    def _tabulate_stem(self) -> None:
        stem = [(STIPE, self.profiles.stipe), (RING, self.profiles.ring), (VOLVA, self.profiles.volva)]
        present = [(part, profile) for part, profile in stem if profile is not None]
        lines = [profile for _, profile in present]
        self._stem_parts = [part for part, _ in present]
        self._stem_radius = max(float(profile.points[:, 0].max()) for profile in lines)
        top = float(self.profiles.stipe.points[:, 1].max()) + 0.05
        self._stem_tables, self._stem = tabulate(lines, radius=self._stem_radius + 0.08, bottom=-0.08, top=top)

    def _tabulate_cap(self) -> None:
        upper, lower = self.profiles.upper, self.profiles.lower
        outline = np.concatenate([upper, lower[::-1]])
        self.cap_radius = float(outline[:, 0].max())
        self._cap_bottom, self._cap_top = float(outline[:, 1].min()), float(outline[:, 1].max())
        extent = {"radius": self.cap_radius + 0.08, "bottom": self._cap_bottom - 0.08, "top": self._cap_top + 0.08}
        self._cap_sides, _ = tabulate([Profile(upper), Profile(lower)], **extent)
        _, self._cap = tabulate([Profile(outline, 0.008, solid=True)], **extent)

    def _axis(self, height: Floats | np.floating[Any]) -> tuple[Floats, Floats]:
        rise = np.minimum(np.maximum(height, np.float32(0)), np.float32(1.2))
        square = rise * rise
        return (
            self._lean[0] * rise + self._bend[0] * square,
            self._lean[1] * rise + self._bend[1] * square,
        )

    def _cap_frame(self, tilt: tuple[float, float]) -> Floats:
        slope = self._lean + 2 * self._bend * self.height
        axis = np.array([slope[0] * 0.7 + tilt[0], 1, slope[1] * 0.7 + tilt[1]], np.float32)
        axis /= np.sqrt((axis * axis).sum())
        side = np.array([axis[1], -axis[0], 0], np.float32)
        side /= np.sqrt((side * side).sum())
        return np.stack([side, axis, np.cross(side, axis)]).astype(np.float32)

    def _surround(self) -> Floats:
        """Return points (3×N, in the world) that together enclose the mushroom closely."""
        angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        circle = np.stack([np.cos(angles), np.zeros(16), np.sin(angles)]).astype(np.float32)
        points = []
        for height in (0.0, float(self.height) * 0.5):
            x, z = self._axis(np.float32(height))
            points.append(circle * np.float32(self._stem_radius) + np.array([[x], [height], [z]], np.float32))
        for height, share in ((self._cap_bottom, 0.6), (self._cap_bottom, 1.0), (self._cap_top, 0.45)):
            local = circle * np.float32(self.cap_radius * share * 1.04)
            local[1] = height
            points.append(turn(self.frame.T, local) + self._top[:, None])
        return np.asarray(np.concatenate(points, 1) * self.size + self.place[:, None])

    def stem_place(self, points: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Map world points (3×N) to the stem's frame: radius, height, and the two offsets from the axis."""
        scale = 1 / self.size
        x, z = (points[0] - self.place[0]) * scale, (points[2] - self.place[2]) * scale
        y = points[1] * scale
        axis_x, axis_z = self._axis(y)
        x = x - axis_x
        z = z - axis_z
        radius = np.sqrt(x * x + z * z)
        if len(self._stem_parts) > 1:
            wave = (x * (x * x - 3 * z * z) + z * self._ring_phase * (x * x)) / (radius**3 + np.float32(1e-6))
            low = clip01((np.float32(0.36) - y) * 12)
            y = y + (self._ring_wave + self._volva_wave * low) * wave * clip01((radius - np.float32(0.03)) * 12)
        return radius, y, x, z

    def cap_place(self, points: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Map world points (3×N) to the cap's frame: radius, height, and the two offsets from its axis."""
        scale = 1 / self.size
        offset_x = (points[0] - self.place[0]) * scale - self._top[0]
        offset_y = points[1] * scale - self._top[1]
        offset_z = (points[2] - self.place[2]) * scale - self._top[2]
        frame = self.frame
        x = frame[0, 0] * offset_x + frame[0, 1] * offset_y + frame[0, 2] * offset_z
        y = frame[1, 0] * offset_x + frame[1, 1] * offset_y + frame[1, 2] * offset_z
        z = frame[2, 0] * offset_x + frame[2, 1] * offset_y + frame[2, 2] * offset_z
        square = x * x + z * z
        radius = np.sqrt(square)
        wave = (x * (x * x - 3 * z * z) + self._cap_phase * x * z * radius) / (square * radius + np.float32(1e-6))
        y = y - self._cap_wave * wave * square * np.float32(1 / self.cap_radius**2)
        radius = radius * (1 + self._cap_wave * wave)
        return radius, y, x, z

    def distance(self, points: Floats) -> Floats:
        """Return the signed distance in world units from points (3×N) to the mushroom's surface, shape N."""
        radius, height, _, _ = self.stem_place(points)
        stem = self._stem.at(radius, height)
        radius, height, _, _ = self.cap_place(points)
        return np.minimum(stem, self._cap.at(radius, height)) * self.size

    def part(self, points: Floats) -> NDArray[np.uint8]:
        """Return the class of the part whose surface is nearest to each point, uint8 of shape N."""
        radius, height, _, _ = self.stem_place(points)
        stem = np.stack([table.at(radius, height) for table in self._stem_tables])
        parts = np.asarray(self._stem_parts, np.uint8)[stem.argmin(0)]
        radius, height, _, _ = self.cap_place(points)
        upper, lower = (table.at(radius, height) for table in self._cap_sides)
        sides = np.where(upper <= lower + np.float32(0.008), CAP, GILLS).astype(np.uint8)
        return np.where(self._cap.at(radius, height) < stem.min(0), sides, parts)

    def normal(self, points: Floats) -> Floats:
        """Return outward unit normals at points (3×N)."""
        step = np.float32(0.006) * self.size
        total = np.zeros_like(points)
        for signs in ((1, -1, -1), (-1, -1, 1), (-1, 1, -1), (1, 1, 1)):
            offset = np.array(signs, np.float32)[:, None]
            total += offset * self.distance(points + offset * step)
        return unit(total)
