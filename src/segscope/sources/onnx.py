"""ONNX files, as PyTorch networks by onnx2torch."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..errors import InvalidInput
from ..model import SegmentationModel
from ..preprocess import Preprocess
from .base import Made, Order, Source, distinct, failures_of, required

__all__ = ["SOURCE"]

# The opset that changed how reductions, Resize and Split are written.
_CHANGED = 18
# What later opsets only opened to more types of numbers, as far as these networks use it.
_SAME = (
    "Cast", "ConstantOfShape", "Constant", "Equal", "Flatten", "Identity", "Pad", "Reshape", "Shape", "Squeeze",
    "Transpose", "Unsqueeze", "AveragePool", "Size",
)  # fmt: skip
_INPUTS = 3
"""Of a Pad as it was; a fourth names its axes."""


def _load(order: Order) -> Made:
    onnx = required("onnx", extra="onnx")
    converter = required("onnx2torch", extra="onnx")
    path = order.file()
    order.refuse_weights(why="is a file that holds its weights")
    model = _read(onnx, path, order.source)
    shape = _input_shape(model, order.source)
    _share_weights(model)
    unknown = _unknown_operators(model)
    if unknown and _lower(onnx, model):
        unknown = _unknown_operators(model)
    if unknown:
        raise InvalidInput(
            f"The model source {order.source!r} uses operators that onnx2torch doesn't know: {', '.join(unknown)}. "
            "Export it with an older opset, torch.onnx.export(…, dynamo=False, opset_version=14), or load the PyTorch "
            "network itself with file.py:function."
        )
    with failures_of(order.source):
        network = converter.convert(model)
    last = _is_channels_last(shape)
    if last:
        network.register_forward_pre_hook(_to_channels_last)
    height, width, channels = (shape[1], shape[2], shape[3]) if last else (shape[2], shape[3], shape[1])
    classes = _metadata(model, "classes") or _metadata(model, "names")
    return SegmentationModel(
        network.eval(),
        classes=distinct(classes) if classes else None,
        colors=_colors(model, len(classes)),
        preprocess=Preprocess((height, width) if height and width else None, channels=channels),
        channels_last=True if last else None,
        name=path.stem,
    )


def _read(onnx: Any, path: Path, source: str) -> Any:
    try:
        model = onnx.load(str(path))
    except onnx.checker.ValidationError as error:
        raise InvalidInput(
            f"The model source {source!r} keeps its weights in other files, which can't be read ({error}); put them "
            "beside it, under the names that they had when it was saved."
        ) from error
    except Exception as error:
        raise InvalidInput(
            f"The model source {source!r} is no ONNX file, or is broken: {type(error).__name__}: {error}."
        ) from error
    if not model.graph.node:
        raise InvalidInput(f"The model source {source!r} is no ONNX file, or is empty: it holds no operators.")
    return model


def _input_shape(model: Any, source: str) -> list[int | None]:
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [given for given in model.graph.input if given.name not in weights]
    if len(inputs) != 1:
        raise InvalidInput(
            f"The model source {source!r} takes {len(inputs)} inputs ({', '.join(given.name for given in inputs)}); "
            "expected one, the image."
        )
    dimensions = inputs[0].type.tensor_type.shape.dim
    if len(dimensions) != 4:
        raise InvalidInput(f"The input of {source!r} has {len(dimensions)} axes; expected batch×channels×height×width.")
    return [dimension.dim_value or None for dimension in dimensions]


def _is_channels_last(shape: list[int | None]) -> bool:
    small = (1, 3, 4)
    return shape[3] in small and shape[1] not in small


def _to_channels_last(_network: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (arguments[0].permute(0, 2, 3, 1),)


def _share_weights(model: Any) -> None:
    """Name weights where they are used: exporters hand on equal ones by Identity, where onnx2torch doesn't follow."""
    weights = {tensor.name for tensor in model.graph.initializer}
    kept_names = {output.name for output in model.graph.output}
    same: dict[str, str] = {}
    for node in list(model.graph.node):
        if node.op_type == "Identity" and node.input[0] in weights | same.keys() and node.output[0] not in kept_names:
            same[node.output[0]] = same.get(node.input[0], node.input[0])
            model.graph.node.remove(node)
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = same.get(name, name)


def _lower(onnx: Any, model: Any) -> bool:
    """Write operators that opset 18 changed as opset 17 has them, where they mean the same; tell whether it could."""
    # Exporters write opset 18 by default, and onnx2torch knows those operators (reductions, Resize, Split) from before.
    opset = next((each for each in model.opset_import if each.domain == ""), None)
    if opset is None or opset.version < _CHANGED:
        return False
    nodes = [node for node in model.graph.node if node.domain == ""]
    changed = [node for node in nodes if _since(onnx, node, opset.version) >= _CHANGED]
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    values |= {
        node.output[0]: onnx.numpy_helper.to_array(each.t)
        for node in nodes
        if node.op_type == "Constant"
        for each in node.attribute
        if each.name == "value"
    }
    if not all(_is_lowered(onnx, node, values) for node in changed):
        return False
    opset.version = _CHANGED - 1
    return True


def _since(onnx: Any, node: Any, version: int) -> int:
    return int(onnx.defs.get_schema(node.op_type, max_inclusive_version=version).since_version)


def _is_lowered(onnx: Any, node: Any, values: dict[str, Any]) -> bool:
    attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    dropped: dict[str, Any] = {}
    if node.op_type == "Resize":
        # What older ones can't say, at the values that mean what they do.
        dropped = {"antialias": 0, "keep_aspect_ratio_policy": b"stretch"}
    elif node.op_type == "Split" and len(node.input) == 1:
        # Equal parts need no number: there are as many as outputs.
        dropped = {"num_outputs": len(node.output)}
    elif node.op_type.startswith("Reduce") and len(node.input) == 2 and node.input[1] in values:
        axes = [int(axis) for axis in values[node.input[1]].ravel()]
        if attributes.get("noop_with_empty_axes") and not axes:
            return False
        dropped = {"noop_with_empty_axes": attributes.get("noop_with_empty_axes", 0)}
        del node.input[1]
        node.attribute.append(onnx.helper.make_attribute("axes", axes))
    elif node.op_type not in _SAME or len(node.input) > _INPUTS or "dilations" in attributes:
        return False
    if any(attributes.get(name, value) != value for name, value in dropped.items()):
        return False
    kept = [each for each in node.attribute if each.name not in dropped]
    del node.attribute[:]
    node.attribute.extend(kept)
    return True


def _unknown_operators(model: Any) -> list[str]:
    registry = required("onnx2torch.node_converters.registry", extra="onnx")
    versions = {opset.domain: opset.version for opset in model.opset_import}
    unknown: dict[str, list[str]] = {}
    for node in model.graph.node:
        version = versions.get(node.domain, 1)
        try:
            registry.get_converter(operation_type=node.op_type, version=version, domain=node.domain)
        except NotImplementedError:
            operator = f"{node.domain + '.' if node.domain else ''}{node.op_type} (opset {version}"
            unknown.setdefault(operator, []).append(node.name or node.output[0])
    return [f"{operator}, {_nodes(names)})" for operator, names in unknown.items()]


def _nodes(names: list[str]) -> str:
    return f"node {names[0]!r}" if len(names) == 1 else f"{len(names)} nodes, the first {names[0]!r}"


def _metadata(model: Any, key: str) -> list[Any]:
    """Return what exporters keep under a key for each class, as a list or by index; empty where there is nothing."""
    text = next((entry.value for entry in model.metadata_props if entry.key == key), "None")
    try:
        found = ast.literal_eval(text)
        values = [found[index] for index in sorted(found, key=int)] if isinstance(found, dict) else found
    except (ValueError, SyntaxError):
        return []
    return list(values) if isinstance(values, (list, tuple)) and len(values) > 1 else []


def _colors(model: Any, classes: int) -> list[str] | None:
    """Return the colours under "colors", where there is a "#RRGGBB" for each class."""
    colors = _metadata(model, "colors")
    valid = all(isinstance(color, str) and re.fullmatch("#[0-9a-fA-F]{6}", color) for color in colors)
    return colors if classes and len(colors) == classes and valid else None


SOURCE = Source(
    scheme="onnx",
    form="onnx:FILE",
    summary="An ONNX file, as a PyTorch network by onnx2torch.",
    load=_load,
    extra="onnx",
)
