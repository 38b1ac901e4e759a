"""``segscope explain``, ``layers`` and ``methods``: questions to a network, and what can be asked."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InvalidInput
from .options import (
    Against,
    AsJson,
    Bands,
    Box,
    ClassesFile,
    Everywhere,
    ImageFile,
    Memory,
    ModelSource,
    OtherInputs,
    Overlap,
    Pixel,
    RegionMask,
    ScoreKind,
    WeightsFile,
    WindowSize,
    check_image,
    check_output,
    check_score,
    class_of,
    image_of,
    load,
    predicting,
    read_bytes,
    read_inputs,
    read_parameters,
    read_region,
    read_windows,
)
from .report import print_json, print_line, print_table, share_bar

if TYPE_CHECKING:
    from ..attribution import Attribution
    from ..methods import Method, Parameter
    from ..model import SegmentationModel

__all__ = ["explain", "layers", "methods"]

_OUTPUTS = (".png", ".svg", ".pdf", ".npz")
_BLANK_SIZE = (224, 224)


def explain(
    *,
    image: ImageFile,
    class_: Annotated[str, typer.Option("--class", metavar="NAME", help="The class to explain, by name or index.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="A figure (.png, .svg, .pdf) or the numbers (.npz)."),
    ] = None,
    model: ModelSource = "demo",
    weights: WeightsFile = None,
    layer: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="See segscope layers; input for the image. The method's usual place otherwise."
        ),
    ] = None,
    method: Annotated[str, typer.Option(metavar="NAME", help="See segscope methods.")] = "grad-cam",
    against: Against = None,
    score: ScoreKind = "logit",
    param: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A parameter of the method; may be repeated.")
    ] = None,
    pixel: Pixel = None,
    box: Box = None,
    region: RegionMask = None,
    everywhere: Everywhere = False,
    memory: Memory = None,
    window: WindowSize = None,
    overlap: Overlap = None,
    inputs: OtherInputs = None,
    bands: Bands = None,
    classes: ClassesFile = None,
    as_json: AsJson = False,
) -> None:
    """Show why an image was labelled as a class: the importance of each pixel.

    Without a region, the question is about the pixels that are predicted as the class. Methods that run the network
    many times show their progress; Ctrl-C ends them, and nothing is written.
    """
    _check_explain(image, output, as_json=as_json)
    asked = read_region(pixel=pixel, box=box, mask=region, everywhere=everywhere)
    given = read_parameters(param or ())
    parameters = _checked_method(method, given, score)
    others = read_inputs(inputs or ())
    loaded = load(
        model,
        classes,
        weights=weights,
        memory=None if memory is None else read_bytes(memory),
        windows=read_windows(window, overlap),
        bands=bands,
    )
    with predicting(loaded, image_of(loaded, image, others)) as prediction, _progress_of(method, loaded) as progress:
        attribution = prediction.explain(
            class_of(class_, loaded.classes),
            asked,
            layer=layer,
            method=method,
            against=None if against is None else class_of(against, loaded.classes),
            score=score,  # type: ignore[arg-type] # checked above
            progress=progress,
            **parameters,
        )
        _report(attribution, output, as_json=as_json)


def layers(
    *,
    image: Annotated[
        Path | None,
        typer.Argument(
            metavar="[IMAGE]", help="An image to run the network on; a blank one otherwise.", show_default=False
        ),
    ] = None,
    model: ModelSource = "demo",
    weights: WeightsFile = None,
    classes: ClassesFile = None,
    as_json: AsJson = False,
) -> None:
    """List the layers that can be explained, in the order in which the network runs them."""
    import numpy as np

    if image is not None:
        check_image(image)
    loaded = load(model, classes, weights=weights)
    blank = np.zeros((*_BLANK_SIZE, loaded.bands or 3), np.uint8)
    with loaded.predict(blank if image is None else image) as prediction:
        found, default = list(prediction.layers.values()), prediction.default_layer
    if as_json:
        keys = ("name", "type", "channels", "height", "width")
        print_json(
            {"default_layer": default, "layers": [{key: getattr(layer, key) for key in keys} for layer in found]}
        )
        return
    rows = [
        (
            layer.name,
            layer.type,
            str(layer.channels),
            f"{layer.height}×{layer.width}",
            "default" if layer.name == default else "",
        )
        for layer in found
    ]
    print_table(("layer", "type", "channels", "map", ""), rows, right=(2, 3))


def methods(
    *,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[METHOD]", help="Describe this one: parameters, limits and paper.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the attribution methods, or describe one with its parameters, limits and paper."""
    from ..methods import all_methods, find_method

    known = list(all_methods().values()) if name is None else [find_method(name)]
    if as_json:
        described = [_method_data(method) for method in known]
        print_json(described if name is None else described[0])
    elif name is None:
        _print_methods(known)
    else:
        print_line(_method_text(known[0]))


def _check_explain(image: Path, output: Path | None, *, as_json: bool) -> None:
    check_image(image)
    if output is not None:
        check_output(output, suffixes=_OUTPUTS)
    elif not as_json:
        raise InvalidInput(
            "There is no output; say where to write with -o cap.png or -o cap.npz, or print numbers with --json."
        )


def _checked_method(name: str, given: dict[str, str], score: str) -> dict[str, Any]:
    from ..methods import find_method

    check_score(score)
    return dict(find_method(name).check(given))


def _progress_of(
    name: str, model: SegmentationModel
) -> contextlib.AbstractContextManager[Callable[[float], None] | None]:
    """Show the progress of a method that runs the network many times, or on many windows."""
    from ..methods import find_method

    method = find_method(name)
    return contextlib.nullcontext() if method.quick and model.windows is None else share_bar(method.title)


def _report(attribution: Attribution, output: Path | None, *, as_json: bool) -> None:
    written = None if output is None else str(attribution.save(output))
    if as_json:
        values = attribution.values
        numbers = {"minimum": float(values.min()), "maximum": float(values.max()), "mean": float(values.mean())}
        print_json({**attribution.provenance, "signed": attribution.signed, "values": numbers, "output": written})
        return
    against = f" against {attribution.against}" if attribution.against else ""
    asked = int((attribution.region_weights > 0).sum())
    measures = "".join(f", {name.replace('_', ' ')} {value:.4g}" for name, value in attribution.measures.items())
    print_line(
        f"{written}: {attribution.class_}{against} at {attribution.layer} by {attribution.method}; "
        f"largest importance {attribution.limit:.4g}, score {attribution.score:.4g} over {asked} pixels{measures}"
    )


_FIELDS = ("name", "title", "family", "summary", "citation", "url", "cannot", "at", "size", "signed", "quick", "linear")


def _method_data(method: Method) -> dict[str, Any]:
    data = {key: getattr(method, key) for key in _FIELDS}
    return {**data, "parameters": [vars(parameter) for parameter in method.parameters]}


def _print_methods(known: list[Method]) -> None:
    """Print one line for each method, by family; the columns are as wide in all of them."""
    from ..methods import FAMILIES

    rows: list[tuple[str, ...]] = []
    for family, title in FAMILIES.items():
        members = [method for method in known if method.family == family]
        rows += [("",), (title,)] if members else []
        rows += [(f"  {method.name}", method.at, "yes" if method.quick else "no", method.summary) for method in members]
    print_table(("method", "at", "quick", "what its map shows"), [(*row, "", "", "")[:4] for row in rows])
    print_line("\nsegscope methods METHOD tells a method's parameters, its limits and its paper.")


def _method_text(method: Method) -> str:
    place = "the input" if method.at == "input" else "a layer"
    speed = "quick: one backward pass answers for all layers" if method.quick else "runs the network again"
    lines = [
        f"{method.name} ({method.title}), at {place}; {speed}",
        f"  {method.summary}",
        f"  Limits: {method.cannot}",
        f"  {method.citation} {method.url}",
    ]
    return "\n".join([*lines, *(f"  --param {_parameter_text(parameter)}" for parameter in method.parameters)])


def _parameter_text(parameter: Parameter) -> str:
    default = str(parameter.default).lower() if parameter.kind == "bool" else str(parameter.default)
    choices = f" ({', '.join(parameter.choices)})" if parameter.choices else ""
    ends = [end for end in (parameter.minimum, parameter.maximum) if end is not None]
    unit = f" {parameter.unit}" if parameter.unit else ""
    span = f" ({' to '.join(f'{end:g}' for end in ends)}{unit})" if len(ends) == 2 else ""
    return f"{parameter.name}={default}{choices}{span}  {parameter.description}"
