"""Class activation maps: a layer's channels, added up by how much the score depends on each."""

from __future__ import annotations

from torch import Tensor

from .base import Parameter, backward_method

__all__ = ["grad_cam", "hires_cam", "layer_cam"]

_RELU = Parameter(
    name="relu",
    kind="bool",
    default=True,
    description="Keep only evidence for the class; without it, evidence against the class is negative.",
)


@backward_method(
    name="grad-cam",
    family="cam",
    title="Grad-CAM",
    summary="Channels weighted by the spatial mean of the score's gradient: where a layer holds evidence for a class.",
    citation="Selvaraju et al. 2017, Grad-CAM: Visual explanations from deep networks via gradient-based localization",
    url="https://doi.org/10.1109/ICCV.2017.74",
    cannot="Averaging the gradient over space loses where in the region it came from: right before a 1×1 classifier "
    "the map is the same, up to scale, for every region of a class.",
    at="layer",
    signed=False,
    parameters=(_RELU,),
)
def grad_cam(activation: Tensor, gradient: Tensor, *, relu: bool = True) -> Tensor:
    """Weight each channel by the mean of its gradient, and add the channels up.

    Over the pixels predicted as the class this is Seg-Grad-CAM (Vinogradova et al. 2020, doi:10.1609/aaai.v34i10.7244).

    Parameters
    ----------
    activation : Tensor
        float32, C×h×w.
    gradient : Tensor
        float32, C×h×w: derivative of the score by the activation.
    relu : bool
        Set negative values to zero, as the paper does.

    Returns
    -------
    Tensor
        float32, h×w, in units of the score times h·w; positive where the layer speaks for the class.
    """
    weights = gradient.mean(dim=(1, 2))
    return _rectified((weights @ activation.flatten(1)).reshape(activation.shape[1:]), relu=relu)


@backward_method(
    name="hires-cam",
    family="cam",
    title="HiResCAM",
    summary="Activation times gradient, added up over channels: what each place of the layer contributes to the score.",
    citation="Draelos and Carin 2020, Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional "
    "neural networks",
    url="https://arxiv.org/abs/2011.08891",
    cannot="Follows the gradient at this very image; where the score saturates, evidence is understated. "
    "At early layers the map is noisy.",
    at="layer",
    signed=False,
    parameters=(_RELU,),
)
def hires_cam(activation: Tensor, gradient: Tensor, *, relu: bool = True) -> Tensor:
    """Multiply activation and gradient place by place, and add the channels up.

    Parameters
    ----------
    activation : Tensor
        float32, C×h×w.
    gradient : Tensor
        float32, C×h×w: derivative of the score by the activation.
    relu : bool
        Set negative values to zero. Without it, the map of the layer before a linear classifier adds up to the score
        less its bias.

    Returns
    -------
    Tensor
        float32, h×w, in units of the score; positive where the layer speaks for the class.

    Notes
    -----
    The paper's definition has no rectifier and adds one for display; here it is on by default, as in the other class
    activation maps, so that maps can be compared.
    """
    return _rectified((activation * gradient).sum(dim=0), relu=relu)


@backward_method(
    name="layer-cam",
    family="cam",
    title="LayerCAM",
    summary="Activation times positive gradient, added up over channels: fine detail at early layers.",
    citation="Jiang et al. 2021, LayerCAM: Exploring hierarchical class activation maps for localization",
    url="https://doi.org/10.1109/TIP.2021.3089943",
    cannot="Leaves out negative gradients, so that evidence against the class doesn't show and the map doesn't add up "
    "to the score.",
    at="layer",
    signed=False,
    parameters=(_RELU,),
)
def layer_cam(activation: Tensor, gradient: Tensor, *, relu: bool = True) -> Tensor:
    """Weight each place of each channel by its own positive gradient, and add the channels up.

    Parameters
    ----------
    activation : Tensor
        float32, C×h×w.
    gradient : Tensor
        float32, C×h×w: derivative of the score by the activation.
    relu : bool
        Set negative values to zero, as the paper does.

    Returns
    -------
    Tensor
        float32, h×w, in units of the score; positive where the layer speaks for the class.
    """
    return _rectified((activation * gradient.clamp(min=0)).sum(dim=0), relu=relu)


def _rectified(values: Tensor, *, relu: bool) -> Tensor:
    return values.clamp(min=0) if relu else values
