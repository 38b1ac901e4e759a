"""Torchvision's segmentation networks: FCN, DeepLabV3 and LR-ASPP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import InvalidInput, UnknownName
from ..model import SegmentationModel
from ..preprocess import Preprocess
from .base import Made, Order, Source, distinct, failures_of, required, untrained
from .weights import load_state, read_state

__all__ = ["SOURCE"]

_CLASSES = 21


def _load(order: Order) -> Made:
    models = required("torchvision.models", extra="torchvision")
    known = models.list_models(module=models.segmentation)
    if order.rest not in known:
        raise UnknownName("segmentation network of torchvision", order.rest, known)
    offered = models.get_model_weights(order.rest)
    # A file under the name that torchvision gives it is its own, whose classes are known.
    trained = offered.DEFAULT if order.weights is None else _of_file(offered, order.weights)
    if order.weights is None and not order.random:
        with failures_of(order.source):
            network = _trained(models, order, trained)
    else:
        state = {} if order.weights is None else read_state(order.weights)
        classes = _classes(state) or order.classes or _CLASSES
        # LR-ASPP has no second head.
        aux = {"aux_loss": True} if any("aux_classifier." in name for name in state) else {}
        with failures_of(order.source), untrained():
            network = models.get_model(order.rest, weights=None, weights_backbone=None, num_classes=classes, **aux)
        if order.weights is not None:
            load_state(network, order.weights)
    is_own = trained is not None and not order.random
    return SegmentationModel(
        network.eval(),
        classes=distinct(trained.meta["categories"]) if is_own else None,
        preprocess=_preprocess((trained or offered.DEFAULT).transforms()),
        name=order.rest,
    )


def _trained(models: Any, order: Order, weights: Any) -> Any:
    try:
        return models.get_model(order.rest, weights=weights)
    except OSError as error:
        raise InvalidInput(
            f"Torchvision's weights of {order.rest!r} can't be fetched ({error}); give a file with --weights "
            f"(weights=… in Python), such as {Path(weights.url).name!r} from where there is a network, or "
            "'random' to try the network untrained."
        ) from error


def _of_file(offered: Any, path: Path) -> Any:
    return next((weights for weights in offered if Path(weights.url).name == path.name), None)


def _classes(state: dict[str, Tensor]) -> int | None:
    """Return how many classes the weights are for: as many as the last layer of the head has channels."""
    heads = [name for name in state if "classifier." in name and "aux_" not in name and name.endswith(".weight")]
    return int(state[heads[-1]].shape[0]) if heads else None


def _preprocess(transforms: Any) -> Preprocess:
    return Preprocess(
        int(transforms.resize_size[0]), fit="shortest", mean=tuple(transforms.mean), std=tuple(transforms.std)
    )


SOURCE = Source(
    scheme="torchvision",
    form="torchvision:NAME",
    summary="A segmentation network of torchvision, with its own weights or yours.",
    load=_load,
    extra="torchvision",
)
