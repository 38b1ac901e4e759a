"""Which pixels of the image a question is about."""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InvalidRegion, SegscopeError, UnknownName, shown
from .segments import check_count, component

if TYPE_CHECKING:
    from .prediction import Prediction

__all__ = ["ERROR_KINDS", "ErrorKind", "Region", "Weights"]

Weights: TypeAlias = NDArray[np.float32]
ErrorKind: TypeAlias = Literal["any", "false-positive", "false-negative"]
ERROR_KINDS: tuple[ErrorKind, ...] = ("any", "false-positive", "false-negative")

_DEEPEST = 64
_LARGEST = 2**31


class Region(ABC):
    """A choice of pixels, in coordinates of the image that the user gave: (row, column) from the top left.

    A region becomes weights between 0 and 1 only when it is asked about a prediction, so that one region serves many
    images. Regions combine: ``a & b`` (smaller weight), ``a | b`` (larger weight), ``~a`` (one minus the weight),
    nested up to 64 deep.

    Examples
    --------
    >>> region = Region.box(10, 10, 60, 80) & ~Region.pixel(20, 20)
    >>> region.to_dict()["kind"]
    'and'
    """

    nesting = 1

    @abstractmethod
    def weights(self, prediction: Prediction) -> Weights:
        """Return the weight of each pixel of the prediction's image.

        Parameters
        ----------
        prediction : Prediction
            The image and what the network made of it.

        Returns
        -------
        ndarray
            float32, H×W, 0..1.

        Raises
        ------
        InvalidRegion
            When the region doesn't fit the image, or needs a true mask that isn't there.
        """

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return the region as data for JSON; :meth:`from_dict` reads it back."""

    def __and__(self, other: Region) -> Region:
        """Return the pixels in both regions."""
        return _joined("and", self, other) if isinstance(other, Region) else NotImplemented

    def __or__(self, other: Region) -> Region:
        """Return the pixels in either region."""
        return _joined("or", self, other) if isinstance(other, Region) else NotImplemented

    def __invert__(self) -> Region:
        """Return all other pixels."""
        return _Not(self)

    @staticmethod
    def everywhere() -> Region:
        """Return the whole image."""
        return _Everywhere()

    @staticmethod
    def predicted(class_: str | int) -> Region:
        """Return the pixels that the network labelled as a class.

        Parameters
        ----------
        class_ : str or int
            Name or index of the class.

        Returns
        -------
        Region
            Weight 1 on those pixels.
        """
        return _Predicted(class_)

    @staticmethod
    def pixel(row: int, column: int) -> Region:
        """Return one pixel.

        Parameters
        ----------
        row, column : int
            Counted from 0 at the top left.

        Returns
        -------
        Region
            Weight 1 on that pixel.
        """
        return _Pixel(row, column)

    @staticmethod
    def box(top: int, left: int, bottom: int, right: int) -> Region:
        """Return the rows ``top`` to ``bottom - 1`` and columns ``left`` to ``right - 1``.

        Parameters
        ----------
        top, left, bottom, right : int
            Edges in pixels from the top left.

        Returns
        -------
        Region
            Weight 1 on those pixels.

        Raises
        ------
        InvalidRegion
            When the box has no height or no width.
        """
        return _Box(top, left, bottom, right)

    @staticmethod
    def polygon(points: Sequence[tuple[float, float]]) -> Region:
        """Return the pixels whose centre lies inside a polygon; where it crosses itself, inside is every other part.

        Parameters
        ----------
        points : sequence of (float, float)
            At least three corners (row, column) in continuous coordinates: pixel *i* covers [i, i + 1).

        Returns
        -------
        Region
            Weight 1 on those pixels.

        Raises
        ------
        InvalidRegion
            When there are fewer than three corners, or one isn't a pair of finite numbers.
        """
        try:
            corners = tuple(points)
        except TypeError:
            raise InvalidRegion(f"The polygon is {shown(points)}; expected corners (row, column).") from None
        return _Polygon(tuple(map(_corner, corners)))

    @staticmethod
    def mask(array: ArrayLike) -> Region:
        """Return the pixels marked in an array of the image's size.

        Parameters
        ----------
        array : array_like
            H×W; bool, or numbers between 0 and 1 as weights.

        Returns
        -------
        Region
            The array's numbers as weights.

        Raises
        ------
        InvalidRegion
            When it has other than two axes, or values outside 0..1.
        """
        try:
            values = np.asarray(array)
        except (TypeError, ValueError) as error:
            raise InvalidRegion(f"The region mask isn't an array: {error}.") from None
        return _Mask.of(values)

    @staticmethod
    def true(class_: str | int) -> Region:
        """Return the pixels that belong to a class in the true mask.

        Parameters
        ----------
        class_ : str or int
            Name or index of the class.

        Returns
        -------
        Region
            Weight 1 on those pixels.
        """
        return _True(class_)

    @staticmethod
    def errors(class_: str | int, kind: ErrorKind = "any") -> Region:
        """Return the pixels that the network got wrong about a class, by the true mask.

        Parameters
        ----------
        class_ : str or int
            Name or index of the class.
        kind : {"any", "false-positive", "false-negative"}
            ``"false-positive"`` are labelled as the class and aren't it; ``"false-negative"`` are it and aren't
            labelled so.

        Returns
        -------
        Region
            Weight 1 on those pixels.

        Raises
        ------
        UnknownName
            When there is no such kind.
        """
        if kind not in ERROR_KINDS:
            raise UnknownName("kind of error", kind, ERROR_KINDS)
        return _Errors(class_, kind)

    @staticmethod
    def segment(row: int, column: int) -> Region:
        """Return the connected part of the predicted mask that a pixel belongs to; corners connect.

        Parameters
        ----------
        row, column : int
            A pixel of the part, counted from 0 at the top left.

        Returns
        -------
        Region
            All its pixels.
        """
        return _Segment(row, column)

    @staticmethod
    def superpixel(row: int, column: int, *, count: int = 200) -> Region:
        """Return the patch of similar colour around a pixel (SLIC, Achanta et al. 2012, doi:10.1109/TPAMI.2012.120).

        Parameters
        ----------
        row, column : int
            A pixel of the patch, counted from 0 at the top left.
        count : int
            Into about how many patches of similar size the whole image is divided, 1..5000.

        Returns
        -------
        Region
            All its pixels.

        Raises
        ------
        InvalidRegion
            When the count is out of range.
        """
        return _Superpixel(row, column, count)

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Region:
        """Read a region that :meth:`to_dict` wrote.

        Parameters
        ----------
        data : mapping
            As :meth:`to_dict` gives it.

        Returns
        -------
        Region
            The same region.

        Raises
        ------
        InvalidRegion
            When it can't be read.
        """
        return _read(data, 1)


@dataclass(frozen=True)
class _Everywhere(Region):
    def weights(self, prediction: Prediction) -> Weights:
        return np.ones(prediction.size, dtype=np.float32)

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "everywhere"}


@dataclass(frozen=True)
class _Predicted(Region):
    class_: str | int

    def weights(self, prediction: Prediction) -> Weights:
        return _binary(prediction.mask == prediction.model.class_index(self.class_))

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "predicted", "class": _plain(self.class_)}


@dataclass(frozen=True)
class _Pixel(Region):
    row: int
    column: int

    def __post_init__(self) -> None:
        _require_whole(self.row, self.column)

    def weights(self, prediction: Prediction) -> Weights:
        _require_inside(self.row, self.column, prediction.size)
        weights = np.zeros(prediction.size, dtype=np.float32)
        weights[self.row, self.column] = 1
        return weights

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "pixel", "row": int(self.row), "column": int(self.column)}


@dataclass(frozen=True)
class _Box(Region):
    top: int
    left: int
    bottom: int
    right: int

    def __post_init__(self) -> None:
        _require_whole(self.top, self.left, self.bottom, self.right)
        if self.bottom <= self.top or self.right <= self.left:
            raise InvalidRegion(
                f"The box (top {self.top}, left {self.left}, bottom {self.bottom}, right {self.right}) holds no pixel; "
                "bottom must be below top, and right beyond left."
            )

    def weights(self, prediction: Prediction) -> Weights:
        height, width = prediction.size
        if self.top < 0 or self.left < 0 or self.bottom > height or self.right > width:
            raise InvalidRegion(
                f"The box (top {self.top}, left {self.left}, bottom {self.bottom}, right {self.right}) reaches outside "
                f"the image of {height} rows and {width} columns."
            )
        weights = np.zeros((height, width), dtype=np.float32)
        weights[self.top : self.bottom, self.left : self.right] = 1
        return weights

    def to_dict(self) -> dict[str, Any]:
        edges = {"top": self.top, "left": self.left, "bottom": self.bottom, "right": self.right}
        return {"kind": "box"} | {name: int(edge) for name, edge in edges.items()}


@dataclass(frozen=True)
class _Polygon(Region):
    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        if len(self.points) < 3:
            raise InvalidRegion(f"A polygon needs at least three corners; {len(self.points)} came.")

    def weights(self, prediction: Prediction) -> Weights:
        height, width = prediction.size
        # Going along a row of pixel centres, each edge that is crossed changes inside to outside or back.
        changes = np.zeros((height, width + 1), dtype=np.int32)
        for start, end in zip(self.points, self.points[1:] + self.points[:1], strict=True):
            (top, from_column), (bottom, to_column) = sorted((start, end))
            rows = np.arange(*(min(max(math.ceil(row - 0.5), 0), height) for row in (top, bottom)))
            if rows.size:
                crossings = from_column + (rows + 0.5 - top) * ((to_column - from_column) / (bottom - top))
                changes[rows, np.clip(np.ceil(crossings - 0.5), 0, width).astype(int)] += 1
        return _binary(changes.cumsum(axis=1)[:, :width] % 2)

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "polygon", "points": [list(point) for point in self.points]}


@dataclass(frozen=True, eq=False)
class _Mask(Region):
    """Runs of equal weight along the rows, which take no memory before they meet an image of their size."""

    size: tuple[int, int]
    runs: NDArray[np.int64]
    levels: Weights

    @classmethod
    def of(cls, array: NDArray[Any]) -> _Mask:
        if array.ndim != 2 or array.size == 0:
            raise InvalidRegion(f"The region mask has shape {array.shape}; expected H×W, as large as the image.")
        if array.dtype.kind not in "biuf":
            raise InvalidRegion(f"The region mask holds {array.dtype}; expected booleans, or weights between 0 and 1.")
        if not (array.min() >= 0 and array.max() <= 1):
            raise InvalidRegion(
                f"The region mask holds values from {array.min():g} to {array.max():g}; "
                "expected booleans, or weights between 0 and 1."
            )
        flat = array.ravel().astype(np.float32)
        starts = np.concatenate([[0], np.flatnonzero(np.diff(flat)) + 1])
        runs = np.diff(np.append(starts, flat.size))
        return cls((array.shape[0], array.shape[1]), runs, flat[starts])

    def weights(self, prediction: Prediction) -> Weights:
        if self.size != prediction.size:
            raise InvalidRegion(
                f"The region mask has size {self.size[0]}×{self.size[1]}, but the image has "
                f"{prediction.size[0]}×{prediction.size[1]} (height×width)."
            )
        return np.repeat(self.levels, self.runs).reshape(self.size)

    def to_dict(self) -> dict[str, Any]:
        data: dict[str, Any] = {"kind": "mask", "size": list(self.size)}
        first = int(self.levels[0])
        if np.array_equal(self.levels, (np.arange(len(self.levels)) + first) % 2):
            return data | {"runs": [0] * first + self.runs.tolist()}
        return data | {"runs": self.runs.tolist(), "levels": self.levels.tolist()}


@dataclass(frozen=True)
class _True(Region):
    class_: str | int

    def weights(self, prediction: Prediction) -> Weights:
        return _binary(_truth(prediction) == prediction.model.class_index(self.class_))

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "true", "class": _plain(self.class_)}


@dataclass(frozen=True)
class _Errors(Region):
    class_: str | int
    error: ErrorKind

    def weights(self, prediction: Prediction) -> Weights:
        index = prediction.model.class_index(self.class_)
        predicted, true = prediction.mask == index, _truth(prediction) == index
        wrong = {"any": predicted ^ true, "false-positive": predicted & ~true, "false-negative": true & ~predicted}
        return _binary(wrong[self.error])

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "errors", "class": _plain(self.class_), "error": self.error}


@dataclass(frozen=True)
class _Segment(Region):
    row: int
    column: int

    def __post_init__(self) -> None:
        _require_whole(self.row, self.column)

    def weights(self, prediction: Prediction) -> Weights:
        _require_inside(self.row, self.column, prediction.size)
        return _binary(component(prediction.mask, self.row, self.column))

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "segment", "row": int(self.row), "column": int(self.column)}


@dataclass(frozen=True)
class _Superpixel(Region):
    row: int
    column: int
    count: int

    def __post_init__(self) -> None:
        _require_whole(self.row, self.column)
        check_count(self.count)

    def weights(self, prediction: Prediction) -> Weights:
        _require_inside(self.row, self.column, prediction.size)
        patches = prediction.superpixels(int(self.count))
        return _binary(patches == patches[self.row, self.column])

    def to_dict(self) -> dict[str, Any]:
        place = {"row": int(self.row), "column": int(self.column)}
        return {"kind": "superpixel"} | place | {"count": int(self.count)}


@dataclass(frozen=True)
class _Combined(Region):
    operation: Literal["and", "or"]
    regions: tuple[Region, ...]

    nesting: int = field(init=False, repr=False, compare=False, default=1)

    def __post_init__(self) -> None:
        _nest(self, *self.regions)

    def weights(self, prediction: Prediction) -> Weights:
        parts = (region.weights(prediction) for region in self.regions)
        return functools.reduce(np.minimum if self.operation == "and" else np.maximum, parts)

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.operation, "regions": [region.to_dict() for region in self.regions]}


@dataclass(frozen=True)
class _Not(Region):
    region: Region
    nesting: int = field(init=False, repr=False, compare=False, default=1)

    def __post_init__(self) -> None:
        _nest(self, self.region)

    def __invert__(self) -> Region:
        return self.region

    def weights(self, prediction: Prediction) -> Weights:
        return 1 - self.region.weights(prediction)

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "not", "region": self.region.to_dict()}


def _binary(marked: NDArray[np.generic]) -> Weights:
    return marked.astype(np.float32)


def _truth(prediction: Prediction) -> NDArray[np.int32]:
    if prediction.truth is None:
        raise InvalidRegion(
            "This region needs the true mask of the image, and there is none; give it with predict(image, truth=mask)."
        )
    return prediction.truth


def _plain(class_: Any) -> Any:
    """Return a class's name or index as JSON can hold it."""
    return int(class_) if isinstance(class_, np.integer) else class_


def _joined(operation: Literal["and", "or"], *regions: Region) -> Region:
    """Combine regions side by side where they already are of the operation, so that a long chain nests no deeper."""
    parts: list[Region] = []
    for region in regions:
        parts += region.regions if isinstance(region, _Combined) and region.operation == operation else (region,)
    return _Combined(operation, tuple(parts))


def _nest(region: Region, *parts: Region) -> None:
    nesting = 1 + max(part.nesting for part in parts)
    _require_shallow(nesting)
    object.__setattr__(region, "nesting", nesting)


def _require_shallow(nesting: int) -> None:
    if nesting > _DEEPEST:
        raise InvalidRegion(f"The region is nested more than {_DEEPEST} deep; give it as a mask.")


def _require_whole(*numbers: object) -> None:
    for number in numbers:
        if not isinstance(number, (int, np.integer)) or isinstance(number, bool):
            raise InvalidRegion(f"Pixels are counted in whole numbers; {shown(number)} came.")
        if abs(int(number)) >= _LARGEST:
            raise InvalidRegion(f"A count of pixels is {shown(number)}; expected less than {_LARGEST}.")


def _require_inside(row: int, column: int, size: tuple[int, int]) -> None:
    height, width = size
    if not (0 <= row < height and 0 <= column < width):
        raise InvalidRegion(
            f"The pixel (row {row}, column {column}) lies outside the image of {height} rows and {width} columns."
        )


def _corner(point: Any) -> tuple[float, float]:
    try:
        row, column = (float(coordinate) for coordinate in point)
    except (TypeError, ValueError, OverflowError):
        raise InvalidRegion(f"A corner of a polygon is {shown(point)}; expected (row, column).") from None
    if isinstance(point, str) or not (abs(row) < _LARGEST and abs(column) < _LARGEST):
        raise InvalidRegion(f"A corner of a polygon is {shown(point)}; expected numbers smaller than {_LARGEST}.")
    return row, column


Part: TypeAlias = "Callable[[Any], Region]"


def _read(data: object, nesting: int) -> Region:
    _require_shallow(nesting)
    if not isinstance(data, Mapping):
        raise InvalidRegion(f"The region is {shown(data)}; expected a mapping with 'kind' and what it needs.")
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in _READERS:
        raise UnknownName("kind of region", kind, _READERS)
    try:
        return _READERS[kind](data, lambda part: _read(part, nesting + 1))
    except SegscopeError:
        raise
    except KeyError as error:
        raise InvalidRegion(f"A region of kind {kind!r} needs {error}, which is missing.") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise InvalidRegion(f"The region of kind {kind!r} can't be read: {error}.") from None


def _read_combined(operation: Literal["and", "or"]) -> Callable[[Mapping[str, Any], Part], Region]:
    def read(data: Mapping[str, Any], part: Part) -> Region:
        regions = tuple(map(part, data["regions"]))
        if not regions:
            raise InvalidRegion(f"A region of kind {operation!r} needs at least one region.")
        return _Combined(operation, regions)

    return read


def _read_mask(data: Mapping[str, Any], _: Part) -> Region:
    height, width = data["size"]
    runs = data["runs"]
    _require_whole(height, width, *runs)
    if min(height, width) < 1 or min(runs, default=0) < 0 or sum(runs) != height * width:
        raise InvalidRegion(f"The runs of the region mask add up to {sum(runs)} pixels; expected {height}×{width}.")
    levels = np.asarray(data.get("levels", np.arange(len(runs)) % 2), dtype=np.float64)
    if levels.shape != (len(runs),) or not (levels.min() >= 0 and levels.max() <= 1):
        raise InvalidRegion(f"The region mask needs {len(runs)} levels between 0 and 1, one for each run.")
    return _Mask((int(height), int(width)), np.asarray(runs, dtype=np.int64), levels.astype(np.float32))


_READERS: dict[str, Callable[[Mapping[str, Any], Part], Region]] = {
    "everywhere": lambda _data, _part: Region.everywhere(),
    "predicted": lambda data, _: Region.predicted(data["class"]),
    "pixel": lambda data, _: Region.pixel(data["row"], data["column"]),
    "box": lambda data, _: Region.box(data["top"], data["left"], data["bottom"], data["right"]),
    "polygon": lambda data, _: Region.polygon(data["points"]),
    "true": lambda data, _: Region.true(data["class"]),
    "errors": lambda data, _: Region.errors(data["class"], kind=data.get("error", "any")),
    "segment": lambda data, _: Region.segment(data["row"], data["column"]),
    "superpixel": lambda data, _: Region.superpixel(data["row"], data["column"], count=data.get("count", 200)),
    "and": _read_combined("and"),
    "or": _read_combined("or"),
    "not": lambda data, part: ~part(data["region"]),
    "mask": _read_mask,
}
