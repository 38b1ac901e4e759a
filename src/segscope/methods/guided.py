"""Guided backpropagation, alone and times Grad-CAM.

Own code: the rule is put on the rectifiers in the graph of the backward pass. It so meets a rectifier wherever it comes
from, module, function or method, in place or not, and never touches the network. Captum's GuidedBackprop hooks modules
of the class ``ReLU`` only, and needs them not to be in place nor used twice.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import CannotExplain
from ..geometry import resize
from ..layers import INPUT, reaches
from .base import Parameter
from .cam import grad_cam
from .place import Place, place_method

__all__ = ["guided_backpropagation", "guided_grad_cam"]


@place_method(
    name="guided-backpropagation",
    family="gradient",
    title="Guided backpropagation",
    summary="The gradient along paths that only ever speak for the class: sharp edges of what could have excited it.",
    citation="Springenberg et al. 2015, Striving for simplicity: the all convolutional net",
    url="https://arxiv.org/abs/1412.6806",
    cannot="Partly restores the image's edges whatever the network learned: it hardly changes when the class or the "
    "weights do (Adebayo et al. 2018, arXiv:1810.03292), so that it shows detail rather than reasons.",
    at="input",
    signed=False,
    parameters=(
        Parameter(
            name="absolute",
            kind="bool",
            default=True,
            description="Show the largest size over the channels, as for saliency; without it, channels are added up "
            "with their signs.",
        ),
    ),
)
def guided_backpropagation(place: Place, *, absolute: bool = True) -> Tensor:
    """Return the gradient in which every rectifier lets only positive gradients through.

    Parameters
    ----------
    place : Place
        Where.
    absolute : bool
        Take the largest absolute value over the channels, instead of their sum.

    Returns
    -------
    Tensor
        float32, h×w, score per unit of the input or activation.

    Raises
    ------
    CannotExplain
        When there is no rectifier between the place and the score.

    Notes
    -----
    The rule is for rectifiers: ReLU, ReLU6 and whatever else cuts off at zero, by ``clamp``, ``hardtanh`` or
    ``threshold``. Leaky and smooth activation functions between them (leaky ReLU, ELU, GELU, SiLU) stay as they are.
    """
    gradient = guided_gradient(place)
    return gradient.abs().amax(dim=0) if absolute else gradient.sum(dim=0)


@place_method(
    name="guided-grad-cam",
    family="gradient",
    title="Guided Grad-CAM",
    summary="A layer's Grad-CAM times the image's guided backpropagation: fine edges where the layer holds evidence.",
    citation="Selvaraju et al. 2017, Grad-CAM: Visual explanations from deep networks via gradient-based localization",
    url="https://doi.org/10.1109/ICCV.2017.74",
    cannot="Its fine detail comes from guided backpropagation, which restores edges whatever the network learned; only "
    "the coarse places are evidence, with the limits of Grad-CAM.",
    at="layer",
    signed=False,
    linear=False,
    size="input",
)
def guided_grad_cam(place: Place) -> Tensor:
    """Multiply the guided gradient at the input with the layer's Grad-CAM, brought to the input's size.

    Parameters
    ----------
    place : Place
        The layer of the Grad-CAM.

    Returns
    -------
    Tensor
        float32, H×W at the size of the network's input whatever the layer's; zero or positive.

    Raises
    ------
    CannotExplain
        When the network has no rectifier.

    Notes
    -----
    The paper shows the product as an image with the input's channels; here the largest size over the channels is the
    map, as for guided backpropagation.
    """
    guided = guided_gradient(place.at(INPUT)).abs().amax(dim=0)
    weights = resize(grad_cam(place.values, place.gradient), (guided.shape[0], guided.shape[1]))
    return guided * weights


def guided_gradient(place: Place) -> Tensor:
    """Return the guided gradient of all channels.

    Parameters
    ----------
    place : Place
        Where.

    Returns
    -------
    Tensor
        float32, C×h×w.

    Raises
    ------
    CannotExplain
        When there is no rectifier between the place and the score.
    """
    with torch.inference_mode(mode=False), torch.enable_grad():
        leaf = place.values[None].clone().requires_grad_()
        score = place.function(leaf)
        rectifiers: list[Any] = [node for node in reaches(score) if _rectifies(node)]
        if not rectifiers:
            raise CannotExplain(
                f"Guided backpropagation changes what ReLUs do, and there is none between {place.name!r} and the "
                "score: the network uses other activation functions (GELU, SiLU, tanh, …), or is compiled so that they "
                "can't be seen. Choose an earlier layer, or another method such as integrated-gradients."
            )
        # The graph is this pass's own, and the hooks go with it.
        for node in rectifiers:
            node.register_hook(_keep_positive)
        return torch.autograd.grad(score.sum(), leaf)[0][0]


def _keep_positive(inputs: tuple[Tensor | None, ...], _outputs: object) -> tuple[Tensor | None, ...]:
    # The rectifier's own backward pass has stopped what didn't go forward.
    return tuple(None if gradient is None else gradient.clamp(min=0) for gradient in inputs)


# How autograd calls the functions that may cut off at zero, and where it keeps at which number they do.
_RECTIFIERS = {
    "ReluBackward": "",
    "ClampBackward": "_saved_min",
    "ClampMinBackward": "_saved_min",
    "HardtanhBackward": "_saved_min_val",
    "ThresholdBackward": "_saved_threshold",
}


def _rectifies(node: Any) -> bool:
    """Tell whether an autograd node is of a function that is zero up to zero and rises from there."""
    saved = _RECTIFIERS.get(str(node.name()).rstrip("0123456789"))
    if saved is None:
        return False
    # A bound that is a tensor has another name.
    return not saved or getattr(node, saved, None) == 0
