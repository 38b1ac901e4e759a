"""The map of reasons: pixels told apart by why they got their label."""

from __future__ import annotations

import json
import os
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from .colors import class_colors, to_rgb
from .directional import Way, channel_derivatives
from .errors import CannotExplain, InvalidInput, UnknownName, shown
from .files import write_result
from .geometry import Geometry
from .progress import Progress
from .segments import components as connected_parts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .prediction import Prediction

__all__ = ["MAX_CLUSTERS", "ColoredBy", "Reasons", "Settings", "make_reasons"]

ColoredBy: TypeAlias = Literal["components", "clusters"]

MAX_CLUSTERS = 32
"""The most groups that pixels can be divided into."""

# Iglewicz and Hoaglin's bound of the modified z-score, and what turns a median deviation into a standard one.
_FAR = 3.5
_NORMAL = 1.4826
# Where nearly all pixels of a segment agree, smaller differences than these of the cosine are no news.
_LEAST_DEVIATION = 0.01
_SMALLEST_SEGMENT = 8
# Groups are found on no more pixels than these; every pixel then joins the nearest.
_MOST_PIXELS = 10_000
# In CIELAB: the middle lightness, how far it goes up and down, and how far the two hue axes go.
_LIGHTNESS, _LIGHTNESS_RANGE, _HUE_RANGE = 65.0, 25.0, 60.0


class Settings(NamedTuple):
    """How a map of reasons was made.

    Parameters
    ----------
    clusters : int
        Into how many groups pixels were to be divided, 1..32.
    seed : int
        Start of the random numbers.
    """

    clusters: int
    seed: int


class Reasons:
    """Pixels told apart by which channels of a layer speak for their label.

    Each pixel p of the logits has a vector: for channel k, the sum of activation times derivative of the pixel's
    margin, which is the logit of its predicted class less the mean of the other classes' logits. What speaks for all
    classes alike cancels out, as it does in the softmax. Vectors are brought to unit length, so that the kind of reason
    counts and not how sure the network is; a vector of zeros stays.

    Made by :meth:`Prediction.reasons`; it stays when the prediction is closed.

    Attributes
    ----------
    layer : str
        The layer's name.
    components : ndarray
        float32, 3×h×w at the logits' resolution: the vectors' three leading principal components, centred; zero where
        there are fewer.
    explained : ndarray
        float32, 3: the share of the vectors' variance in each component, 0..1; zero where all vectors are the same.
    labels : ndarray
        int32, h×w: the group that each pixel's vector belongs to, from 0, the largest group first.
    distance : ndarray
        float32, h×w, 0..2: one less the cosine between a pixel's vector and the mean over its connected segment of the
        predicted mask; 1 where either is zero.
    outliers : ndarray
        bool, h×w: the pixels that lie far further from their segment's mean than the others do.
    classes : ndarray
        int32, h×w: the predicted class at the logits' resolution.
    vectors : ndarray
        float32, C×h×w: the vectors of unit length.
    settings : Settings
        How the map was made.
    way : {"forward", "backward"}
        By forward mode, with one pass a channel, or by a backward pass a pixel.
    reason : str
        Why forward mode couldn't serve; empty where it did.

    Notes
    -----
    The vector is the weight of each channel in XGrad-CAM (Fu et al. 2020, arXiv:2008.02312) for the pixel alone, times
    the channel's sum. A pixel is an outlier when its distance's modified z-score (Iglewicz and Hoaglin 1993) within the
    segment is above 3.5; the deviation is taken as at least 0.01, so that where all others agree to the last digit a
    tiny difference is none, and segments of fewer than 8 pixels have no outliers.
    """

    def __init__(
        self, prediction: Prediction, layer: str, vectors: Tensor, settings: Settings, *, way: Way, reason: str
    ) -> None:
        self.layer, self.settings, self.way, self.reason = layer, settings, way, reason
        self._image = prediction.image
        self._geometry: Geometry = prediction.geometry
        self._names = prediction.model.classes
        self._palette = prediction.model.palette
        self._model = prediction.model.name
        unit = _unit(vectors)
        self.vectors: NDArray[np.float32] = unit.cpu().numpy()
        self.classes = np.asarray(prediction.logits.argmax(axis=0), dtype=np.int32)
        self.components, self.explained = _principal(unit)
        self.labels = _groups(unit, settings)
        self.distance, self.outliers = _compare(unit, connected_parts(self.classes))

    def __repr__(self) -> str:
        """Return layer, groups and size."""
        height, width = self.labels.shape
        return f"Reasons({self.layer!r}, clusters={self.clusters}, map={height}×{width})"

    @property
    def clusters(self) -> int:
        """How many groups there are: as many as were wanted, or fewer where fewer vectors differ."""
        return int(self.labels.max()) + 1

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the map came from, as data for JSON."""
        from . import __version__

        return {
            "model": self._model,
            "layer": self.layer,
            **self.settings._asdict(),
            "image_size": list(self._geometry.image),
            "map_size": list(self.labels.shape),
            "way": self.way,
            "reason": self.reason,
            "segscope": __version__,
            "torch": torch.__version__,
        }

    def top_channels(self, label: int, count: int = 5) -> tuple[tuple[int, float], ...]:
        """Return the channels that tell a group from the others.

        Parameters
        ----------
        label : int
            The group's number.
        count : int
            How many channels at most.

        Returns
        -------
        tuple of (int, float)
            Channel, and how much larger its mean in the group's unit vectors is than in all others' (for a single group
            the mean itself), the largest first; only those above zero.

        Raises
        ------
        UnknownName
            When there is no such group.
        """
        chosen = self._group(label)
        inside = self.vectors[:, chosen].mean(axis=1)
        more = inside if chosen.all() else inside - self.vectors[:, ~chosen].mean(axis=1)
        order = np.argsort(-more, kind="stable")[:count]
        return tuple((int(channel), float(more[channel])) for channel in order if more[channel] > 0)

    def class_shares(self, label: int) -> dict[str, float]:
        """Return of which predicted classes a group's pixels are.

        Parameters
        ----------
        label : int
            The group's number.

        Returns
        -------
        dict of str to float
            Shares by class, above zero, the largest first; they add up to one.

        Raises
        ------
        UnknownName
            When there is no such group.
        """
        counts = np.bincount(self.classes[self._group(label)], minlength=len(self._names))
        order = [int(index) for index in np.argsort(-counts, kind="stable") if counts[index]]
        return {self._names[index]: float(counts[index] / counts.sum()) for index in order}

    def colors(self, by: ColoredBy = "components") -> NDArray[np.uint8]:
        """Return the map in colours at the image's pixels.

        Parameters
        ----------
        by : {"components", "clusters"}
            Components: alike colours stand for alike reasons; the first two give the hue and its strength, the third
            the lightness (CIELAB), all on one scale. Clusters: one colour a group.

        Returns
        -------
        ndarray
            uint8, H×W×3.

        Raises
        ------
        UnknownName
            When it can't be coloured by that.
        """
        if by == "clusters":
            return np.asarray(self.cluster_colors[self.at_image(self.labels)])
        if by != "components":
            raise UnknownName("way to colour reasons", by, ("components", "clusters"))
        from skimage.color import lab2rgb

        scale = float(np.quantile(np.abs(self.components), 0.995)) or 1.0
        first, second, third = np.clip(self._smooth(self.components) / scale, -1, 1)
        lab = np.stack([_LIGHTNESS + _LIGHTNESS_RANGE * third, _HUE_RANGE * first, _HUE_RANGE * second], axis=2)
        return np.asarray(np.round(np.clip(lab2rgb(lab), 0, 1) * 255), dtype=np.uint8)

    @property
    def cluster_colors(self) -> NDArray[np.uint8]:
        """The colour of each group, uint8, N×3; people with any kind of colour vision tell the first seven apart."""
        return to_rgb(class_colors(self.clusters + 1)[1:])

    def overlay(self, by: ColoredBy = "components", *, opacity: float = 0.7, outliers: bool = True) -> Image.Image:
        """Return the colours over the image, with outliers outlined in white.

        Parameters
        ----------
        by : {"components", "clusters"}
            As in :meth:`colors`.
        opacity : float
            0 shows the image alone, 1 the colours alone.
        outliers : bool
            Whether they are outlined.

        Returns
        -------
        PIL.Image.Image
            RGB, as large as the image.

        Raises
        ------
        InvalidInput
            When the opacity isn't between 0 and 1.
        UnknownName
            When it can't be coloured by that.
        """
        if not 0 <= opacity <= 1:
            raise InvalidInput(f"The opacity is {opacity}; expected 0 to 1.")
        mixed = self._image * (1 - opacity) + self.colors(by) * opacity
        if outliers:
            mixed[_outline(self.at_image(self.outliers))] = 255
        return Image.fromarray(np.round(mixed).astype(np.uint8))

    def at_image(self, values: NDArray[Any]) -> NDArray[Any]:
        """Bring a map of numbers or marks, such as :attr:`labels` or :attr:`outliers`, to the image's pixels.

        Parameters
        ----------
        values : ndarray
            h×w, as large as :attr:`labels`.

        Returns
        -------
        ndarray
            H×W: each pixel takes what is at the nearest place.
        """
        rows, columns = (_nearest(self._geometry, axis, values.shape[axis]) for axis in (0, 1))
        return np.asarray(values[rows[:, None], columns[None, :]])

    def plot(self) -> Figure:
        """Draw the predicted mask, the components and the groups with their legends, side by side.

        Returns
        -------
        matplotlib.figure.Figure
            The figure; it belongs to the caller.
        """
        from .plot import plot_reasons

        return plot_reasons(self, mask=self._palette[self.at_image(self.classes)])

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the figure (PNG, SVG or PDF) or the numbers (NPZ), by the file's ending.

        Parameters
        ----------
        path : path
            Ends with ``.png``, ``.svg``, ``.pdf`` or ``.npz``; a file is replaced only by a complete one.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        InvalidInput
            When the ending is another one, or the folder can't be written to.
        """
        return write_result(path, plot=self.plot, to_npz=self.to_npz)

    def to_npz(self) -> bytes:
        """Return the numbers as the content of an NPZ file, which :func:`numpy.load` reads.

        Returns
        -------
        bytes
            ``components``, ``explained``, ``labels``, ``distance``, ``outliers`` and ``classes`` as the attributes, and
            ``provenance`` (JSON text).
        """
        names = ("components", "explained", "labels", "distance", "outliers", "classes")
        arrays: dict[str, Any] = {name: getattr(self, name) for name in names}
        file = BytesIO()
        np.savez_compressed(file, provenance=np.array(json.dumps(self.provenance)), **arrays)
        return file.getvalue()

    def _group(self, label: int) -> NDArray[np.bool_]:
        if not isinstance(label, (int, np.integer)) or not 0 <= label < self.clusters:
            raise UnknownName("group of reasons", label, map(str, range(self.clusters)))
        return np.asarray(self.labels == label)

    def _smooth(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring maps to the image's pixels, bilinearly."""
        return np.asarray(self._geometry.to_image(torch.from_numpy(values)).numpy())


def make_reasons(prediction: Prediction, layer: str, settings: Settings, progress: Progress) -> Reasons:
    """Work out a map of reasons; :meth:`Prediction.reasons` describes it.

    Parameters
    ----------
    prediction : Prediction
        The image.
    layer : str
        The layer's name.
    settings : Settings
        How it is made.
    progress : Progress
        Told of every pass.

    Returns
    -------
    Reasons
        The map.

    Raises
    ------
    InvalidInput
        When the number of groups is out of range.
    CannotExplain
        When the layer has no map, the logits don't depend on it, or the vectors would be larger than the model's
        memory.
    UnknownName
        When there is no such layer.
    PredictionClosed
        When the prediction was closed.
    """
    clusters = settings.clusters
    if not isinstance(clusters, int) or isinstance(clusters, bool) or not 1 <= clusters <= MAX_CLUSTERS:
        raise InvalidInput(
            f"The number of groups is {shown(clusters)}; expected a whole number from 1 to {MAX_CLUSTERS}."
        )
    activation, logits = prediction.activation(layer), prediction.logits
    size, most = 4 * len(activation) * logits[0].size, prediction.model.memory
    if size > most:
        raise CannotExplain(
            f"The reasons at the layer {layer!r} would take {size / 2**20:.0f} MiB, and the model's memory is "
            f"{most / 2**20:.0f} MiB; give the model more memory, or choose a layer with fewer channels."
        )
    chosen = torch.from_numpy(logits.argmax(axis=0)).to(activation.device)

    def margins(logits: Tensor) -> Tensor:
        own = logits[0].gather(0, chosen[None])[0]
        return own - (logits[0].sum(0) - own) / (logits.shape[1] - 1)

    found = channel_derivatives(prediction, layer, margins, along="activation", progress=progress)
    return Reasons(prediction, layer, found.values, settings, way=found.way, reason=found.reason)


def _unit(vectors: Tensor) -> Tensor:
    """Bring vectors C×h×w to unit length; those of zeros stay."""
    lengths = vectors.norm(dim=0)
    return vectors / torch.where(lengths > 0, lengths, 1)


def _principal(vectors: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the three leading components, 3×h×w, and their shares of the variance, 3."""
    flat = vectors.flatten(1).double()
    centred = flat - flat.mean(1, keepdim=True)
    variances, axes = torch.linalg.eigh(centred @ centred.mT)
    count = min(3, len(flat))
    variances, axes = variances.flip(0).clamp(min=0), axes.flip(1)[:, :count]
    # An axis has no direction of its own: its largest entry counts as positive.
    signs = axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    components, shares = flat.new_zeros(3, flat.shape[1]), flat.new_zeros(3)
    components[:count] = (axes * signs).mT @ centred
    total = float(variances.sum())
    shares[:count] = variances[:count] / total if total > 0 else 0
    return components.float().reshape(3, *vectors.shape[1:]).cpu().numpy(), shares.float().cpu().numpy()


def _groups(vectors: Tensor, settings: Settings) -> NDArray[np.int32]:
    """Divide pixels into groups of like vectors (k-means), h×w, numbered by their size."""
    from sklearn.cluster import KMeans  # type: ignore[import-untyped] # it has no annotations

    flat = vectors.flatten(1).mT.cpu().numpy()
    chosen = np.random.default_rng(settings.seed).permutation(len(flat))[:_MOST_PIXELS]
    sample = flat[np.sort(chosen)]
    # Rounding makes many of one: k-means asks for at least as many different points as groups.
    different = len(np.unique(sample.round(4), axis=0))
    means = KMeans(min(settings.clusters, different), n_init=4, random_state=settings.seed).fit(sample)
    labels = means.predict(flat)
    order = np.argsort(-np.bincount(labels, minlength=means.n_clusters), kind="stable")
    rank = np.argsort(order, kind="stable")
    return np.asarray(rank[labels].reshape(vectors.shape[1:]), dtype=np.int32)


def _compare(vectors: Tensor, segments: NDArray[np.int32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return each pixel's distance from its segment's mean, and which are far further away than the others."""
    flat = vectors.flatten(1)
    parts = torch.from_numpy(segments.ravel().astype(np.int64)).to(flat.device)
    sums = flat.new_zeros(len(flat), int(parts.max()) + 1).index_add_(1, parts, flat)
    distance = (1 - (flat * _unit(sums)[:, parts]).sum(0)).cpu().numpy()
    outliers = np.zeros(len(distance), dtype=np.bool_)
    order = np.argsort(segments.ravel(), kind="stable")
    for places in np.split(order, np.cumsum(np.bincount(segments.ravel()))[:-1]):
        if len(places) >= _SMALLEST_SEGMENT:
            more = distance[places] - np.median(distance[places])
            deviation = max(_NORMAL * float(np.median(np.abs(more))), _LEAST_DEVIATION)
            outliers[places] = more / deviation > _FAR
    return distance.reshape(segments.shape), outliers.reshape(segments.shape)


def _nearest(geometry: Geometry, axis: int, length: int) -> NDArray[np.int64]:
    """Return the row (or column) of a map over the whole input that lies nearest to each row of the image."""
    centres = (np.arange(geometry.image[axis]) + 0.5) * geometry.content[axis] / geometry.image[axis]
    positions = (centres + geometry.offset[axis]) * length / geometry.input[axis]
    return np.floor(positions).astype(np.int64).clip(0, length - 1)


def _outline(marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the marked pixels that touch one which isn't marked."""
    padded = np.pad(marked, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.asarray(marked & ~inner)
