"""Methods that follow the attention of a transformer from the tokens of a region back to those of the image."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..attention import Attention, AttentionCapture, attention_gradients
from ..errors import CannotExplain
from ..geometry import resize
from ..layers import Layout, token_layout
from .base import Parameter
from .place import Place, at_input_only, place_method

__all__ = ["attention_rollout", "gradient_attention_rollout"]


@place_method(
    name="attention-rollout",
    family="attention",
    title="Attention rollout",
    summary="Attention of all layers multiplied: which parts of the image the region's tokens look at.",
    citation="Abnar and Zuidema 2020, Quantifying attention flow in transformers",
    url="https://doi.org/10.18653/v1/2020.acl-main.385",
    cannot="Doesn't depend on the class, only on the region: it tells what was looked at, not what it was taken for; "
    "and it serves only networks whose attention layers, one after the other, all relate all tokens of the image.",
    at="input",
    signed=False,
    linear=False,
    parameters=(
        Parameter(
            name="heads",
            kind="choice",
            default="mean",
            choices=("mean", "max", "min"),
            description="How the heads of an attention layer become one: their mean, as in the paper, or the largest "
            "or smallest of each entry.",
        ),
    ),
)
def attention_rollout(place: Place, *, heads: str = "mean") -> Tensor:
    """Multiply the attention matrices of all layers, and take the rows of the region's tokens.

    Parameters
    ----------
    place : Place
        The input.
    heads : {"mean", "max", "min"}
        How the heads become one.

    Returns
    -------
    Tensor
        float32, h×w at the input's resolution: the share of the region's attention that comes from each token, class
        and register tokens left out; zero or positive. The tokens' shares add up to at most one.

    Raises
    ------
    CannotExplain
        When the place is a layer, or the network's attention doesn't relate all tokens of the image.

    Notes
    -----
    As in the paper, each layer counts half for its attention and half for the residual connection around it. The paper
    reads the class token's row; here it is the mean of the rows of the tokens under the region, weighted by the region.
    The token map is brought to the input's size bilinearly.
    """
    at_input_only(place)
    found, _, layout = _attentions(place)
    return _region_map(place, layout, rollout([_fused(attention.weights, heads) for attention in found]))


@place_method(
    name="gradient-attention-rollout",
    family="attention",
    title="Gradient-weighted attention",
    summary="Attention weighted by the score's gradient, layer upon layer: which tokens the class of the region was "
    "read from.",
    citation="Chefer, Gur and Wolf 2021, Generic attention-model explainability for interpreting bi-modal and "
    "encoder-decoder transformers",
    url="https://doi.org/10.1109/ICCV48922.2021.00045",
    cannot="Evidence against the class is left out, and so is what doesn't pass through attention: a token's own "
    "features; and it serves only networks whose attention layers, one after the other, all relate all tokens.",
    at="input",
    signed=False,
    linear=False,
)
def gradient_attention_rollout(place: Place) -> Tensor:
    """Add up, layer by layer, what attention with a positive gradient brings to each token, and take the region's rows.

    Parameters
    ----------
    place : Place
        The input.

    Returns
    -------
    Tensor
        float32, h×w at the input's resolution: relevance of each token, class and register tokens left out; zero or
        positive, without a unit.

    Raises
    ------
    CannotExplain
        When the place is a layer, or the network's attention doesn't relate all tokens of the image.

    Notes
    -----
    The paper's rule for self-attention, R ← R + mean over heads of max(0, ∇A ⊙ A) · R, from R = I on (equations 5 and
    6); ∇A is the derivative of the score that the question asks about. The paper reads the class token's row without
    its own entry; here it is the mean of the rows of the tokens under the region, weighted by the region, without the
    identity that R starts with. The token map is brought to the input's size bilinearly.
    """
    at_input_only(place)
    found, score, layout = _attentions(place)
    gradients = attention_gradients(score, found)
    weighted = [
        (gradient * attention.weights).clamp(min=0).mean(dim=0).float()
        for gradient, attention in zip(gradients, found, strict=True)
    ]
    return _region_map(place, layout, relevance(weighted))


def rollout(attentions: list[Tensor]) -> Tensor:
    """Multiply attention matrices, each mixed half and half with the residual connection.

    Parameters
    ----------
    attentions : list of Tensor
        float, N×N each, first layer first.

    Returns
    -------
    Tensor
        float32, N×N: row i holds the shares of the tokens that the last layer's token i is made of; it adds up to one.
    """
    rolled = torch.eye(attentions[0].shape[0], device=attentions[0].device)
    for attention in attentions:
        mixed = attention.float() + torch.eye(len(rolled), device=rolled.device)
        rolled = mixed / mixed.sum(dim=1, keepdim=True) @ rolled
    return rolled


def relevance(weighted: list[Tensor]) -> Tensor:
    """Follow relevance through self-attention layers.

    Parameters
    ----------
    weighted : list of Tensor
        float32, N×N each, first layer first: the mean over heads of the positive part of gradient times attention.

    Returns
    -------
    Tensor
        float32, N×N: row i holds the relevance of each token for the last layer's token i, less the identity.
    """
    identity = torch.eye(len(weighted[0]), device=weighted[0].device)
    found = identity
    for matrix in weighted:
        found = found + matrix @ found
    return found - identity


def _fused(weights: Tensor, heads: str) -> Tensor:
    """Make one matrix of the heads', N×N."""
    if heads == "mean":
        return weights.mean(dim=0)
    return weights.amax(dim=0) if heads == "max" else weights.amin(dim=0)


def _attentions(place: Place) -> tuple[list[Attention], Tensor, Layout]:
    """Run the network, and return its attention layers, the score of that run, and how the tokens form a map."""
    with torch.enable_grad(), AttentionCapture(memory=place.prediction.model.memory) as capture:
        score = place.function(place.values[None].detach().requires_grad_())
    found = capture.found
    if not found:
        raise CannotExplain(
            "The network has no attention that could be followed: no scaled_dot_product_attention, no "
            "nn.MultiheadAttention, and no softmax that goes into a matrix product. Choose a method that works with "
            "gradients or perturbations."
        )
    _check_square(found)
    layout = token_layout(found[0].weights.shape[1], 1, place.size)
    if layout is None:
        raise CannotExplain(
            f"The network's attention relates {found[0].weights.shape[1]} tokens, which form no grid of the "
            f"proportions of the input ({place.size[0]}×{place.size[1]}), up to eight class and register tokens aside; "
            "their places in the image aren't known. Choose another method."
        )
    return found, score, layout


def _check_square(found: list[Attention]) -> None:
    """Refuse attention that doesn't relate the same tokens in all layers."""
    sizes = list(dict.fromkeys((attention.weights.shape[1], attention.weights.shape[2]) for attention in found))
    other = [f"{queries}×{keys}" for queries, keys in sizes if queries != keys]
    if other:
        raise CannotExplain(
            f"The network's attention has matrices of {', '.join(other)} (queries × keys): the keys are fewer or other "
            "tokens than the queries, as in SegFormer's reduced attention or in a decoder's cross-attention, so that "
            "they can't be multiplied. Choose a method that works with gradients or perturbations."
        )
    if len(sizes) > 1:
        numbers = ", ".join(str(queries) for queries, _ in sizes)
        raise CannotExplain(
            f"The number of tokens changes from layer to layer ({numbers}), as in networks that merge patches, so that "
            "the attention matrices can't be multiplied. Choose a method that works with gradients or perturbations."
        )


def _region_map(place: Place, layout: Layout, tokens: Tensor) -> Tensor:
    """Return the mean row of the tokens under the region as a map at the input's size."""
    grid = (layout.height, layout.width)
    asked = functional.adaptive_avg_pool2d(place.question.weights[None], grid).flatten()
    row = (asked / asked.sum()).to(tokens) @ tokens[layout.extra :, layout.extra :]
    return resize(row.reshape(grid), place.size)
