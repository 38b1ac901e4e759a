"""Measured numbers beside the bars that they should reach, as a table and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

__all__ = ["Figure", "percentile", "print_figures", "write_json"]


@dataclass(frozen=True)
class Figure:
    """One number and its bar.

    Parameters
    ----------
    what : str
        What was measured.
    value : float
        The number.
    unit : str
        Its unit.
    at_most, at_least : float, optional
        The bar; neither where the number is for information.
    note : str
        What else to know, for instance how many samples there were.
    """

    what: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the bar is reached; None where there is none."""
        if self.at_most is not None:
            return self.value <= self.at_most
        if self.at_least is not None:
            return self.value >= self.at_least
        return None


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share (0..1) of the values don't exceed; NaN without values."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def print_figures(title: str, figures: Sequence[Figure]) -> None:
    """Print a table: what, number, bar, and whether it is reached."""
    table = Table(title=title)
    for heading in ("what", "measured", "bar", "", "note"):
        table.add_column(heading, justify="right" if heading in ("measured", "bar") else "left")
    for figure in figures:
        bar = ""
        if figure.at_most is not None:
            bar = f"≤ {figure.at_most:g} {figure.unit}"
        elif figure.at_least is not None:
            bar = f"≥ {figure.at_least:g} {figure.unit}"
        mark = {None: "", True: "reached", False: "MISSED"}[figure.reached]
        table.add_row(figure.what, f"{figure.value:.4g} {figure.unit}", bar, mark, figure.note)
    Console(width=160).print(table)


def write_json(path: Path, title: str, figures: Sequence[Figure]) -> None:
    """Write the figures to a file."""
    rows = [{**asdict(figure), "reached": figure.reached} for figure in figures]
    path.write_text(json.dumps({"title": title, "figures": rows}, indent=2) + "\n")
