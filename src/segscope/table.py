"""Every channel's weight for every logit at a layer, from which any question is answered without the network."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .attribution import Attribution, Cost
from .directional import Way, channel_derivatives
from .errors import CannotExplain, InvalidInput, UnknownName
from .files import write_file
from .geometry import resize
from .methods import find_method
from .progress import Progress
from .region import Region
from .target import Question, Score, Target, as_target

if TYPE_CHECKING:
    from .prediction import Prediction

__all__ = ["TABLE_METHODS", "Float16Table", "Table", "TableMethod", "make_table"]

TableMethod: TypeAlias = Literal["grad-cam", "xgrad-cam"]
TABLE_METHODS: tuple[TableMethod, ...] = ("grad-cam", "xgrad-cam")
"""The methods whose weights are sums over the logits, so that a table holds all of them."""

_FORMAT = 1
# A table is for one image and one network; these differ more than what another machine rounds differently.
_SAME = 1e-3
# A channel's values add up to zero when their sum is no larger than this share of their magnitudes'.
_ROUNDING = 1e-6


class Float16Table(NamedTuple):
    """A table in half the space.

    Parameters
    ----------
    values : ndarray
        float16, C×K×h×w: the table times ``scale``.
    scale : float
        A power of two that brings the largest magnitude near the end of float16's range, so that small weights keep
        their digits.
    """

    values: NDArray[np.float16]
    scale: float


class Table:
    """The weight of every channel of a layer for every logit: of each class, at each place.

    Any score's weights are sums over the table: with g the derivative of the score by each logit, channel k has the
    weight Σ g[c, p] · values[k, c, p], and the map is the rectified sum of the layer's channels times their weights.
    Tables come from :meth:`Prediction.table` or :meth:`load`; they answer even when the prediction was closed.

    Parameters
    ----------
    prediction : Prediction
        The image.
    layer : str
        The layer's name.
    method : {"grad-cam", "xgrad-cam"}
        Whose weights these are.
    values : Tensor
        float32, C×K×h×w (channels × classes × rows × columns of the logits). For Grad-CAM the mean over the channel of
        the logit's derivative, in logits per unit of activation. For XGrad-CAM the sum over the channel of activation
        times derivative, in logits. Positive where more of the channel raises the logit.
    way : {"forward", "backward"}
        How it was worked out: by forward mode, or by one backward pass a logit.
    reason : str
        Why forward mode couldn't serve; empty where it did.

    Attributes
    ----------
    activation : Tensor
        float32, C×h×w: the layer's output.

    Raises
    ------
    UnknownName
        When there is no table for the method.
    InvalidInput
        When the values don't fit layer and logits.
    """

    def __init__(
        self,
        prediction: Prediction,
        layer: str,
        method: TableMethod,
        values: Tensor,
        *,
        way: Way = "forward",
        reason: str = "",
    ) -> None:
        _check_method(method)
        self.layer = layer
        self.method: TableMethod = method
        self.values = values
        self.way: Way = way
        self.reason = reason
        self.activation = prediction.activation(layer)
        self._prediction = prediction
        self._logits = torch.from_numpy(prediction.logits)[None].to(values.device)
        wanted = (len(self.activation), *self._logits.shape[1:])
        if tuple(values.shape) != wanted:
            raise InvalidInput(
                f"The table has the shape {_size(values.shape)}; the layer {layer!r} and the logits need "
                f"{_size(wanted)} (channels × classes × rows × columns)."
            )

    def __repr__(self) -> str:
        """Return layer, method and shape."""
        return f"Table({self.layer!r}, method={self.method!r}, values={_size(self.values.shape)}, way={self.way!r})"

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the table and the layer's output take."""
        return sum(tensor.numel() * tensor.element_size() for tensor in (self.values, self.activation))

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the table came from, as data for JSON."""
        from . import __version__

        return {
            "format": _FORMAT,
            "model": self._prediction.model.name,
            "image_size": list(self._prediction.size),
            "layer": self.layer,
            "layer_size": list(self.activation.shape),
            "logits_size": list(self.values.shape[1:]),
            "method": self.method,
            "way": self.way,
            "reason": self.reason,
            "segscope": __version__,
            "torch": torch.__version__,
        }

    def weights(
        self,
        class_: str | int | Target,
        region: Region | None = None,
        *,
        against: str | int | None = None,
        score: Score = "logit",
    ) -> Tensor:
        """Return the weight of each channel for a score.

        Parameters
        ----------
        class_, region, against, score
            As in :meth:`Prediction.explain`.

        Returns
        -------
        Tensor
            float32, C: positive where the channel speaks for the class. XGrad-CAM's weight divides by the sum of the
            channel's activation; where that sum is zero the weight is zero.

        Raises
        ------
        UnknownName, EmptyRegion, InvalidInput
            As :meth:`Prediction.explain` does.
        """
        question, _ = self._prediction.question(as_target(class_, region, against, score))
        return self._weights([question])[0]

    def explain(
        self,
        class_: str | int | Target,
        region: Region | None = None,
        *,
        against: str | int | None = None,
        score: Score = "logit",
        relu: bool = True,
    ) -> Attribution:
        """Explain a score as :meth:`Prediction.explain` does, without a pass through the network.

        Parameters
        ----------
        class_, region, against, score
            As in :meth:`Prediction.explain`.
        relu : bool
            Keep only evidence for the class; without it, evidence against the class is negative.

        Returns
        -------
        Attribution
            The same map, up to rounding.

        Raises
        ------
        CannotExplain
            When the layer doesn't influence the score.
        UnknownName, EmptyRegion, InvalidInput
            As :meth:`Prediction.explain` does.
        """
        return self.explain_many([as_target(class_, region, against, score)], relu=relu)[0]

    def explain_many(self, targets: Iterable[Target], *, relu: bool = True) -> list[Attribution]:
        """Explain many scores at once, in a fraction of the time of one after the other.

        Parameters
        ----------
        targets : iterable of Target
            The scores; those that share a region object share its work.
        relu : bool
            As in :meth:`explain`.

        Returns
        -------
        list of Attribution
            One for each target, in their order.

        Raises
        ------
        CannotExplain
            When the layer doesn't influence one of the scores.
        UnknownName, EmptyRegion, InvalidInput
            As :meth:`Prediction.explain` does.
        """
        method = find_method(self.method)
        parameters = method.check({"relu": relu})
        start = time.perf_counter()
        wanted = list(targets)
        asked = self._prediction.questions(wanted)
        maps = self._maps([question for question, _ in asked], relu=relu)
        cost = Cost((time.perf_counter() - start) / max(1, len(asked)), 0)
        return [
            Attribution(self._prediction, target, region, self.layer, method, parameters, values, cost)
            for target, (_, region), values in zip(wanted, asked, maps, strict=True)
        ]

    def maps(self, targets: Iterable[Target], *, relu: bool = True) -> Tensor:
        """Return the raw maps of many scores at the layer's own resolution, and nothing else.

        Parameters
        ----------
        targets : iterable of Target
            The scores; those that share a region object share its work.
        relu : bool
            As in :meth:`explain`.

        Returns
        -------
        Tensor
            float32, T×h×w, as :attr:`Attribution.map` of each.

        Raises
        ------
        CannotExplain
            When the layer doesn't influence one of the scores.
        UnknownName, EmptyRegion, InvalidInput
            As :meth:`Prediction.explain` does.
        """
        return self._maps([question for question, _ in self._prediction.questions(targets)], relu=relu)

    def to_float16(self) -> Float16Table:
        """Return the table in half the space, for a browser or a file.

        Returns
        -------
        Float16Table
            The scaled values, and the scale to divide by.
        """
        largest = float(self.values.abs().max())
        # 2¹⁵ is the largest power of two that float16 holds with room to spare; a table of zeros needs no scale.
        exponent = 15 - int(np.ceil(np.log2(largest))) if largest > 0 else 0
        scale = 2.0**exponent
        return Float16Table((self.values * scale).half().cpu().numpy(), scale)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the table to an NPZ file.

        It holds ``values`` (float32, C×K×h×w), ``logits`` (float32, K×h×w) and ``means`` (float32, C: each channel's
        mean), by which :meth:`load` tells whether a prediction is the one that it was made of, and ``provenance`` (JSON
        text). A file is replaced only by a complete one.

        Parameters
        ----------
        path : path
            Ends with ``.npz``.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        InvalidInput
            When the ending is another one, or the folder can't be written to.
        """
        if Path(path).suffix.lower() != ".npz":
            raise InvalidInput(f"The file {os.fspath(path)!r} ends with {Path(path).suffix!r}; expected .npz.")
        arrays: dict[str, Any] = {
            "values": self.values.cpu().numpy(),
            "logits": self._logits[0].cpu().numpy(),
            "means": self.activation.mean((1, 2)).cpu().numpy(),
            "provenance": np.array(json.dumps(self.provenance)),
        }
        return write_file(path, lambda file: np.savez(file, **arrays))

    @classmethod
    def load(cls, path: str | os.PathLike[str], prediction: Prediction) -> Table:
        """Read a table that :meth:`save` wrote.

        Parameters
        ----------
        path : path
            The file.
        prediction : Prediction
            Of the same image by the same network.

        Returns
        -------
        Table
            On the prediction's device.

        Raises
        ------
        InvalidInput
            When the file isn't such a table, or is one of another network, layer or image.
        PredictionClosed
            When the prediction was closed.
        """
        arrays, provenance = _read(path)
        layer = provenance["layer"]
        try:
            activation = prediction.activation(layer)
        except UnknownName:
            raise InvalidInput(
                f"The table in {os.fspath(path)!r} is one of the layer {layer!r}, which this network doesn't have; "
                f"it was made of the network {provenance['model']!r}."
            ) from None
        differs = _difference(arrays, provenance, prediction, activation)
        if differs:
            raise InvalidInput(
                f"The table in {os.fspath(path)!r} doesn't fit this prediction: {differs}. Predict the image that it "
                "was made of with the same network, or make a new table."
            )
        values = torch.from_numpy(arrays["values"]).to(activation.device)
        return cls(prediction, layer, provenance["method"], values, way=provenance["way"], reason=provenance["reason"])

    def _maps(self, questions: Sequence[Question], *, relu: bool) -> Tensor:
        weights = self._weights(questions)
        if not bool(weights.any(1).all()):
            raise CannotExplain(
                f"The layer {self.layer!r} doesn't influence this score: the weight of every channel is zero. Choose "
                "another layer, class or region."
            )
        maps = (weights @ self.activation.flatten(1)).reshape(-1, *self.activation.shape[1:])
        return maps.clamp_(min=0) if relu else maps

    def _weights(self, questions: Sequence[Question]) -> Tensor:
        """Return the channels' weights for each question, T×C."""
        weights = self.values.new_zeros(len(questions), len(self.values))
        linear = [place for place, question in enumerate(questions) if question.kind == "logit"]
        for places, part in self._of_logits([questions[place] for place in linear]):
            weights[[linear[place] for place in places]] += part
        for place, question in enumerate(questions):
            if question.kind != "logit":
                weights[place] = self.values.flatten(1) @ self._gradient(question).flatten()
        if self.method == "grad-cam":
            return weights
        sums, sizes = self.activation.sum((1, 2)), self.activation.abs().sum((1, 2))
        return torch.where(sums.abs() > _ROUNDING * sizes, weights / sums, 0.0)

    def _of_logits(self, questions: Sequence[Question]) -> Iterator[tuple[list[int], Tensor]]:
        """Yield parts of the weights of scores that are sums of logits: which questions, and what to add to theirs."""
        spread = self._spread([question.weights for question in questions])
        shares: dict[int, dict[int, float]] = {}
        for place, question in enumerate(questions):
            for channel, share in ((question.class_index, -1.0), *question.contrast):
                found = shares.setdefault(channel, {})
                found[place] = found.get(place, 0.0) - share
        for channel, factors in shares.items():
            places = list(factors)
            scaled = spread[places] * spread.new_tensor(list(factors.values()))[:, None]
            yield places, scaled @ self.values[:, channel].flatten(1).mT

    def _spread(self, regions: Sequence[Tensor]) -> Tensor:
        """Bring regions' weights, h×w at the input's size, to the logits: the transpose of resizing; T×(h·w)."""
        kept = {id(region): region for region in regions}
        if not kept:
            return self.values.new_zeros(0, self.values[0, 0].numel())
        rows, columns = (self._resizing(axis, regions[0].shape[axis]) for axis in (0, 1))
        spread = torch.stack([(rows @ region @ columns.mT).flatten() for region in kept.values()])
        places = {key: place for place, key in enumerate(kept)}
        return spread[[places[id(region)] for region in regions]]

    def _resizing(self, axis: int, length: int) -> Tensor:
        """Return the matrix by which rows (or columns) of the logits are resized, logits' length × length."""
        cells = torch.eye(self.values.shape[2 + axis], device=self.values.device)
        return resize(cells[:, :, None], (length, 1))[:, :, 0]

    def _gradient(self, question: Question) -> Tensor:
        """Return the derivative of a score by each logit, K×h×w."""
        with torch.inference_mode(mode=False), torch.enable_grad():
            logits = self._logits.clone().requires_grad_()
            return torch.autograd.grad(question.score(logits).sum(), logits)[0][0]


def make_table(prediction: Prediction, layer: str, method: TableMethod, progress: Progress) -> Table:
    """Work out a table; :meth:`Prediction.table` describes it.

    Parameters
    ----------
    prediction : Prediction
        The image.
    layer : str
        The layer's name.
    method : {"grad-cam", "xgrad-cam"}
        Whose weights.
    progress : Progress
        Told of every pass.

    Returns
    -------
    Table
        The table.

    Raises
    ------
    CannotExplain
        When the layer has no map, the logits don't depend on it, or the table would be larger than the model's memory.
    UnknownName
        When there is no such layer, or no table for the method.
    PredictionClosed
        When the prediction was closed.
    """
    _check_method(method)
    shape = (len(prediction.activation(layer)), *prediction.logits.shape)
    size, most = 4 * int(np.prod(shape)), prediction.model.memory
    if size > most:
        raise CannotExplain(
            f"The table of the layer {layer!r} would hold {_size(shape)} numbers, {size / 2**20:.0f} MiB, and the "
            f"model's memory is {most / 2**20:.0f} MiB; give the model more memory, or let its output have the "
            "resolution at which the network scores."
        )
    along: Literal["mean", "activation"] = "mean" if method == "grad-cam" else "activation"
    found = channel_derivatives(prediction, layer, _of_one_image, along=along, progress=progress)
    return Table(prediction, layer, method, found.values, way=found.way, reason=found.reason)


def _of_one_image(logits: Tensor) -> Tensor:
    return logits[0]


def _check_method(method: object) -> None:
    if method not in TABLE_METHODS:
        raise UnknownName("method with a table", method, TABLE_METHODS)


def _size(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, NDArray[np.float32]], dict[str, Any]]:
    """Read a file's arrays and provenance."""
    refused = f"The file {os.fspath(path)!r} can't be read as a table"
    try:
        # Read whole: of a broken archive np.load would leave the file open.
        with np.load(BytesIO(Path(path).read_bytes()), allow_pickle=False) as file:
            arrays = {name: np.asarray(file[name], dtype=np.float32) for name in ("values", "logits", "means")}
            provenance = json.loads(str(file["provenance"]))
    except OSError as error:
        raise InvalidInput(f"{refused}: {error.strerror or error}.") from None
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, BadZipFile):
        raise InvalidInput(f"{refused}; expected an NPZ file that Table.save wrote.") from None
    kinds = {"format": int, "model": str, "layer": str, "method": str, "way": str, "reason": str, "image_size": list}
    if not isinstance(provenance, dict) or any(
        not isinstance(provenance.get(key), kind) for key, kind in kinds.items()
    ):
        raise InvalidInput(f"{refused}: its provenance is incomplete; expected one that Table.save wrote.")
    if provenance["format"] != _FORMAT:
        raise InvalidInput(
            f"{refused}: its format is {provenance['format']}, and this version reads {_FORMAT}; make a new table."
        )
    return arrays, provenance


def _difference(
    arrays: dict[str, NDArray[np.float32]], provenance: dict[str, Any], prediction: Prediction, activation: Tensor
) -> str:
    """Tell in what a file differs from a prediction; the empty text where it fits."""
    if provenance["image_size"] != list(prediction.size):
        return f"it was made of an image of {_size(provenance['image_size'])} pixels, not {_size(prediction.size)}"
    wanted = (len(activation), *prediction.logits.shape)
    if arrays["values"].shape != wanted:
        return f"it has the size {_size(arrays['values'].shape)} in place of {_size(wanted)}"
    pairs = {
        "the network's logits": (arrays["logits"], prediction.logits),
        f"the output of the layer {provenance['layer']!r}": (arrays["means"], activation.mean((1, 2)).cpu().numpy()),
    }
    for what, (kept, found) in pairs.items():
        scale = float(np.abs(found).max())
        if kept.shape != found.shape or not np.abs(kept - found).max() <= _SAME * max(scale, 1e-6):
            return f"{what} differ from those that it was made of, so that image or network are others"
    return ""
