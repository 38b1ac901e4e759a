"""The scalar to explain: the score of a class over a region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, Protocol, TypeAlias

import torch
from torch import Tensor

from .errors import EmptyRegion, InvalidInput, UnknownName
from .geometry import resize, unresize
from .region import Region

__all__ = ["SCORES", "Blend", "Question", "Score", "Scored", "Target", "as_target"]

Score: TypeAlias = Literal["logit", "probability"]
SCORES: tuple[Score, ...] = ("logit", "probability")


@dataclass(frozen=True)
class Target:
    """What to explain: why is this region labelled as a class (and not as another)?

    The score is the region-weighted mean, over the pixels of the network's input, of the class's logit; with
    ``against``, of the class's logit minus the other's. Logits of a lower resolution are brought to the input's size
    bilinearly first (``align_corners=False``).

    Parameters
    ----------
    class_ : str or int
        The class to explain, by name or index.
    region : Region, optional
        The pixels that the question is about. Without it: those predicted as the class. With Grad-CAM this is
        Seg-Grad-CAM (Vinogradova et al. 2020, doi:10.1609/aaai.v34i10.7244).
    against : str or int, optional
        The contrast class: why ``class_`` and not this one?
    score : {"logit", "probability"}
        Whether logits are averaged, or probabilities (softmax over the classes).

    Raises
    ------
    InvalidInput
        When the region isn't a :class:`Region`.
    UnknownName
        When there is no such kind of score.
    """

    class_: str | int
    region: Region | None = None
    against: str | int | None = field(default=None, kw_only=True)
    score: Score = field(default="logit", kw_only=True)

    def __post_init__(self) -> None:
        if self.score not in SCORES:
            raise UnknownName("kind of score", self.score, SCORES)
        if self.region is not None and not isinstance(self.region, Region):
            raise InvalidInput(
                f"The region is a {type(self.region).__name__}; expected a segscope.Region, for instance "
                "Region.mask(array)."
            )


class Blend(NamedTuple):
    """What other windows of the image say where the network's input shows one of several that overlap.

    Parameters
    ----------
    share : Tensor
        float32, h×w at the input's size, 0..1: how much this window's logits count.
    others : Tensor
        float32, K×h×w: the other windows' logits, each times its share.
    """

    share: Tensor
    others: Tensor


class Scored(Protocol):
    """Whatever makes one number of the logits, which can be asked for its gradient."""

    def score(self, logits: Tensor) -> Tensor:
        """Return the number for each image: B numbers for logits B×K×h×w."""
        ...


def as_target(class_: str | int | Target, region: Region | None, against: str | int | None, score: Score) -> Target:
    """Return the target that a call describes, in parts or whole.

    Parameters
    ----------
    class_ : str, int or Target
        A class, or a whole target in place of the others.
    region, against, score
        As in :class:`Target`.

    Returns
    -------
    Target
        The target.

    Raises
    ------
    InvalidInput
        When a whole target came together with parts.
    """
    if not isinstance(class_, Target):
        return Target(class_, region, against=against, score=score)
    if region is not None or against is not None or score != "logit":
        raise InvalidInput("A Target was given together with region, against or score; say them in the Target alone.")
    return class_


@dataclass(frozen=True)
class Question:
    """A target in the network's own terms, ready to be asked.

    Parameters
    ----------
    class_index : int
        Channel of the class.
    contrast : tuple of (int, float)
        The channels set against the class, and how much of each one's value is taken off; none for a plain question.
    weights : Tensor
        float32, h×w at the input's size: the region's weights, which add up to one.
    kind : {"logit", "probability"}
        What is averaged.
    temperature : float
        Probabilities are the softmax of the logits divided by this.
    blend : Blend, optional
        What is added to the logits before they become probabilities.
    """

    class_index: int
    contrast: tuple[tuple[int, float], ...]
    weights: Tensor
    kind: Score
    temperature: float = 1.0
    blend: Blend | None = None

    @classmethod
    def over(
        cls, weights: Tensor, *, class_index: int, against_index: int | None, kind: Score, temperature: float = 1.0
    ) -> Question:
        """Make a question about the weighted pixels of the network's input.

        Parameters
        ----------
        weights : Tensor
            float, h×w, 0..1: the region in the input's frame.
        class_index, against_index : int, optional
            Channels of the class and the contrast class.
        kind : {"logit", "probability"}
            What is averaged.
        temperature : float
            Probabilities are the softmax of the logits divided by this.

        Returns
        -------
        Question
            Its weights add up to one.

        Raises
        ------
        EmptyRegion
            When no pixel has a weight above zero.
        """
        total = weights.sum()
        if not float(total) > 0:
            raise EmptyRegion(
                "The region holds no pixel, so there is nothing to explain; choose another region or class."
            )
        contrast = () if against_index is None else ((against_index, 1.0),)
        return cls(class_index, contrast, weights / total, kind, temperature)

    def versus(self, contrast: Mapping[int, float]) -> Question:
        """Return the same question with other classes set against the class.

        Parameters
        ----------
        contrast : mapping
            How much of each channel's value is taken off the class's, by channel; empty for a plain question.

        Returns
        -------
        Question
            About the same pixels.
        """
        return replace(self, contrast=tuple(contrast.items()))

    def mean_logits(self, logits: Tensor) -> Tensor:
        """Return every class's mean logit over the region.

        Parameters
        ----------
        logits : Tensor
            float, B×K×h×w, at any resolution.

        Returns
        -------
        Tensor
            float, B×K.
        """
        return self._mean(logits)

    def score(self, logits: Tensor) -> Tensor:
        """Return the score to explain, differentiably.

        Parameters
        ----------
        logits : Tensor
            float, B×K×h×w, at any resolution.

        Returns
        -------
        Tensor
            float, B: one score an image.
        """
        if self.kind == "probability":
            logits = resize(logits, self._size)
            if self.blend is not None:
                logits = logits * self.blend.share + self.blend.others
            logits = torch.softmax(logits / self.temperature, dim=1)
        values = logits[:, self.class_index]
        for index, share in self.contrast:
            values = values - share * logits[:, index]
        return self._mean(values)

    def _mean(self, values: Tensor) -> Tensor:
        # A mean over pixels that are made of few values is a sum over these, which takes less time and memory.
        weights = unresize(self.weights, (values.shape[-2], values.shape[-1]))
        return (values * weights).sum(dim=(-2, -1))

    @property
    def _size(self) -> tuple[int, int]:
        return self.weights.shape[0], self.weights.shape[1]
