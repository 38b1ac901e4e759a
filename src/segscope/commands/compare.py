"""``segscope compare``: one question answered by several methods, at several layers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import CannotExplain, InvalidInput, UnknownName
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
    from ..comparison import Comparison
    from ..prediction import Prediction
    from ..variants import Variant

__all__ = ["compare"]

_OUTPUTS = (".png", ".svg", ".pdf", ".npz", ".csv")
_SCALES = ("own", "method", "shared")
_ORDERS = ("agreement", "cost", "name", "share")


def compare(
    *,
    image: ImageFile,
    class_: Annotated[
        list[str],
        typer.Option("--class", metavar="NAME", help="The class to explain, by name or index; may be repeated."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="A figure (.png, .svg, .pdf), the numbers (.npz) or a table (.csv)."
        ),
    ] = None,
    model: ModelSource = "demo",
    weights: WeightsFile = None,
    methods: Annotated[
        str, typer.Option(metavar="NAMES", help="Names with commas between them, quick or all; see segscope methods.")
    ] = "quick",
    layers: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Names with commas between them, input for the image, or all; each method's usual place otherwise.",
        ),
    ] = None,
    against: Against = None,
    score: ScoreKind = "logit",
    param: Annotated[
        list[str] | None,
        typer.Option(metavar="METHOD.NAME=VALUE", help="A parameter of one of the methods; may be repeated."),
    ] = None,
    pixel: Pixel = None,
    box: Box = None,
    region: RegionMask = None,
    everywhere: Everywhere = False,
    scale: Annotated[
        str, typer.Option(metavar="KIND", help="The scale of each map in a figure: own, of its method, or shared.")
    ] = "own",
    sort: Annotated[
        str | None, typer.Option(metavar="KEY", help="Order of the methods: agreement, cost, name or share.")
    ] = None,
    memory: Memory = None,
    window: WindowSize = None,
    overlap: Overlap = None,
    inputs: OtherInputs = None,
    bands: Bands = None,
    classes: ClassesFile = None,
    as_json: AsJson = False,
) -> None:
    """Set the maps of several methods side by side: what each shows, how much they agree, and what they cost.

    Methods that run the network many times show their progress; Ctrl-C ends them, and nothing is written.
    """
    _check(image, output, scale=scale, sort=sort, score=score)
    asked = read_region(pixel=pixel, box=box, mask=region, everywhere=everywhere)
    variants = _read_variants(methods, param or ())
    others = read_inputs(inputs or ())
    loaded = load(
        model,
        classes,
        weights=weights,
        memory=None if memory is None else read_bytes(memory),
        windows=read_windows(window, overlap),
        bands=bands,
    )
    with predicting(loaded, image_of(loaded, image, others)) as prediction:
        comparison = prediction.compare(
            classes=[class_of(name, loaded.classes) for name in class_],
            region=asked,
            methods=[(variant.method.name, variant.parameters) for variant in variants],
            layers=_read_layers(layers, prediction),
            against=None if against is None else class_of(against, loaded.classes),
            score=score,  # type: ignore[arg-type] # checked above
            run=False,
        )
        _run(comparison)
        if sort is not None:
            comparison = comparison.sorted(sort)  # type: ignore[arg-type] # checked above
        if output is not None:
            comparison.save(output, limit=None if scale == "own" else scale)  # type: ignore[arg-type] # checked above
        _report(comparison, output, as_json=as_json)


def _check(image: Path, output: Path | None, *, scale: str, sort: str | None, score: str) -> None:
    check_image(image)
    if output is not None:
        check_output(output, suffixes=_OUTPUTS)
    if scale not in _SCALES:
        raise UnknownName("scale", scale, _SCALES)
    if sort is not None and sort not in _ORDERS:
        raise UnknownName("order", sort, _ORDERS)
    check_score(score)


def _read_variants(methods: str, parameters: Iterable[str]) -> Sequence[Variant]:
    from ..variants import read_methods

    names = methods.strip() if methods.strip() in ("quick", "all") else _names(methods, "--methods")
    variants = read_methods(names)
    given: dict[str, dict[str, str]] = {variant.method.name: {} for variant in variants}
    for key, value in read_parameters(parameters).items():
        method, dot, name = key.partition(".")
        if not dot or not name:
            raise InvalidInput(f"The parameter is {key!r}; expected METHOD.NAME=VALUE, for instance grad-cam.relu=no.")
        if method not in given:
            raise UnknownName("method that is compared", method, given)
        given[method][name] = value
    return read_methods(list(given.items()))


def _read_layers(text: str | None, prediction: Prediction) -> list[str] | None:
    if text is None:
        return None
    return list(prediction.layers) if text.strip() == "all" else _names(text, "--layers")


def _names(text: str, option: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise InvalidInput(f"{option} is {text!r}; expected names with commas between them.")
    return names


def _run(comparison: Comparison) -> None:
    slow = comparison.prediction.model.windows is not None or not all(
        variant.method.quick for variant in comparison.variants
    )
    bar: contextlib.AbstractContextManager[Callable[[float], None] | None] = (
        share_bar("comparing") if slow else contextlib.nullcontext()
    )
    with bar as show:
        for _ in comparison.steps(show):
            pass
    if not comparison:
        raise CannotExplain(f"There is not one map to compare. {next(iter(comparison.skipped.values()))}")


def _report(comparison: Comparison, output: Path | None, *, as_json: bool) -> None:
    rows = comparison.rows()
    if as_json:
        print_json(_data(comparison, rows, output))
        return
    several = len(comparison.classes) > 1
    lines = [
        (
            *([row["class"]] if several else []),
            row["method"],
            row["layer"],
            *(_number(row[key], form) for key, form in (("share", ".0%"), ("gini", ".2f"), ("spread", ".3f"))),
            _number(row["seconds"], ".3g"),
            _number(row["passes"], "d"),
        )
        for row in rows
        if not row["reason"]
    ]
    head = ("method", "layer", "on class", "Gini", "spread", "seconds", "passes")
    first = 3 if several else 2
    print_table(("class", *head) if several else head, lines, right=tuple(range(first, first + 5)))
    for cell, reason in comparison.skipped.items():
        print_line(f"left out: {cell.method} at {cell.layer}{f' for {cell.class_}' if several else ''}: {reason}")
    if output is not None:
        print_line(f"{output}: {len(comparison)} maps")


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _data(comparison: Comparison, rows: list[dict[str, Any]], output: Path | None) -> dict[str, Any]:
    agreement = comparison.agreement(between="methods")
    values = [[None if value != value else value for value in row] for row in agreement.values.tolist()]  # noqa: PLR0124 # NaN
    return {
        "model": comparison.prediction.model.name,
        "image_size": list(comparison.prediction.size),
        "maps": rows,
        "agreement": {"kind": "spearman", "methods": list(comparison.methods), "values": values},
        "costs": {name: cost._asdict() for name, cost in comparison.costs.items()},
        "output": None if output is None else str(output),
    }
