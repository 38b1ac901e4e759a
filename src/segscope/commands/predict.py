"""``segscope predict``: the mask of an image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InvalidInput
from .options import (
    AsJson,
    ClassesFile,
    ImageFile,
    ModelSource,
    OtherInputs,
    Overlap,
    WeightsFile,
    WindowSize,
    check_image,
    check_output,
    image_of,
    load,
    predicting,
    read_inputs,
    read_windows,
)
from .report import print_json, print_line, print_table

if TYPE_CHECKING:
    from ..prediction import Prediction
    from ..server.summary import Summary

__all__ = ["predict"]


def predict(
    *,
    image: ImageFile,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="The mask as PNG: class indices, with the classes' colours."
        ),
    ] = None,
    model: ModelSource = "demo",
    weights: WeightsFile = None,
    truth: Annotated[
        Path | None,
        typer.Option(metavar="MASK", help="The true mask, to compare with: class indices, as large as the image."),
    ] = None,
    window: WindowSize = None,
    overlap: Overlap = None,
    inputs: OtherInputs = None,
    classes: ClassesFile = None,
    as_json: AsJson = False,
) -> None:
    """Label each pixel of an image, and print each class's share of it."""
    from ..server.summary import summarize

    check_image(image)
    if truth is not None:
        check_image(truth)
    if output is not None:
        check_output(output, suffixes=(".png",))
    others = read_inputs(inputs or ())
    loaded = load(model, classes, weights=weights, windows=read_windows(window, overlap))
    with predicting(loaded, image_of(loaded, image, others), truth=truth) as prediction:
        summary = summarize(prediction)
        if output is not None:
            _write_mask(prediction, output)
        _report(prediction, summary, output, as_json=as_json)


def _write_mask(prediction: Prediction, output: Path) -> None:
    import numpy as np
    from PIL import Image

    from ..files import write_file

    palette = prediction.model.palette
    if len(palette) > 256:
        raise InvalidInput(
            f"The model has {len(palette)} classes, and a palette PNG holds 256; use Python's prediction.mask instead."
        )
    mask = Image.fromarray(prediction.mask.astype(np.uint8)).convert("P")
    mask.putpalette(palette.tobytes())
    write_file(output, lambda file: mask.save(file, "PNG"))


def _report(prediction: Prediction, summary: Summary, output: Path | None, *, as_json: bool) -> None:
    if as_json:
        height, width = prediction.size
        print_json(
            {
                "model": prediction.model.name,
                "image_size": [height, width],
                "confidence": summary.confidence,
                "classes": [vars(result) for result in summary.classes],
                "output": None if output is None else str(output),
            }
        )
        return
    compared = prediction.truth is not None
    rows = [
        (
            result.name,
            f"{result.share:.1%}",
            *(["–" if result.iou is None else f"{result.iou:.3f}"] if compared else []),
        )
        for result in summary.classes
    ]
    print_table(("class", "share", *(["IoU"] if compared else [])), rows, right=(1, 2))
    print_line(f"confidence {summary.confidence:.3f}" + (f"; mask in {output}" if output else ""))
