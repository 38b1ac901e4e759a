"""Class activation maps whose channels' weights are the leading principal component's."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import Parameter, backward_method
from .cam import RELU, rectified

__all__ = ["eigen_cam", "eigen_grad_cam"]

_CENTRED = Parameter(
    name="centred",
    kind="bool",
    default=False,
    description="Take off each channel's mean first: the component of what varies over the layer, rather than of what "
    "its places have in common.",
)


@backward_method(
    name="eigen-cam",
    family="cam",
    title="Eigen-CAM",
    summary="The layer's leading principal component: what most of its activation has in common.",
    citation="Muhammad and Yeasin 2020, Eigen-CAM: Class activation map using principal components",
    url="https://doi.org/10.1109/IJCNN48605.2020.9206626",
    cannot="Asks neither for the class nor for the region, so that the map is the same for every question; it shows "
    "what is prominent in the layer, not what speaks for or against anything.",
    at="layer",
    signed=False,
    parameters=(RELU, _CENTRED),
    linear=False,
)
def eigen_cam(
    activation: Tensor,
    gradient: Tensor,  # noqa: ARG001 # every method is called with both
    *,
    relu: bool = True,
    centred: bool = False,
) -> Tensor:
    """Project the activation at each place on the first right singular vector of all places' activations.

    Parameters
    ----------
    activation : Tensor
        float32, C×h×w.
    gradient : Tensor
        float32, C×h×w: not used.
    relu : bool
        Set negative values to zero.
    centred : bool
        Take off each channel's mean first.

    Returns
    -------
    Tensor
        float32, h×w, in units of the activation.

    Notes
    -----
    The paper doesn't centre the channels. A singular vector's sign is arbitrary, and the paper leaves it open: here the
    channels' weights add up to a positive number, so that the map agrees with the plain sum of the channels (their
    inner product is positive). After a rectifier no value is negative then, unless channels are centred.
    """
    return rectified(_leading(activation, centred=centred), relu=relu)


@backward_method(
    name="eigen-grad-cam",
    family="cam",
    title="Eigen-Grad-CAM",
    summary="The leading principal component of activation times gradient: Eigen-CAM for one class and region.",
    citation="Gildenblat and contributors 2021, PyTorch library for CAM methods, after Muhammad and Yeasin 2020",
    url="https://github.com/jacobgil/pytorch-grad-cam",
    cannot="Shows the one pattern that contributions to the score share most; evidence that other channels hold "
    "elsewhere is left out, and the map doesn't add up to the score.",
    at="layer",
    signed=False,
    parameters=(RELU, _CENTRED),
)
def eigen_grad_cam(activation: Tensor, gradient: Tensor, *, relu: bool = True, centred: bool = False) -> Tensor:
    """Project activation times gradient at each place on the first right singular vector of all places'.

    Parameters
    ----------
    activation : Tensor
        float32, C×h×w.
    gradient : Tensor
        float32, C×h×w: derivative of the score by the activation.
    relu : bool
        Set negative values to zero.
    centred : bool
        Take off each channel's mean first.

    Returns
    -------
    Tensor
        float32, h×w, in units of the score; positive where the pattern speaks for the class.

    Notes
    -----
    Channels aren't centred by default, as in Eigen-CAM's paper; the implementation cited centres them. The sign of the
    singular vector is such that the channels' weights add up to a positive number: the map then agrees with HiResCAM's,
    which is the plain sum of the same channels (their inner product is positive).
    """
    return rectified(_leading(activation * gradient, centred=centred), relu=relu)


def _leading(channels: Tensor, *, centred: bool) -> Tensor:
    """Return the projection h×w of C×h×w channels on their first right singular vector, its sum positive."""
    columns = channels.flatten(1)
    columns = columns - columns.mean(dim=1, keepdim=True) if centred else columns
    # A common scale, so that squares of small gradients don't vanish.
    scaled = columns / columns.abs().amax().clamp(min=torch.finfo(columns.dtype).tiny)
    if len(scaled) <= scaled.shape[1]:
        vector = torch.linalg.eigh(scaled @ scaled.mT)[1][:, -1]
    else:
        vector = scaled @ torch.linalg.eigh(scaled.mT @ scaled)[1][:, -1]
        vector = vector / vector.norm().clamp(min=torch.finfo(vector.dtype).tiny)
    vector = torch.where(vector.sum() < 0, -vector, vector)
    return (vector @ columns).reshape(channels.shape[1:])
