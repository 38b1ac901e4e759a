"""``segscope doctor``: what was found in a network, what can be explained, and where to look first."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import AsJson, Bands, ClassesFile, WeightsFile, check_image, load
from .report import print_json, print_line, print_table

if TYPE_CHECKING:
    from ..examination import Examination

__all__ = ["doctor"]

_SIDE = 224
_MANY = 12


def doctor(
    *,
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="demo, module:function, file.py:function, or another source: see segscope explain --help.",
            show_default=False,
        ),
    ],
    image: Annotated[
        Path | None, typer.Option(metavar="FILE", help="An image to run the network on; noise otherwise.")
    ] = None,
    weights: WeightsFile = None,
    bands: Bands = None,
    classes: ClassesFile = None,
    as_json: AsJson = False,
) -> None:
    """Examine a network: what was found, what can be explained, and the layers worth a look first."""
    import numpy as np

    from ..examination import examine

    if image is not None:
        check_image(image)
    loaded = load(model, classes, weights=weights, bands=bands)
    noise = np.random.default_rng(0).integers(0, 256, (_SIDE, _SIDE, loaded.bands or 3), dtype=np.uint8)
    with loaded.predict(noise if image is None else image) as prediction:
        found = examine(prediction)
    if as_json:
        print_json(asdict(found))
    else:
        _report(found)


def _bands(found: Examination) -> str:
    several = ", ".join(f"{name} {count}" for name, count in found.inputs.items())
    count = found.input.channels
    return f"{count} band{'' if count == 1 else 's'}{f' ({several})' if several else ''}"


def _shown(found: Examination) -> str:
    bands = found.shown_bands
    listed = f"band{'' if len(bands) == 1 else 's'} {', '.join(map(str, bands))}"
    return f"{listed} as {'grey' if len(bands) == 1 else 'red, green and blue'}, counted from 0; --bands chooses others"


def _report(found: Examination) -> None:
    names = ", ".join(found.classes[:_MANY]) + (", …" if len(found.classes) > _MANY else "")
    entry = found.input
    print_table(
        ("network", found.network),
        [
            ("weights", f"{found.weights:,} of {found.dtype} on {found.device}"),
            ("input", f"{_bands(found)}, {entry.height}×{entry.width}"),
            ("shown", _shown(found)),
            ("preprocessing", found.preprocess),
            ("output", found.output),
            ("classes", names),
            ("layers", f"{found.layers}; segscope layers lists them"),
        ],
    )
    print_line("\nwhat can be explained")
    for check in found.checks:
        print_line(f"  yes  {check.what}" if check.passed else f"  no   {check.what}\n       {check.problem}")
    print_line("\nlayers worth a look first")
    print_table(("  layer", "why"), [(f"  {suggestion.layer}", suggestion.why) for suggestion in found.suggestions])
