"""The same Grad-CAM maps, computed by segscope, by its peers, and by a hand-written loop that does nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

import segscope

__all__ = ["CONTESTANTS", "Maps", "Task"]

Maps = dict[tuple[int, str], NDArray[np.float32]]


@dataclass(frozen=True)
class Task:
    """What each contestant computes: Grad-CAM of each class over the whole image, at each layer, from a cold start.

    Parameters
    ----------
    network : Module
        Puts out logits at a lower resolution.
    image : Tensor
        float32, C×H×W, the network's input.
    classes : sequence of int
        The targets: the mean logit of each class over the whole image.
    layers : sequence of str
        Names of the layers.
    """

    network: nn.Module
    image: Tensor
    classes: Sequence[int]
    layers: Sequence[str]


def by_segscope(task: Task) -> Maps:
    """Make a model, predict once and ask for all maps."""
    model = segscope.SegmentationModel(task.network, layers=task.layers)
    with model.predict(task.image) as prediction:
        grid = prediction.explain_all(task.classes, task.layers, region=segscope.Region.everywhere())
        return {(model.class_index(class_), layer): attribution.map for (class_, layer), attribution in grid.items()}


def by_hand(task: Task) -> Maps:
    """One forward pass, one activation-only backward pass a target, and nothing else."""
    kept: dict[str, Tensor] = {}
    modules = dict(task.network.named_modules())
    handles = [modules[name].register_forward_hook(_keep(kept, name)) for name in task.layers]
    required = [parameter.requires_grad for parameter in task.network.parameters()]
    task.network.requires_grad_(False)
    logits = task.network(task.image[None].requires_grad_())
    for handle in handles:
        handle.remove()
    for parameter, requires_grad in zip(task.network.parameters(), required, strict=True):
        parameter.requires_grad_(requires_grad)
    upsampled = functional.interpolate(logits, task.image.shape[1:], mode="bilinear", align_corners=False)
    maps: Maps = {}
    for class_ in task.classes:
        gradients = torch.autograd.grad(upsampled[0, class_].mean(), list(kept.values()), retain_graph=True)
        for (name, activation), gradient in zip(kept.items(), gradients, strict=True):
            values = torch.einsum("c,chw->hw", gradient[0].mean((1, 2)), activation.detach()[0]).clamp(min=0)
            maps[class_, name] = values.numpy()
    return maps


def _keep(kept: dict[str, Tensor], name: str) -> Callable[[nn.Module, object, Tensor], None]:
    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        kept[name] = output

    return keep


class _Upsampled(nn.Module):
    """The network with logits at the input's size, as the peers' targets expect them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return functional.interpolate(self.network(image), image.shape[2:], mode="bilinear", align_corners=False)


# It adds 1e-7 before it divides by a map's maximum, which changes maps that are hardly larger than that.
_LOUDER = 1e4


def by_pytorch_grad_cam(task: Task) -> Maps:
    """One call for each class and layer, since one call averages its layers and takes one target an image."""
    from pytorch_grad_cam import GradCAM

    upsampled = _Upsampled(task.network)
    modules = dict(task.network.named_modules())
    maps: Maps = {}
    for layer in task.layers:
        with GradCAM(model=upsampled, target_layers=[modules[layer]]) as cam:
            for class_ in task.classes:
                maps[class_, layer] = cam(
                    task.image[None], targets=[lambda logits, class_=class_: _LOUDER * logits[class_].mean()]
                )[0]
    return maps


def by_captum(task: Task) -> Maps:
    """One call for each class and layer, of a wrapper that gives one score a class."""
    from captum.attr import LayerGradCam

    upsampled = _Upsampled(task.network)
    modules = dict(task.network.named_modules())
    maps: Maps = {}
    for layer in task.layers:
        method = LayerGradCam(lambda image: upsampled(image).mean((2, 3)), modules[layer])
        for class_ in task.classes:
            maps[class_, layer] = (
                method.attribute(task.image[None], target=class_, relu_attributions=True).detach()[0, 0].numpy()
            )
    return maps


CONTESTANTS: dict[str, Callable[[Task], Maps]] = {
    "segscope": by_segscope,
    "hand-written loop": by_hand,
    "pytorch-grad-cam": by_pytorch_grad_cam,
    "Captum LayerGradCam": by_captum,
}
