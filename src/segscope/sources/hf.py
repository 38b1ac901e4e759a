"""Networks of transformers: a folder that save_pretrained wrote, or the id of one on the Hugging Face hub."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..errors import InvalidInput
from ..model import SegmentationModel
from ..preprocess import Preprocess
from .base import Made, Order, Source, distinct, failures_of, required, untrained
from .weights import load_state

__all__ = ["SOURCE", "preprocess_of"]

_AUTO = ("AutoModelForSemanticSegmentation", "AutoModelForUniversalSegmentation", "AutoModelForInstanceSegmentation")
_TASK = "the task is semantic"


def _load(order: Order) -> Made:
    transformers = required("transformers", extra="hf")
    options = _where(order)
    with failures_of(order.source):
        config = transformers.AutoConfig.from_pretrained(order.rest, **options)
    kind = _kind_of(transformers, config, order.source)
    if order.weights is None and not order.random:
        network = _trained(kind, order, options)
    else:
        with failures_of(order.source), untrained():
            network = kind(config)
        if order.weights is not None:
            load_state(network, order.weights)
    if hasattr(config, "task_seq_len"):
        tokens = _task_tokens(transformers, order, config, options)
        network.register_forward_pre_hook(functools.partial(_with_task, tokens), with_kwargs=True)
    processor = _processor(order, options)
    if processor.get("do_flip_channel_order"):
        network.register_forward_pre_hook(_flip_channels)
    return SegmentationModel(
        network.eval(),
        classes=_classes(config),
        preprocess=preprocess_of(processor, config),
        name=Path(order.rest).name or type(network).__name__,
    )


def _where(order: Order) -> dict[str, Any]:
    """Return what keeps a folder from being looked up anywhere else."""
    path = Path(order.rest).expanduser()
    if order.rest and path.is_dir():
        if not (path / "config.json").is_file():
            raise InvalidInput(f"The folder {str(path)!r} has no config.json; expected what save_pretrained wrote.")
        return {"local_files_only": True}
    if order.rest.count("/") > 1 or order.rest.startswith((".", "~", "/")) or not order.rest:
        raise InvalidInput(
            f"There is no folder {order.rest!r}; the model source {order.source!r} takes one that save_pretrained "
            "wrote, or an id such as hf:owner/name."
        )
    return {}


def _kind_of(transformers: Any, config: Any, source: str) -> Any:
    """Return the class of the network: what the checkpoint names, where that segments images."""
    named = [name for name in config.architectures or () if "Segmentation" in name]
    kind = next((found for name in named if (found := getattr(transformers, name, None)) is not None), None)
    if kind is not None:
        return kind
    for name in _AUTO:
        mapping = getattr(transformers, name)._model_mapping  # noqa: SLF001 # the library offers no other way to ask
        if type(config) in mapping:
            return mapping[type(config)]
    raise InvalidInput(
        f"The model source {source!r} is a {', '.join(config.architectures or ()) or config.model_type}; expected a "
        "network that segments images, such as SegformerForSemanticSegmentation: one whose class ends with "
        "ForSemanticSegmentation, ForUniversalSegmentation or ForInstanceSegmentation."
    )


def _trained(kind: Any, order: Order, options: dict[str, Any]) -> nn.Module:
    with failures_of(order.source), untrained():
        network, loading = kind.from_pretrained(order.rest, output_loading_info=True, **options)
    missing = sorted(loading["missing_keys"]) + [str(key) for key, *_ in loading["mismatched_keys"]]
    if missing:
        raise InvalidInput(
            f"The model source {order.source!r} lacks {len(missing)} weights of {kind.__name__}, for instance "
            f"{', '.join(missing[:3])}, which would be random; expected a checkpoint that was trained for "
            "segmentation, or give your own with --weights (weights=… in Python)."
        )
    return network  # type: ignore[no-any-return] # transformers is not looked at by mypy


def _task_tokens(transformers: Any, order: Order, config: Any, options: dict[str, Any]) -> Tensor:
    """Return the tokens of OneFormer's task, which it reads beside the image."""
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(order.rest, **options)
    except Exception as error:
        raise InvalidInput(
            f"The model source {order.source!r} reads its task as text, and its tokenizer can't be loaded "
            f"({type(error).__name__}: {str(error).partition(chr(10))[0]}); save the whole processor beside it."
        ) from error
    length = config.task_seq_len
    read = tokenizer(_TASK, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    tokens: Tensor = read["input_ids"]
    return tokens


def _with_task(
    tokens: Tensor, _network: nn.Module, arguments: tuple[Tensor, ...], keywords: dict[str, Any]
) -> tuple[tuple[Tensor, ...], dict[str, Any]]:
    images = arguments[0]
    return arguments, {**keywords, "task_inputs": tokens.to(images.device).expand(len(images), -1)}


def _flip_channels(_network: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (arguments[0].flip(1),)


def _processor(order: Order, options: dict[str, Any]) -> dict[str, Any]:
    """Return the image processor's configuration; empty where there is none."""
    if options:
        file = Path(order.rest).expanduser() / "preprocessor_config.json"
        nested = file.with_name("processor_config.json")
        with failures_of(order.source):
            if file.is_file():
                found = json.loads(file.read_text(encoding="utf-8"))
            else:
                found = json.loads(nested.read_text(encoding="utf-8")) if nested.is_file() else {}
    else:
        base = required("transformers.image_processing_base", extra="hf")
        with failures_of(order.source):
            found, _ = base.ImageProcessingMixin.get_image_processor_dict(order.rest)
    inner = found.get("image_processor", found)
    return inner if isinstance(inner, dict) else {}


def preprocess_of(processor: dict[str, Any], config: Any) -> Preprocess:
    """Return the preprocessing that an image processor's configuration means.

    Parameters
    ----------
    processor : dict
        The content of ``preprocessor_config.json``.
    config : PretrainedConfig
        The network's, for the size where the processor has none.

    Returns
    -------
    Preprocess
        Cropping is left out: the whole image is seen.
    """
    channels = int(getattr(config, "num_channels", None) or 3)
    factor = 255 * float(processor.get("rescale_factor") or 1 / 255) if processor.get("do_rescale", True) else 255.0
    mean, std = (processor.get("image_mean"), processor.get("image_std")) if processor.get("do_normalize") else (0, 1)
    means, stds = (
        [float(each) for each in (value if isinstance(value, list) else [value] * channels)]
        for value in (0 if mean is None else mean, 1 if std is None else std)
    )
    size = processor.get("size") if processor.get("do_resize", True) else None
    placed = _size(size if processor else getattr(config, "image_size", None))
    return Preprocess(
        **placed,
        multiple_of=int(processor.get("size_divisor") or processor.get("size_divisibility") or 1),
        mean=tuple(value / factor for value in means),
        std=tuple(value / factor for value in stds),
        channels=channels,
    )


def _size(size: Any) -> dict[str, Any]:
    if isinstance(size, dict) and "height" in size:
        return {"size": (int(size["height"]), int(size["width"]))}
    if isinstance(size, dict) and size.get("shortest_edge"):
        longest = size.get("longest_edge")
        if longest == size["shortest_edge"]:  # EoMT's position embeddings are of one size
            return {"size": int(longest), "fit": "letterbox"}
        return {"size": int(size["shortest_edge"]), "fit": "shortest", "longest": int(longest) if longest else None}
    if isinstance(size, (list, tuple)):
        return {"size": tuple(int(side) for side in size)}
    if isinstance(size, int):
        return {"size": size}
    return {}


def _classes(config: Any) -> tuple[str, ...] | None:
    """Return the class names, unless they are the ones that stand in where nobody gave any."""
    names = [config.id2label[index] for index in sorted(config.id2label)]
    if len(names) < 2 or all(name == f"LABEL_{index}" for index, name in enumerate(names)):
        return None
    return distinct(names)


SOURCE = Source(
    scheme="hf",
    form="hf:ID or folder",
    summary="A network of transformers, from a folder or the Hugging Face hub.",
    load=_load,
    extra="hf",
)
