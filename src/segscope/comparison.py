"""One question answered by several methods, at several layers: how much do the answers agree, and what do they cost?"""

from __future__ import annotations

import copy
import csv
import io
import json
import os
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .attribution import Attribution, Cost, answers_of
from .batches import Batch, Cell, run_batch
from .errors import InvalidInput, UnknownName, shown
from .files import write_file
from .layers import INPUT
from .measures import correlation, gini, rank_correlation, share_on, spread
from .progress import Progress
from .target import Target
from .variants import Variant

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .prediction import Prediction

__all__ = ["Agreement", "Cell", "Comparison"]

Scale: TypeAlias = "float | Literal['method', 'shared'] | None"

_AGREEMENTS = {"spearman": rank_correlation, "pearson": correlation}
_ORDERS = ("agreement", "cost", "name", "share")
_FORMATS = ("png", "svg", "pdf", "npz", "csv")
# Maps are smooth: more pixels than this would cost time, and hardly move a correlation.
_MOST_PIXELS = 2**16


class Agreement(NamedTuple):
    """How much maps agree.

    Parameters
    ----------
    values : ndarray
        float64, n×n, −1..1, symmetric: 1 where two maps order the pixels alike; NaN where a map is the same everywhere
        or there is nothing to compare.
    labels : tuple
        What the rows and columns are: :class:`Cell` for maps; names for methods or layers.
    """

    values: NDArray[np.float64]
    labels: tuple[Hashable, ...]


class Comparison(Mapping[tuple[str, str, str], Attribution]):
    """Maps of the same question by several methods: ``comparison["cap", "grad-cam", "aggregation_conv"]``.

    They come from :meth:`Prediction.compare`. The mapping holds the maps that are there, ordered by class, method and
    layer.

    Parameters
    ----------
    prediction : Prediction
        What is explained.
    targets : mapping
        The question for each class.
    variants : sequence of Variant
        The methods.
    layers : sequence of str, optional
        The layers that every method is asked about; each method's usual place otherwise.
    """

    def __init__(
        self,
        prediction: Prediction,
        targets: Mapping[str, Target],
        variants: Sequence[Variant],
        layers: Sequence[str] | None = None,
    ) -> None:
        self.prediction = prediction
        self.targets = dict(targets)
        self.variants = tuple(variants)
        self.usual_places = layers is None
        self._layers = None if layers is None else tuple(layers)
        self._answers: dict[Cell, Attribution | str] = {}
        self._costs: dict[str, Cost] = {}

    def __repr__(self) -> str:
        """Return how many maps there are, of how many."""
        return f"Comparison({len(self)} maps, {len(self.skipped)} skipped, {len(self.pending)} to come)"

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes."""
        return tuple(self.targets)

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods, by name; with parameters where one is compared with itself."""
        return tuple(variant.name for variant in self.variants)

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers: those asked about, or the methods' usual places."""
        if self._layers is not None:
            return self._layers
        return tuple(dict.fromkeys(self._usual_place(variant) for variant in self.variants))

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All places, whether there is a map or not, ordered by class, method and layer."""
        return tuple(
            Cell(class_, variant.name, layer)
            for class_ in self.targets
            for variant in self.variants
            for layer in self.layers_of(variant)
        )

    @property
    def pending(self) -> tuple[Cell, ...]:
        """The places that weren't asked about yet."""
        return tuple(cell for cell in self.cells if cell not in self._answers)

    @property
    def skipped(self) -> dict[Cell, str]:
        """The places that have no map, and why."""
        answers = {cell: self._answers.get(cell) for cell in self.cells}
        return {cell: answer for cell, answer in answers.items() if isinstance(answer, str)}

    @property
    def costs(self) -> dict[str, Cost]:
        """What each method took, for all classes and layers; a shared backward pass counts for each that shares it."""
        return {name: self._costs[name] for name in self.methods if name in self._costs}

    @property
    def share(self) -> dict[Cell, float]:
        """The share of each map's positive importance on the pixels predicted as its class, 0..1; NaN for none."""
        return {cell: self.share_of(cell) for cell in self._maps}

    def share_of(self, cell: Cell) -> float:
        """Return one map's share of positive importance on the pixels predicted as its class, 0..1; NaN for none."""
        index = self.prediction.model.class_index(cell.class_)
        return share_on(self[cell].values, self.prediction.mask == index)

    def title_of(self, method: str) -> str:
        """Return a method's name for people."""
        return next(variant.title for variant in self.variants if variant.name == method)

    def layers_of(self, variant: Variant) -> tuple[str, ...]:
        """Return the layers that a method is asked about here."""
        return (self._usual_place(variant),) if self._layers is None else self._layers

    def __getitem__(self, key: tuple[str, str, str]) -> Attribution:
        """Return the map of a class by a method at a layer."""
        answer = self._answers[Cell(*key)]
        if isinstance(answer, str):
            raise KeyError(answer)
        return answer

    def __iter__(self) -> Iterator[Cell]:
        """Go through the places that have maps."""
        return iter(self._maps)

    def __len__(self) -> int:
        """Return how many maps there are."""
        return len(self._maps)

    def steps(self, progress: Callable[[float], None] | None = None) -> Iterator[tuple[Cell, Attribution | str]]:
        """Work out the maps that aren't there yet, quick methods first, and give each as it comes.

        Interrupted, it goes on where it stopped when it is called again: what it had given stays.

        Parameters
        ----------
        progress : callable, optional
            Called with the share of the work that is done, 0..1; what it raises ends the work and reaches who asked.

        Yields
        ------
        cell : Cell
            Class, method and layer.
        answer : Attribution or str
            The map, or why there is none.
        """
        told = Progress(progress)
        batches = [batch for batch in self._batches() if any(cell not in self._answers for cell in batch.cells)]
        for index, batch in enumerate(batches):
            with told.part(index, len(batches)):
                self._run(batch, told)
            for cell in batch.cells:
                yield cell, self._answers[cell]

    def agreement(self, kind: str = "spearman", *, between: Literal["maps", "methods", "layers"] = "maps") -> Agreement:
        """Return how much the maps agree, brought to the image's size.

        Parameters
        ----------
        kind : {"spearman", "pearson"}
            Correlation of the pixels' ranks, which doesn't depend on a map's units and scale, or of their values.
        between : {"maps", "methods", "layers"}
            Every map with every other; or the mean over the classes and layers that two methods have in common; or
            over the classes and methods that two layers have in common.

        Returns
        -------
        Agreement
            The matrix and its labels.

        Raises
        ------
        UnknownName
            When the kind or what it is between is another word.

        Notes
        -----
        Of images with more than 2¹⁶ pixels a regular grid of about as many is compared.
        """
        if kind not in _AGREEMENTS:
            raise UnknownName("kind of agreement", kind, _AGREEMENTS)
        keys = {"maps": None, "methods": self.methods, "layers": self.layers}
        if between not in keys:
            raise UnknownName("agreement between", between, keys)
        cells = tuple(self._maps)
        values = _AGREEMENTS[kind](self._pixels(cells)) if cells else np.zeros((0, 0))
        labels = keys[between]
        if labels is None:
            return Agreement(values, cells)
        return Agreement(self._mean_agreement(values, cells, between, labels), labels)

    def rows(self) -> list[dict[str, Any]]:
        """Return the comparison as a table: one row for each place, with its measures.

        Returns
        -------
        list of dict
            ``class``, ``method``, ``layer``, ``share`` (of positive importance on the pixels predicted as the class),
            ``gini`` (sparsity), ``spread`` (of positive importance, in image diagonals), ``limit`` (largest magnitude),
            ``seconds`` and ``passes`` of the run that gave the map, and ``reason`` (text, where there is none; the
            numbers are then None). A measure that is undefined is None too.
        """
        return [self._row(cell) for cell in self.cells if cell in self._answers]

    def sorted(self, by: Literal["agreement", "cost", "name", "share"] = "agreement") -> Comparison:
        """Return the comparison with its methods in another order; those without a single number come last.

        Parameters
        ----------
        by : {"agreement", "cost", "name", "share"}
            Mean agreement with the other methods, the largest first; time, the shortest first; the name; the mean
            share of importance on the class, the largest first.

        Returns
        -------
        Comparison
            With the same maps.

        Raises
        ------
        UnknownName
            When it is another word.
        """
        if by not in _ORDERS:
            raise UnknownName("order", by, _ORDERS)
        numbers = self._order(by)
        other = copy.copy(self)
        other.variants = tuple(sorted(self.variants, key=lambda variant: numbers[variant.name]))
        return other

    def plot(self, *, limit: Scale = None) -> Figure:
        """Draw the maps side by side, how much the methods agree, and what they cost.

        Methods are rows, layers and classes columns; where there is one column alone, the maps follow each other.

        Parameters
        ----------
        limit : float or {"method", "shared"}, optional
            Where the scales end: the same number for all; the largest magnitude of a method's maps, or of all maps.
            Each map's own largest magnitude otherwise. It stands below each map.

        Returns
        -------
        matplotlib.figure.Figure
            The figure; it belongs to the caller.

        Raises
        ------
        InvalidInput
            When the limit is another word, or not above zero.
        """
        from .plot_comparison import plot_comparison

        return plot_comparison(self, self.limits(limit))

    def limits(self, limit: Scale = None) -> dict[Cell, float]:
        """Return where the scale of each map ends.

        Parameters
        ----------
        limit : float or {"method", "shared"}, optional
            As :meth:`plot` takes it.

        Returns
        -------
        dict
            A number for each map; zero for a map of zeros.

        Raises
        ------
        InvalidInput
            When the limit is another word, or not above zero.
        """
        own = {cell: answer.limit for cell, answer in self._maps.items()}
        if limit is None:
            return own
        if limit == "shared":
            return dict.fromkeys(own, max(own.values(), default=0.0))
        if limit == "method":
            return {cell: max(own[other] for other in own if other.method == cell.method) for cell in own}
        if not isinstance(limit, (int, float)) or isinstance(limit, bool) or not 0 < limit < float("inf"):
            raise InvalidInput(
                f"The limit is {shown(limit)}; expected a number above zero, 'method', 'shared', or none for each "
                "map's own."
            )
        return dict.fromkeys(own, float(limit))

    def save(self, path: str | os.PathLike[str], *, limit: Scale = None) -> Path:
        """Write the figure (PNG, SVG or PDF), the numbers (NPZ) or the table (CSV), by the file's ending.

        An NPZ holds ``values`` (float32, n×H×W), the raw maps as ``map_0``, ``map_1``, … (float32, h×w), ``agreement``
        (float64, n×n), ``mask`` (int32, H×W), ``provenance`` (JSON text: a list for the n maps) and ``table`` (JSON
        text: :meth:`rows`). A file is replaced only by a complete one.

        Parameters
        ----------
        path : path
            Ends with ``.png``, ``.svg``, ``.pdf``, ``.npz`` or ``.csv``.
        limit : float or {"method", "shared"}, optional
            Of a figure, as :meth:`plot` takes it.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        InvalidInput
            When the ending is another one, the limit can't be used, or the folder can't be written to.
        """
        kind = Path(path).suffix.lower().lstrip(".")
        if kind not in _FORMATS:
            raise InvalidInput(
                f"The file {os.fspath(path)!r} ends with {Path(path).suffix!r}; expected "
                f".{', .'.join(_FORMATS[:-1])} or .{_FORMATS[-1]}."
            )
        if kind == "npz":
            arrays = self._arrays()
            return write_file(path, lambda file: np.savez_compressed(file, **arrays))
        if kind == "csv":
            text = self._csv()
            return write_file(path, lambda file: file.write(text.encode()))
        figure = self.plot(limit=limit)
        return write_file(path, lambda file: figure.savefig(file, format=kind, dpi=150))

    @property
    def _maps(self) -> dict[Cell, Attribution]:
        answers = {cell: self._answers.get(cell) for cell in self.cells}
        return {cell: answer for cell, answer in answers.items() if isinstance(answer, Attribution)}

    def _usual_place(self, variant: Variant) -> str:
        return INPUT if variant.method.at == "input" else self.prediction.default_layer

    def _batches(self) -> Iterator[Batch]:
        """Give what is run at once, in the order in which it is run."""
        for class_ in self.targets:
            together: dict[tuple[str, ...], list[Variant]] = {}
            for variant in self.variants:
                if variant.method.quick and variant.method.combine is not None:
                    together.setdefault(self.layers_of(variant), []).append(variant)
            for layers, variants in together.items():
                yield Batch(class_, tuple(variants), layers)
            for variant in self.variants:
                if variant.method.quick and variant.method.combine is None:
                    yield Batch(class_, (variant,), self.layers_of(variant))
        for variant in (variant for variant in self.variants if not variant.method.quick):
            for class_ in self.targets:
                for layer in self.layers_of(variant):
                    yield Batch(class_, (variant,), (layer,))

    def _run(self, batch: Batch, progress: Progress) -> None:
        target = self.targets[batch.class_]
        weights, results = run_batch(self.prediction, target, batch, progress)
        for variant, (maps, cost) in zip(batch.variants, results, strict=True):
            found = answers_of(
                self.prediction,
                target,
                weights,
                method=variant.method,
                parameters=variant.parameters,
                maps=maps,
                cost=cost,
            )
            for layer, answer in found.items():
                cell = Cell(batch.class_, variant.name, layer)
                self._answers[cell] = answer if isinstance(answer, Attribution) else str(answer)
            before = self._costs.get(variant.name, Cost(0.0, 0))
            self._costs[variant.name] = Cost(before.seconds + cost.seconds, before.passes + cost.passes)

    def _pixels(self, cells: Sequence[Cell]) -> NDArray[np.float32]:
        height, width = self.prediction.size
        step = max(1, int(np.ceil(np.sqrt(height * width / _MOST_PIXELS))))
        return np.stack([self[cell].values[::step, ::step].ravel() for cell in cells])

    def _mean_agreement(
        self, values: NDArray[np.float64], cells: Sequence[Cell], between: str, labels: Sequence[str]
    ) -> NDArray[np.float64]:
        by_methods = between == "methods"
        at: dict[tuple[str, Hashable], int] = {}
        for index, (class_, method, layer) in enumerate(cells):
            other = (class_, None if self.usual_places else layer) if by_methods else (class_, method)
            at[method if by_methods else layer, other] = index
        others = tuple(dict.fromkeys(other for _, other in at))
        mean = np.full((len(labels), len(labels)), np.nan)
        for row, first in enumerate(labels):
            for column, second in enumerate(labels):
                pairs = [(at.get((first, other)), at.get((second, other))) for other in others]
                found = np.array([values[one, two] for one, two in pairs if one is not None and two is not None])
                known = found[~np.isnan(found)]
                mean[row, column] = known.mean() if len(known) else np.nan
        return mean

    def _order(self, by: str) -> dict[str, tuple[bool, float | str]]:
        """Return for each method what it is sorted by: the methods without a number after the others."""
        if by == "name":
            return {name: (False, name) for name in self.methods}
        if by == "cost":
            costs = self.costs
            return {name: (name not in costs, costs[name].seconds if name in costs else 0.0) for name in self.methods}
        if by == "share":
            share = self.share
            numbers = [[share[cell] for cell in share if cell.method == name] for name in self.methods]
        else:
            matrix = self.agreement(between="methods").values
            numbers = [list(np.delete(row, index)) for index, row in enumerate(matrix)]
        known = [[number for number in row if not np.isnan(number)] for row in numbers]
        means = [float(np.mean(row)) if row else 0.0 for row in known]
        return {name: (not row, -mean) for name, row, mean in zip(self.methods, known, means, strict=True)}

    def _row(self, cell: Cell) -> dict[str, Any]:
        row: dict[str, Any] = {"class": cell.class_, "method": cell.method, "layer": cell.layer}
        answer = self._answers[cell]
        if isinstance(answer, str):
            return {**row, **dict.fromkeys(("share", "gini", "spread", "limit", "seconds", "passes")), "reason": answer}
        numbers = {"share": self.share_of(cell), "gini": gini(answer.values), "spread": spread(answer.values)}
        known = {name: None if np.isnan(number) else number for name, number in numbers.items()}
        return {**row, **known, "limit": answer.limit, **answer.cost._asdict(), "reason": ""}

    def _arrays(self) -> dict[str, Any]:
        maps = self._maps
        height, width = self.prediction.size
        values = np.stack([answer.values for answer in maps.values()]) if maps else np.zeros((0, height, width))
        return {
            "values": values.astype(np.float32),
            "agreement": self.agreement().values,
            "mask": self.prediction.mask,
            "provenance": np.array(json.dumps([answer.provenance for answer in maps.values()])),
            "table": np.array(json.dumps(self.rows())),
            **{f"map_{index}": answer.map for index, answer in enumerate(maps.values())},
        }

    def _csv(self) -> str:
        text = io.StringIO()
        columns = ("class", "method", "layer", "share", "gini", "spread", "limit", "seconds", "passes", "reason")
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows())
        return text.getvalue()
