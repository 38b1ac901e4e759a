"""Figures of predictions and attributions; matplotlib is imported only here and where maps are coloured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .attribution import Attribution, AttributionGrid
    from .prediction import Prediction
    from .reasons import Reasons

__all__ = ["outline", "plot_attribution", "plot_grid", "plot_reasons"]


def plot_attribution(attribution: Attribution, prediction: Prediction, *, limit: float) -> Figure:
    """Draw image with region, predicted mask with legend, and importance with its numeric scale.

    Parameters
    ----------
    attribution : Attribution
        The map.
    prediction : Prediction
        What it explains.
    limit : float
        Where the scale ends.

    Returns
    -------
    Figure
        Three pictures in a row.
    """
    figure = Figure(figsize=(12, 4.6), layout="constrained")
    image_axes, mask_axes, map_axes = figure.subplots(1, 3)
    image_axes.imshow(prediction.image)
    outline(image_axes, attribution.region_weights)
    image_axes.set_title("Input image and region")
    _draw_mask(mask_axes, prediction)
    map_axes.imshow(np.asarray(attribution.overlay(limit=limit if limit > 0 else None)))
    map_axes.set_title(
        f"Importance for {attribution.class_}" + (f" against {attribution.against}" if attribution.against else "")
    )
    map_axes.set_xlabel(f"{attribution.method} at {attribution.layer}", fontsize=9)
    figure.colorbar(_scale(limit, signed=attribution.signed), ax=map_axes, shrink=0.85, label="raw importance")
    for axes in (image_axes, mask_axes, map_axes):
        axes.set_xticks([])
        axes.set_yticks([])
    return figure


def plot_grid(grid: AttributionGrid) -> Figure:
    """Draw a row for each class and a column for each layer, each map on its own scale, which stands below it.

    Parameters
    ----------
    grid : AttributionGrid
        The maps.

    Returns
    -------
    Figure
        One small picture a map.
    """
    rows, columns = max(1, len(grid.classes)), max(1, len(grid.layers))
    figure = Figure(figsize=(1.7 * columns + 0.6, 1.9 * rows), layout="constrained")
    all_axes = figure.subplots(rows, columns, squeeze=False)
    for axes in all_axes.flat:
        axes.set_axis_off()
    for row, class_ in enumerate(grid.classes):
        for column, layer in enumerate(grid.layers):
            if (class_, layer) in grid:
                attribution = grid[class_, layer]
                axes = all_axes[row, column]
                axes.imshow(np.asarray(attribution.overlay()))
                axes.set_title(f"{class_}\n{layer}\n≤ {attribution.limit:.3g}", fontsize=7)
    return figure


def plot_reasons(reasons: Reasons, *, mask: NDArray[np.uint8]) -> Figure:
    """Draw the predicted mask, the reasons' components over the image, and their groups with a legend.

    Parameters
    ----------
    reasons : Reasons
        The map.
    mask : ndarray
        uint8, H×W×3: the predicted mask in the classes' colours.

    Returns
    -------
    Figure
        Three pictures in a row.
    """
    figure = Figure(figsize=(14, 4.6), layout="constrained")
    mask_axes, component_axes, cluster_axes = figure.subplots(1, 3)
    mask_axes.imshow(mask)
    mask_axes.set_title("Predicted mask")
    component_axes.imshow(np.asarray(reasons.overlay()))
    component_axes.set_title(f"Reasons at {reasons.layer}")
    shares = ", ".join(f"{share:.0%}" for share in reasons.explained)
    component_axes.set_xlabel(f"alike colours, alike reasons; variance: {shares}\noutlined: outliers", fontsize=9)
    cluster_axes.imshow(np.asarray(reasons.overlay("clusters", outliers=False)))
    cluster_axes.set_title("Groups of reasons")
    patches = [
        Patch(color=color / 255, label=_group_name(reasons, label))
        for label, color in enumerate(reasons.cluster_colors[:12])
    ]
    cluster_axes.legend(handles=patches, loc="upper left", bbox_to_anchor=(1.02, 1), fontsize=8, frameon=False)
    for axes in (mask_axes, component_axes, cluster_axes):
        axes.set_xticks([])
        axes.set_yticks([])
    return figure


def _group_name(reasons: Reasons, label: int) -> str:
    class_, share = next(iter(reasons.class_shares(label).items()))
    channels = ", ".join(str(channel) for channel, _ in reasons.top_channels(label, 3))
    return f"{share:.0%} {class_}; channels {channels or 'none'}"


def outline(axes: Any, weights: NDArray[np.float32], *, color: str = "white") -> None:
    """Draw a line around a region, unless it is the whole image.

    Parameters
    ----------
    axes : Axes
        Where the image is drawn.
    weights : ndarray
        float32, H×W, 0..1: the line runs where it crosses a half.
    color : str
        The line's colour.
    """
    marked = weights >= 0.5
    if marked.all() or not marked.any():
        return
    # Padded, so that a region that touches the border is closed there.
    rows, columns = (np.arange(-1, length + 1) for length in marked.shape)
    axes.contour(columns, rows, np.pad(marked, 1).astype(float), levels=[0.5], colors=color, linewidths=1.5)
    axes.set_xlim(-0.5, marked.shape[1] - 0.5)
    axes.set_ylim(marked.shape[0] - 0.5, -0.5)


def _draw_mask(axes: Any, prediction: Prediction) -> None:
    present = [int(index) for index in np.unique(prediction.mask)]
    palette = prediction.model.palette
    axes.imshow(palette[prediction.mask])
    axes.set_title("Predicted mask")
    patches = [Patch(color=palette[index] / 255, label=prediction.model.classes[index]) for index in present[:12]]
    axes.legend(handles=patches, loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=3, fontsize=8, frameon=False)


def _scale(limit: float, *, signed: bool) -> ScalarMappable:
    end = limit if limit > 0 else 1.0
    return ScalarMappable(Normalize(-end if signed else 0.0, end), colormaps["RdBu_r" if signed else "inferno"])
