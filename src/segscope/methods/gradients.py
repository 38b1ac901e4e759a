"""Maps made of the score's gradient itself."""

from __future__ import annotations

from torch import Tensor

from .base import backward_method

__all__ = ["input_x_gradient", "saliency"]


@backward_method(
    name="saliency",
    family="gradient",
    title="Saliency",
    summary="Size of the score's gradient: where a small change would change the score most.",
    citation="Simonyan, Vedaldi and Zisserman 2014, Deep inside convolutional networks: visualising image "
    "classification models and saliency maps",
    url="https://arxiv.org/abs/1312.6034",
    cannot="Shows where the score is sensitive, not what speaks for or against the class; noisy at the input of deep "
    "networks.",
    at="input",
    signed=False,
)
def saliency(activation: Tensor, gradient: Tensor) -> Tensor:  # noqa: ARG001 # every method is called with both
    """Return the largest absolute gradient over the channels.

    Parameters
    ----------
    activation : Tensor
        float32, C×h×w: not used.
    gradient : Tensor
        float32, C×h×w: derivative of the score by the input or a layer.

    Returns
    -------
    Tensor
        float32, h×w, score per unit of the input or activation; zero or positive.
    """
    return gradient.abs().amax(dim=0)


@backward_method(
    name="input-x-gradient",
    family="gradient",
    title="Input × gradient",
    summary="Input times gradient, added up over channels: a first-order share of each pixel in the score.",
    citation="Shrikumar et al. 2016, Not just a black box: learning important features through propagating activation "
    "differences",
    url="https://arxiv.org/abs/1605.01713",
    cannot="Zero wherever the network's input is zero (after normalisation: the mean colour), whatever the pixel "
    "means.",
    at="input",
    signed=True,
)
def input_x_gradient(activation: Tensor, gradient: Tensor) -> Tensor:
    """Multiply the input (or a layer's output) by its gradient, and add the channels up.

    Parameters
    ----------
    activation : Tensor
        float32, C×h×w: the network's input after preprocessing, or a layer's output.
    gradient : Tensor
        float32, C×h×w: derivative of the score by it.

    Returns
    -------
    Tensor
        float32, h×w, in units of the score; positive for the class, negative against it.
    """
    return (activation * gradient).sum(dim=0)
