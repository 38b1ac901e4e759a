"""Class activation maps: a layer's channels, added up by how much the score depends on each."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .base import Parameter, backward_method

__all__ = [
    "RELU",
    "grad_cam",
    "grad_cam_plus_plus",
    "hires_cam",
    "layer_cam",
    "rectified",
    "seg_xres_cam",
    "weighted",
    "xgrad_cam",
]

RELU = Parameter(
    name="relu",
    kind="bool",
    default=True,
    description="Keep only evidence for the class; without it, evidence against the class is negative.",
)
"""The parameter of all class activation maps."""

# A channel's sum below this share of its absolute values' sum is rounding.
_ROUNDING = 1e-6


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
    parameters=(RELU,),
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
    return weighted(activation, gradient.mean(dim=(1, 2)), relu=relu)


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
    parameters=(RELU,),
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
    return rectified((activation * gradient).sum(dim=0), relu=relu)


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
    parameters=(RELU,),
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
    return rectified((activation * gradient.clamp(min=0)).sum(dim=0), relu=relu)


@backward_method(
    name="grad-cam-plus-plus",
    title="Grad-CAM++",
    summary="Channels weighted by their positive gradients, each place's lowered where its channel is strong.",
    citation="Chattopadhay et al. 2018, Grad-CAM++: Generalized gradient-based visual explanations for deep "
    "convolutional networks",
    url="https://doi.org/10.1109/WACV.2018.00097",
    cannot="Counts positive gradients only, so that evidence against the class doesn't show; its weights assume that "
    "the exponential of the score is explained, change when all logits are scaled, and lose where they came from.",
    at="layer",
    signed=False,
    parameters=(RELU,),
    linear=False,
)
def grad_cam_plus_plus(activation: Tensor, gradient: Tensor, *, relu: bool = True) -> Tensor:
    """Weight each channel by its positive gradients, each times a coefficient, and add the channels up.

    Parameters
    ----------
    activation : Tensor
        float32, C×h×w.
    gradient : Tensor
        float32, C×h×w: derivative of the score by the activation.
    relu : bool
        Set negative values to zero, as the paper does; they occur where the activation is negative.

    Returns
    -------
    Tensor
        float32, h×w, in units of the score, gradients being added up over a channel rather than averaged as in
        Grad-CAM; positive where the layer speaks for the class.

    Notes
    -----
    The paper explains ``exp(score)``, whose second and third derivatives are powers of the score's gradient g if the
    score is piecewise linear in the activation. The coefficients ``g² / (2 g² + g³ ΣA)`` follow from that for a logit
    and for a difference of logits; for a probability they are a convention. The factor ``exp(score)``, which is the
    same for the whole map, is left out.

    The fraction is shortened by g², so that the small gradients of a mean over many pixels don't vanish. The paper
    takes activations that are never negative; where a channel's sum ΣA is negative it counts as zero, since the
    coefficient would have a pole otherwise.
    """
    positive = gradient.clamp(min=0)
    total = activation.sum(dim=(1, 2), keepdim=True).clamp(min=0)
    return weighted(activation, (positive / (2 + positive * total)).sum(dim=(1, 2)), relu=relu)


@backward_method(
    name="xgrad-cam",
    title="XGrad-CAM",
    summary="Channels weighted by the mean of the gradient over where each is active, so that the map adds up to "
    "activation times gradient.",
    citation="Fu et al. 2020, Axiom-based Grad-CAM: Towards accurate visualization and explanation of CNNs",
    url="https://arxiv.org/abs/2008.02312",
    cannot="Loses where in the region the gradient came from, as Grad-CAM does; where a layer's values are positive "
    "and negative and nearly cancel within a channel, that channel's weight is huge.",
    at="layer",
    signed=False,
    parameters=(RELU,),
)
def xgrad_cam(activation: Tensor, gradient: Tensor, *, relu: bool = True) -> Tensor:
    """Weight each channel by the mean of its gradient, weighted by the activation, and add the channels up.

    Parameters
    ----------
    activation : Tensor
        float32, C×h×w.
    gradient : Tensor
        float32, C×h×w: derivative of the score by the activation.
    relu : bool
        Set negative values to zero, as the paper does. Without it, the map adds up to the sum of activation times
        gradient.

    Returns
    -------
    Tensor
        float32, h×w, in units of the score; positive where the layer speaks for the class.

    Notes
    -----
    A channel whose values add up to zero has no such mean; its weight is zero.
    """
    total, size = activation.sum(dim=(1, 2)), activation.abs().sum(dim=(1, 2))
    weights = (activation * gradient).sum(dim=(1, 2)) / total
    return weighted(activation, torch.where(total.abs() > _ROUNDING * size, weights, 0.0), relu=relu)


@backward_method(
    name="seg-xres-cam",
    title="Seg-XRes-CAM",
    summary="Activation times the gradient pooled over windows: between HiResCAM's detail and Grad-CAM's smoothness.",
    citation="Hasany, Petitjean and Mériaudeau 2023, Seg-XRes-CAM: Explaining spatially local regions in image "
    "segmentation",
    url="https://openaccess.thecvf.com/content/CVPR2023W/XAI4CV/html/"
    "Hasany_Seg-XRes-CAM_Explaining_Spatially_Local_Regions_in_Image_Segmentation_CVPRW_2023_paper.html",
    cannot="Which window is right isn't known beforehand, and its borders can show in the map; as the window grows, "
    "where in the region the gradient came from is lost.",
    at="layer",
    signed=False,
    parameters=(
        RELU,
        Parameter(
            name="pool_size",
            kind="int",
            default=2,
            minimum=1,
            maximum=4096,
            step=1,
            unit="cells of the layer",
            description="Side of the windows: 1 is HiResCAM, and the whole layer is Grad-CAM.",
        ),
        Parameter(
            name="pooling",
            kind="choice",
            default="mean",
            choices=("mean", "max"),
            description="What stands for the gradients within a window.",
        ),
    ),
)
def seg_xres_cam(
    activation: Tensor, gradient: Tensor, *, relu: bool = True, pool_size: int = 2, pooling: str = "mean"
) -> Tensor:
    """Multiply the activation by its gradient pooled over windows, and add the channels up.

    Parameters
    ----------
    activation : Tensor
        float32, C×h×w.
    gradient : Tensor
        float32, C×h×w: derivative of the score by the activation.
    relu : bool
        Set negative values to zero, as the paper does.
    pool_size : int
        Side of the windows in cells of the layer, from 1.
    pooling : {"mean", "max"}
        What stands for a window.

    Returns
    -------
    Tensor
        float32, h×w, in units of the score; positive where the layer speaks for the class.

    Notes
    -----
    What was pooled is brought back to the layer's size by repeating it in its window, as in the authors' programs.
    Windows at the lower and right border are smaller where the size isn't a multiple; there the authors fill up with
    zeros, while here the cells that exist are pooled.
    """
    height, width = activation.shape[1:]
    window = min(pool_size, height), min(pool_size, width)
    pool = functional.avg_pool2d if pooling == "mean" else functional.max_pool2d
    pooled = pool(gradient[None], window, ceil_mode=True)[0]
    pooled = pooled.repeat_interleave(window[0], dim=1)[:, :height].repeat_interleave(window[1], dim=2)[..., :width]
    return rectified((activation * pooled).sum(dim=0), relu=relu)


def weighted(activation: Tensor, weights: Tensor, *, relu: bool) -> Tensor:
    """Add up the channels, each with its weight.

    Parameters
    ----------
    activation : Tensor
        float32, C×h×w.
    weights : Tensor
        float32, C.
    relu : bool
        Set negative values to zero.

    Returns
    -------
    Tensor
        float32, h×w.
    """
    return rectified((weights @ activation.flatten(1)).reshape(activation.shape[1:]), relu=relu)


def rectified(values: Tensor, *, relu: bool) -> Tensor:
    """Set negative values to zero, if that is wanted.

    Parameters
    ----------
    values : Tensor
        float32, of any shape.
    relu : bool
        Whether.

    Returns
    -------
    Tensor
        Of the same shape.
    """
    return values.clamp(min=0) if relu else values
