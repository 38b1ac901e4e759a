"""Networks of segmentation_models_pytorch: an architecture and an encoder, or a folder that save_pretrained wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..errors import InvalidInput, UnknownName
from ..model import SegmentationModel
from ..preprocess import Preprocess
from .base import Made, Order, Source, failures_of, required, untrained
from .weights import load_state, read_state

__all__ = ["SOURCE"]

_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
_DPN = {"mean": (124 / 255, 117 / 255, 104 / 255), "std": (1 / (0.0167 * 255),) * 3}
# The encoders that were not trained on ImageNet's own mean and deviation. The package itself asks the hub each time.
_OTHERS = {
    "inceptionresnetv2": _HALF,
    "inceptionv4": _HALF,
    "xception": _HALF,
    "timm-tf_efficientnet_lite": _HALF,
    "dpn": _DPN,
}


def _load(order: Order) -> Made:
    smp = required("segmentation_models_pytorch", extra="smp")
    folder = Path(order.rest).expanduser()
    if folder.is_dir():
        return _from_folder(smp, order, folder)
    architecture, slash, encoder = order.rest.partition("/")
    if not slash or not architecture or not encoder:
        raise InvalidInput(
            f"The model source is {order.source!r}; expected smp:ARCHITECTURE/ENCODER, for instance "
            "smp:Unet/resnet34, or smp:FOLDER that save_pretrained wrote."
        )
    if architecture.lower() not in smp.MODEL_ARCHITECTURES_MAPPING:
        raise UnknownName("architecture of segmentation_models_pytorch", architecture, smp.MODEL_ARCHITECTURES_MAPPING)
    if not encoder.startswith("tu-") and encoder not in smp.encoders.encoders:
        raise UnknownName("encoder of segmentation_models_pytorch", encoder, smp.encoders.encoders)
    if order.weights is None and not order.random:
        raise InvalidInput(
            f"{order.source!r} alone is not trained: give the file of your weights with --weights (weights=… in "
            "Python), or 'random' to try the network untrained."
        )
    state = {} if order.weights is None else read_state(order.weights)
    channels = _size(state, "encoder.", 1) or 3
    classes = _size(state, "segmentation_head.0.weight", 0) or order.classes or 1
    with failures_of(order.source), untrained():
        network = smp.create_model(architecture, encoder, encoder_weights=None, in_channels=channels, classes=classes)
    if order.weights is not None:
        load_state(network, order.weights)
    return _model(smp, network, encoder, channels)


def _from_folder(smp: Any, order: Order, folder: Path) -> SegmentationModel:
    import json

    with failures_of(order.source):
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        network = smp.from_pretrained(folder, local_files_only=True, encoder_weights=None)
    order.refuse_weights(why="is a folder with weights of its own")
    return _model(smp, network, config.get("encoder_name", ""), int(config.get("in_channels", 3)))


def _model(smp: Any, network: nn.Module, encoder: str, channels: int) -> SegmentationModel:
    stride = getattr(getattr(network, "encoder", None), "output_stride", 32)
    divisible = getattr(network, "requires_divisible_input_shape", True)
    return SegmentationModel(
        network.eval(),
        preprocess=Preprocess(
            multiple_of=stride if divisible else 1,
            channels=channels,
            **(_statistics(smp, encoder) if channels == 3 else {}),
        ),
        name=f"{type(network).__name__} with {encoder}",
    )


def _statistics(smp: Any, encoder: str) -> dict[str, Any]:
    if encoder.startswith("tu-"):
        try:
            settings = smp.encoders.get_preprocessing_params(encoder)
        except ValueError:  # nobody trained it
            return _IMAGENET
        return {"mean": tuple(settings["mean"]), "std": tuple(settings["std"])}
    return next((values for start, values in _OTHERS.items() if encoder.startswith(start)), _IMAGENET)


def _size(state: dict[str, Tensor], part: str, axis: int) -> int | None:
    """Return the size of the first weight of a convolution that has this in its name."""
    return next((int(value.shape[axis]) for name, value in state.items() if part in name and value.ndim == 4), None)


SOURCE = Source(
    scheme="smp",
    form="smp:ARCHITECTURE/ENCODER",
    summary="A network of segmentation_models_pytorch, with your weights.",
    load=_load,
    extra="smp",
)
