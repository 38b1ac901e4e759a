"""Steps that the perturbation methods share: mixing what is there with what stands for absence, and scoring it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .place import Place

__all__ = ["coalition_scores", "grid_size", "mixed", "scores_of"]


def scores_of(place: Place, count: int, maps: Callable[[slice], Tensor]) -> Tensor:
    """Return the scores of many maps, made and run one batch after the other.

    Parameters
    ----------
    place : Place
        Where the maps stand.
    count : int
        How many there are.
    maps : callable
        Takes a slice of 0..count and makes those maps, float B×C×h×w.

    Returns
    -------
    Tensor
        float32, count.
    """
    return torch.cat([place.score(maps(part)) for part in place.chunks(count)])


def mixed(place: Place, absent: Tensor, shares: Tensor) -> Tensor:
    """Blend what stands at a place with what stands for absence.

    Parameters
    ----------
    place : Place
        The place.
    absent : Tensor
        float, C×h×w.
    shares : Tensor
        float, B×h×w, 0..1: how much of each cell is kept; 1 leaves it exactly as it is, 0 takes what stands for
        absence.

    Returns
    -------
    Tensor
        float, B×C×h×w.
    """
    # Both ends are exact with lerp, where adding a multiple of the difference would round.
    return torch.lerp(absent[None], place.values[None], shares[:, None])


def coalition_scores(place: Place, labels: Tensor, absent: Tensor, coalitions: Tensor) -> Tensor:
    """Return the scores with only some of the patches there.

    Parameters
    ----------
    place : Place
        The place.
    labels : Tensor
        int64, h×w: the number of each cell's patch.
    absent : Tensor
        float, C×h×w: what the other patches are replaced by, over all channels.
    coalitions : Tensor
        bool, N×M: which of the M patches are there.

    Returns
    -------
    Tensor
        float32, N.
    """
    coalitions = coalitions.to(labels.device)
    return scores_of(
        place, len(coalitions), lambda part: torch.where(coalitions[part][:, None, labels], place.values, absent)
    )


def grid_size(size: tuple[int, int], cells: int) -> tuple[int, int]:
    """Return rows and columns of a coarse grid over a map.

    Parameters
    ----------
    size : (int, int)
        Height and width of the map.
    cells : int
        Cells of the grid along the map's longer side.

    Returns
    -------
    (int, int)
        So that cells are about square, at least one, and none smaller than a cell of the map.
    """
    longer = max(size)
    rows, columns = (max(1, min(length, round(cells * length / longer))) for length in size)
    return rows, columns
