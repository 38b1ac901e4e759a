"""RISE: random soft masks, and the scores that they leave.

Own code: Captum has no RISE, and the masks have to be drawn so that they keep the share that was asked for.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .base import Parameter
from .perturbed import grid_size, mixed, scores_of
from .place import BASELINE, SEED, Place, Randomness, place_method

__all__ = ["RandomMasks", "rise"]

# Masks are added up in groups of this size whatever the memory allows, so that rounding doesn't depend on it.
_GROUP = 16


@place_method(
    name="rise",
    family="perturbation",
    title="RISE",
    summary="How much higher the score is under the random masks that leave a pixel visible.",
    citation="Petsiuk, Das and Saenko 2018, RISE: Randomized input sampling for explanation of black-box models",
    url="https://arxiv.org/abs/1806.07421",
    cannot="Blurs everything to the size of the masks' cells, and with few masks the sampling noise looks like "
    "structure; another seed shows which parts hold.",
    at="input",
    signed=True,
    parameters=(
        Parameter(
            name="masks",
            kind="int",
            default=300,
            minimum=10,
            maximum=20_000,
            step=10,
            description="How many random masks are tried; the noise falls with their square root.",
        ),
        Parameter(
            name="cells",
            kind="int",
            default=7,
            minimum=1,
            maximum=64,
            description="Cells of a mask along the longer side.",
        ),
        Parameter(
            name="keep",
            kind="float",
            default=0.5,
            minimum=0.05,
            maximum=0.95,
            step=0.05,
            description="Probability that a cell stays visible.",
        ),
        Parameter(
            name="centred",
            kind="bool",
            default=True,
            description="Subtract the mean score from all scores, so that zero means no influence; without it, the "
            "map is the paper's and holds the mean score everywhere.",
        ),
        BASELINE,
        SEED,
    ),
)
def rise(place: Place, *, masks: int, cells: int, keep: float, centred: bool, baseline: str, seed: int) -> Tensor:
    """Add random masks up, each weighted by the score that it leaves.

    Parameters
    ----------
    place : Place
        The input, or a layer, where a mask covers all channels.
    masks : int
        How many.
    cells : int
        Of a mask along the longer side; the shorter one has as many as keep them square.
    keep : float
        Probability that a cell stays.
    centred : bool
        Subtract the mean score first.
    baseline : str
        What stands where a mask hides; the paper's is zero.
    seed : int
        Of the masks, and of the noise if that is the baseline.

    Returns
    -------
    Tensor
        float32, h×w, in units of the score: about the mean score when the cell is visible, less the mean score of all
        masks; positive where being visible speaks for the class.

    Notes
    -----
    Equation 6 of the paper, Σ score·mask / (masks·keep), is the map for ``centred=False``. Its expectation differs from
    the default's by the mean score, a constant. Subtracting that before the masks are added up takes away the noise of
    how often each cell happened to be visible, which would otherwise be multiplied by the mean score: the paper's
    scores are probabilities near zero, logits are not. Cells are square, where the paper's grid is, whatever the image.
    """
    drawn = RandomMasks(place.random(seed), masks, place.size, grid_size(place.size, cells), keep)
    absent = place.baseline(baseline, seed=seed)
    device = place.values.device
    scores = scores_of(place, masks, lambda part: mixed(place, absent, drawn[part].to(device)))
    weights = scores - scores.mean() if centred else scores
    total = torch.zeros(place.size, device=device)
    for start in range(0, masks, _GROUP):
        part = slice(start, min(start + _GROUP, masks))
        total += torch.einsum("b,bij->ij", weights[part], drawn[part].to(device))
    return total / (masks * keep)


class RandomMasks:
    """Random soft masks of a size, made when they are asked for: coarse grids, enlarged and shifted.

    Parameters
    ----------
    random : Randomness
        Where the numbers come from.
    count : int
        How many masks.
    size : (int, int)
        Height and width of a mask.
    grid : (int, int)
        Rows and columns of the coarse grid.
    keep : float
        Probability that a cell of the grid is 1.
    """

    def __init__(
        self, random: Randomness, count: int, size: tuple[int, int], grid: tuple[int, int], keep: float
    ) -> None:
        self.size = size
        self._cell = [-(-length // cells) for length, cells in zip(size, grid, strict=True)]
        self._enlarged = [cell * (cells + 1) for cell, cells in zip(self._cell, grid, strict=True)]
        self._grids = (random.rand((count, *grid)) < keep).float()
        self._shifts = (random.rand((count, 2)) * (torch.tensor(self._cell) + 1)).long()

    def __getitem__(self, part: slice) -> Tensor:
        """Return some of the masks, float32 B×h×w, 0..1, on the CPU."""
        enlarged = functional.interpolate(
            self._grids[part, None], size=self._enlarged, mode="bilinear", align_corners=False
        )
        height, width = self.size
        # Interpolation rounds to a little above 1.
        enlarged = enlarged.clamp(max=1)
        shifts = self._shifts[part].tolist()
        cut = [
            single[0, top : top + height, left : left + width]
            for single, (top, left) in zip(enlarged, shifts, strict=True)
        ]
        return torch.stack(cut)
