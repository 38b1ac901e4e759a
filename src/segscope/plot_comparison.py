"""The figure of a comparison: maps side by side, how much the methods agree, and what they cost."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.textpath import TextPath
from numpy.typing import NDArray
from PIL import Image

from .plot import outline

if TYPE_CHECKING:
    from .attribution import Attribution
    from .comparison import Cell, Comparison
    from .variants import Variant

__all__ = ["plot_comparison"]

# All lengths are inches, all font sizes points.
_MARGIN, _GAP = 0.25, 0.16
_TILE, _TILE_TITLE, _CAPTION, _HEADER = 1.5, 0.3, 0.17, 0.2
_LARGE, _NORMAL, _LABEL, _SMALL = 12.0, 8.0, 7.0, 6.5
_TITLE_HEIGHT, _LEGEND_HEIGHT = 0.62, 0.55
_BAR = 0.75
# A matrix with more rows than this has smaller cells without numbers.
_NUMBERED = 14
_MOST_ACROSS = 6
_SHOWN_PIXELS = 420
_AGREEMENT = "PRGn"
_NOTES = (
    "Below each map: its scale, and the share of its positive importance on the pixels predicted as the class.",
    "Methods that share a backward pass are each given its time.",
)
_INK, _GREY, _PALE = "#1a1a1a", "#666666", "#ececec"


def plot_comparison(comparison: Comparison, limits: Mapping[Cell, float]) -> Figure:
    """Draw a comparison.

    Parameters
    ----------
    comparison : Comparison
        The maps.
    limits : mapping
        Where the scale of each map ends.

    Returns
    -------
    Figure
        Methods as rows, layers and classes as columns; the maps in reading order where there is one column alone.
        Beside them the image with the region, the agreement of methods and the time of each.
    """
    tiles = _Tiles.of(comparison)
    panel = _Panel.of(comparison, tile_height=tiles.height)
    height = _TITLE_HEIGHT + max(tiles.total_height, panel.height) + _LEGEND_HEIGHT
    sheet = _Sheet(tiles.total_width + 2 * _MARGIN + panel.width, height + 2 * _MARGIN)
    _draw_title(sheet, comparison)
    top = _MARGIN + _TITLE_HEIGHT
    tiles.draw(sheet, comparison, limits, left=_MARGIN, top=top)
    panel.draw(sheet, comparison, left=_MARGIN + tiles.total_width + 2 * _GAP, top=top)
    _draw_legend(sheet, comparison, top=sheet.height - _MARGIN - _LEGEND_HEIGHT + 0.16)
    return sheet.figure


class _Sheet:
    """A figure on which things are placed in inches from the top left."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width, height), facecolor="white")

    def axes(self, left: float, top: float, width: float, height: float) -> Any:
        place = (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        axes = self.figure.add_axes(place)
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_visible(False)
        return axes

    def text(self, left: float, top: float, text: str, size: float = _NORMAL, **options: Any) -> None:
        options = {"ha": "left", "va": "top", "color": _INK} | options
        # Names of classes and layers are text, whatever dollar signs they hold.
        self.figure.text(left / self.width, 1 - top / self.height, text, fontsize=size, parse_math=False, **options)


@dataclass(frozen=True)
class _Tiles:
    """Where the maps go: in rows and columns with labels, or one after the other, each with its own title."""

    places: Mapping[tuple[int, int], Cell]
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    titles: Mapping[Cell, tuple[str, str]]
    width: float
    height: float

    @classmethod
    def of(cls, comparison: Comparison) -> _Tiles:
        image_height, image_width = comparison.prediction.size
        height = float(np.clip(_TILE * image_height / image_width, 0.5, 1.3 * _TILE))
        names = _column_names(comparison)
        cells = [[_cell(comparison, variant, *name) for name in names] for variant in comparison.variants]
        if min(len(names), len(cells)) == 1:
            titles = {cell: _tile_title(comparison, cell) for line in cells for cell in line}
            across = min(_MOST_ACROSS, len(titles), math.ceil(math.sqrt(1.4 * len(titles))))
            places = {divmod(index, across): cell for index, cell in enumerate(titles)}
            down = math.ceil(len(titles) / across)
            return cls(places, ("",) * down, ("",) * across, titles, _TILE, height)
        places = {(row, column): cell for row, line in enumerate(cells) for column, cell in enumerate(line)}
        rows = tuple(_row_title(comparison, variant) for variant in comparison.variants)
        columns = tuple(_column_title(comparison, *name) for name in names)
        return cls(places, rows, columns, {}, _TILE, height)

    @property
    def label_width(self) -> float:
        if self.titles:
            return 0.0
        return min(2.2, max(_width(line, _NORMAL) for row in self.rows for line in row.split("\n"))) + 0.17

    @property
    def head_height(self) -> float:
        return 0.0 if self.titles else 0.14 * max(title.count("\n") + 1 for title in self.columns) + 0.08

    @property
    def pitch(self) -> float:
        """Height from one row to the next."""
        return self.height + _CAPTION + _GAP + (_TILE_TITLE if self.titles else 0.0)

    @property
    def total_width(self) -> float:
        return self.label_width + len(self.columns) * (self.width + _GAP)

    @property
    def total_height(self) -> float:
        return self.head_height + len(self.rows) * self.pitch

    def draw(
        self, sheet: _Sheet, comparison: Comparison, limits: Mapping[Cell, float], *, left: float, top: float
    ) -> None:
        first, start = left + self.label_width, top + self.head_height
        if not self.titles:
            self._draw_labels(sheet, first=first, start=start)
        for (row, column), cell in self.places.items():
            x, y = first + column * (self.width + _GAP), start + row * self.pitch
            if self.titles:
                title, place = self.titles[cell]
                sheet.text(x, y + (0 if place else 0.13), _fitted(title, self.width, _NORMAL))
                sheet.text(x, y + 0.135, _fitted(place, self.width, _SMALL), _SMALL, color=_GREY)
                y += _TILE_TITLE
            self._draw_map(sheet, comparison, cell, limits.get(cell, 0.0), left=x, top=y)

    def _draw_labels(self, sheet: _Sheet, *, first: float, start: float) -> None:
        for column, title in enumerate(self.columns):
            lines = [_fitted(line, self.width, _NORMAL) for line in title.split("\n")]
            middle = first + column * (self.width + _GAP) + self.width / 2
            sheet.text(middle, start - 0.08, "\n".join(lines), ha="center", va="bottom")
        room, side = self.label_width - 0.11, first - 0.12
        for row, title in enumerate(self.rows):
            middle = start + row * self.pitch + self.height / 2
            name, _, place = title.partition("\n")
            raised = 0.07 if place else 0.0
            sheet.text(side, middle - raised, _fitted(name, room, _NORMAL), ha="right", va="center")
            sheet.text(side, middle + 0.07, _fitted(place, room, _SMALL), _SMALL, color=_GREY, ha="right", va="center")

    def _draw_map(
        self, sheet: _Sheet, comparison: Comparison, cell: Cell, limit: float, *, left: float, top: float
    ) -> None:
        axes = sheet.axes(left, top, self.width, self.height)
        if cell not in comparison:
            reason = comparison.skipped.get(cell, "not asked yet")
            axes.set_facecolor(_PALE)
            axes.text(
                0.5, 0.5, _folded(reason, self.width, self.height), fontsize=_SMALL - 0.5, color=_GREY, ha="center",
                va="center", transform=axes.transAxes, parse_math=False,
            )  # fmt: skip
            return
        attribution = comparison[cell]
        axes.imshow(_thumbnail(attribution, limit), aspect="equal", interpolation="antialiased")
        share = comparison.share_of(cell)
        caption = _scale_text(attribution, limit) + ("" if math.isnan(share) else f"  ·  {share:.0%} on {cell.class_}")
        sheet.text(
            left + self.width / 2, top + self.height + 0.04, _fitted(caption, self.width + 0.1, _SMALL), _SMALL,
            ha="center", color=_GREY,
        )  # fmt: skip


@dataclass(frozen=True)
class _Panel:
    """What stands beside the maps: the image with the region, the agreement of methods or layers, and the times."""

    between: Literal["methods", "layers"]
    labels: tuple[str, ...]
    size: float
    picture: tuple[float, float]

    @classmethod
    def of(cls, comparison: Comparison, *, tile_height: float) -> _Panel:
        labels = tuple(variant.title for variant in comparison.variants)
        between: Literal["methods", "layers"] = "methods"
        if len(labels) == 1 and len(comparison.layers) > 1:
            between, labels = "layers", comparison.layers
        height, width = comparison.prediction.size
        scale = min(1.9 / width, 1.3 * max(tile_height, 1.0) / height)
        size = 0.32 if len(labels) <= _NUMBERED else 0.19
        return cls(between, labels, size, (width * scale, height * scale))

    @property
    def label_width(self) -> float:
        return min(1.9, max(_width(label, _LABEL) for label in self.labels)) + 0.1

    @property
    def side(self) -> float:
        return len(self.labels) * self.size

    @property
    def width(self) -> float:
        return self._times_left + _BAR + 0.75

    @property
    def _times_left(self) -> float:
        return max(self.label_width + self.side, 1.8) + _GAP

    @property
    def height(self) -> float:
        return self._matrix_top + self.side + self.label_width + 0.3

    @property
    def _matrix_top(self) -> float:
        return _HEADER + self.picture[1] + 0.38 + 2 * _HEADER

    def draw(self, sheet: _Sheet, comparison: Comparison, *, left: float, top: float) -> None:
        self._draw_image(sheet, comparison, left=left, top=top)
        x, y = left + self.label_width, top + self._matrix_top
        sheet.text(left, y - 2 * _HEADER, f"Agreement of {self.between}")
        sheet.text(left, y - 2 * _HEADER + 0.15, "mean rank correlation of their maps", _SMALL, color=_GREY)
        for index, label in enumerate(self.labels):
            text, middle = _fitted(label, self.label_width - 0.1, _LABEL), (index + 0.5) * self.size
            sheet.text(x - 0.07, y + middle, text, _LABEL, ha="right", va="center")
            sheet.text(x + middle, y + self.side + 0.06, text, _LABEL, ha="center", rotation=90)
        matrix = comparison.agreement(between=self.between).values
        self._draw_matrix(sheet.axes(x, y, self.side, self.side), matrix)
        self._draw_times(sheet, comparison, left=left + self._times_left, top=y)

    def _draw_image(self, sheet: _Sheet, comparison: Comparison, *, left: float, top: float) -> None:
        prediction = comparison.prediction
        one = len(comparison.classes) == 1
        sheet.text(left, top, "Image and pixels asked about")
        axes = sheet.axes(left, top + _HEADER, *self.picture)
        axes.imshow(prediction.image, aspect="auto")
        for class_, target in comparison.targets.items():
            color = "white" if one else prediction.model.colors[prediction.model.class_index(class_)]
            outline(axes, prediction.question(target)[1], color=color)
        x = left
        for class_ in () if one else comparison.classes:
            color = prediction.model.colors[prediction.model.class_index(class_)]
            sheet.text(x, top + _HEADER + self.picture[1] + 0.05, class_, _LABEL, color=color, weight="bold")
            x += _width(class_, _LABEL) * 1.12 + 0.14

    def _draw_matrix(self, axes: Any, matrix: NDArray[np.float64]) -> None:
        count = len(matrix)
        colors = colormaps[_AGREEMENT].with_extremes(bad="#dcdcdc")
        axes.imshow(np.ma.masked_invalid(matrix), cmap=colors, vmin=-1, vmax=1, aspect="auto", interpolation="nearest")
        for end in range(1, count):
            axes.axhline(end - 0.5, color="white", linewidth=0.8)
            axes.axvline(end - 0.5, color="white", linewidth=0.8)
        if count > _NUMBERED:
            return
        for row, column in np.ndindex(matrix.shape):
            value = matrix[row, column]
            text = "–" if np.isnan(value) else f"{value:.2f}".replace("-", "−").replace("−0.00", "0.00")
            color = "white" if abs(value) > 0.7 else _INK
            axes.text(column, row, text, ha="center", va="center", fontsize=_SMALL - 0.5, color=color)

    def _draw_times(self, sheet: _Sheet, comparison: Comparison, *, left: float, top: float) -> None:
        costs = {name: max(cost.seconds, 1e-6) for name, cost in comparison.costs.items()}
        sheet.text(left, top - 2 * _HEADER, "Time")
        if len(costs) < 2:
            sheet.text(left, top - 2 * _HEADER + 0.15, "".join(map(_duration, costs.values())), _SMALL)
            return
        sheet.text(left, top - 2 * _HEADER + 0.15, "logarithmic", _SMALL, color=_GREY)
        low = min(costs.values()) / 2
        high = max(*costs.values(), 10 * low)
        axes = sheet.axes(left, top, _BAR, self.side)
        axes.set_xlim(0, 1)
        axes.set_ylim(len(self.labels), 0)
        for index, name in enumerate(comparison.methods):
            if name in costs:
                length = math.log(costs[name] / low) / math.log(high / low)
                axes.add_patch(Rectangle((0, index + 0.25), length, 0.5, color="#7a8ca3", linewidth=0))
                middle = top + (index + 0.5) * self.size
                sheet.text(left + length * _BAR + 0.05, middle, _duration(costs[name]), _SMALL, va="center")


def _draw_title(sheet: _Sheet, comparison: Comparison) -> None:
    target = next(iter(comparison.targets.values()))
    model = comparison.prediction.model
    title = "Importance for " + " and ".join(filter(None, [", ".join(comparison.classes[:-1]), comparison.classes[-1]]))
    if len(comparison.variants) == 1:
        title += f" by {comparison.variants[0].title}"
    if target.against is not None:
        title += f", against {model.classes[model.class_index(target.against)]}"
    where = "the pixels predicted as the class" if target.region is None else "the pixels asked about"
    kind = "logit" if target.score == "logit" else "probability"
    sheet.text(_MARGIN, _MARGIN, _fitted(title, sheet.width - 2 * _MARGIN, _LARGE), _LARGE)
    about = f"{model.name}: mean {kind} over {where}"
    sheet.text(_MARGIN, _MARGIN + 0.25, _fitted(about, sheet.width - 2 * _MARGIN, _NORMAL), color=_GREY)


def _draw_legend(sheet: _Sheet, comparison: Comparison, *, top: float) -> None:
    signs = {attribution.signed for attribution in comparison.values()}
    bars = [("0", "inferno", "end of the scale")] if False in signs else []
    bars += [("against (−)", "RdBu_r", "for (+)")] if True in signs else []
    left = _MARGIN
    for before, colors, after in (*bars, ("agreement −1", _AGREEMENT, "1")):
        sheet.text(left, top, before, _SMALL, color=_GREY)
        left += _width(before, _SMALL) + 0.1
        axes = sheet.axes(left, top + 0.01, 0.9, 0.1)
        axes.imshow(np.linspace(0, 1, 256)[None], cmap=colormaps[colors], aspect="auto", vmin=0, vmax=1)
        left += 0.9 + 0.07
        sheet.text(left, top, after, _SMALL, color=_GREY)
        left += _width(after, _SMALL) + 0.3
    for line, text in enumerate(_NOTES if len(comparison.variants) > 1 else _NOTES[:1]):
        sheet.text(_MARGIN, top + 0.2 + 0.14 * line, text, _SMALL, color=_GREY)


def _column_names(comparison: Comparison) -> list[tuple[str, str | None]]:
    """Return class and layer of each column; no layer where each method is at its usual place."""
    if comparison.usual_places:
        return [(class_, None) for class_ in comparison.classes]
    return [(class_, layer) for class_ in comparison.classes for layer in comparison.layers]


def _cell(comparison: Comparison, variant: Variant, class_: str, layer: str | None) -> Cell:
    from .comparison import Cell

    return Cell(class_, variant.name, layer if layer is not None else comparison.layers_of(variant)[0])


def _tile_title(comparison: Comparison, cell: Cell) -> tuple[str, str]:
    if len(comparison.variants) > 1:
        return comparison.title_of(cell.method), f"at {cell.layer}"
    if comparison.usual_places:
        return cell.class_, f"at {cell.layer}"
    return cell.layer, cell.class_ if len(comparison.classes) > 1 else ""


def _row_title(comparison: Comparison, variant: Variant) -> str:
    return f"{variant.title}\nat {comparison.layers_of(variant)[0]}" if comparison.usual_places else variant.title


def _column_title(comparison: Comparison, class_: str, layer: str | None) -> str:
    if layer is None:
        return class_
    return f"{class_}\n{layer}" if len(comparison.classes) > 1 else layer


def _scale_text(attribution: Attribution, limit: float) -> str:
    return f"±{limit:.3g}" if attribution.signed else f"0 … {limit:.3g}"


def _thumbnail(attribution: Attribution, limit: float) -> NDArray[np.uint8]:
    picture = attribution.overlay(limit=limit if limit > 0 else None)
    picture.thumbnail((_SHOWN_PIXELS, _SHOWN_PIXELS), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def _duration(seconds: float) -> str:
    if seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms" if seconds < 0.01 else f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 99.95 else f"{seconds / 60:.0f} min"


@lru_cache(maxsize=4096)
def _width(text: str, size: float) -> float:
    """Return the width of a line of text in inches."""
    if not text.strip():
        return 0.0
    return float(TextPath((0, 0), text.replace("$", r"\$"), size=size, prop=FontProperties()).get_extents().width) / 72


def _fitted(text: str, width: float, size: float) -> str:
    """Return a line of text that is no wider than it may be: without its middle, where it is too long."""
    if _width(text, size) <= width + 0.01:
        return text
    low, high = 0, len(text) - 1
    while low < high:
        kept = (low + high + 1) // 2
        low, high = (kept, high) if _width(_shortened(text, kept), size) <= width else (low, kept - 1)
    return _shortened(text, low)


def _shortened(text: str, kept: int) -> str:
    return text[: (kept + 1) // 2] + "…" + text[len(text) - kept // 2 :]


def _folded(text: str, width: float, height: float) -> str:
    """Return text in lines that fit a box, cut off where it has to be."""
    across, down = max(8, int((width - 0.1) / 0.05)), max(1, int((height - 0.1) / 0.11))
    lines: Sequence[str] = textwrap.wrap(text, across)
    return "\n".join(
        lines
        if len(lines) <= down
        else [*lines[: down - 1], textwrap.shorten(lines[down - 1] + " …", across, placeholder=" …")]
    )
