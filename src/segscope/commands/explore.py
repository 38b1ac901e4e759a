"""``segscope serve`` and ``demo``: the explorer in the browser."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import (
    Bands,
    ClassesFile,
    Overlap,
    WeightsFile,
    WindowSize,
    load,
    read_bytes,
    read_classes,
    read_windows,
)
from .report import print_line

if TYPE_CHECKING:
    from ..windows import Windows

__all__ = ["demo", "serve"]

Port = Annotated[
    int | None, typer.Option(metavar="N", help="The port; 0 for any. Otherwise 8642, or the next that is free.")
]
Host = Annotated[
    str,
    typer.Option(metavar="ADDRESS", help="Where to listen. An address that others reach asks visitors for a token."),
]
Token = Annotated[
    str | None, typer.Option(metavar="TEXT", help="What visitors must bring; made up where it is needed and not given.")
]
Memory = Annotated[str, typer.Option(metavar="AMOUNT", help="Memory for predictions and batches, for instance 500MB.")]
NoOpen = Annotated[bool, typer.Option("--no-open", help="Don't open the browser.")]


def serve(
    *,
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="demo, module:function, file.py:function, or another source: see segscope explain --help.",
            show_default=False,
        ),
    ],
    images: Annotated[Path, typer.Option(metavar="DIR", help="The images to show.")],
    masks: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Their true masks, of the same names: class indices.")
    ] = None,
    weights: WeightsFile = None,
    window: WindowSize = None,
    overlap: Overlap = None,
    classes: ClassesFile = None,
    bands: Bands = None,
    port: Port = None,
    host: Host = "127.0.0.1",
    token: Token = None,
    memory: Memory = "2GiB",
    no_open: NoOpen = False,
) -> None:
    """Explore a network on your own images, in the browser."""
    _run(
        model,
        images,
        masks,
        weights=weights,
        windows=read_windows(window, overlap),
        classes=classes,
        bands=bands,
        port=port,
        host=host,
        token=token,
        memory=memory,
        browser=not no_open,
    )


def demo(
    *,
    port: Port = None,
    host: Host = "127.0.0.1",
    token: Token = None,
    memory: Memory = "2GiB",
    no_open: NoOpen = False,
) -> None:
    """Explore the network and the images that come with segscope, in the browser."""
    from ..demo import DATA

    _run(
        "demo",
        DATA / "images",
        DATA / "masks",
        weights=None,
        windows=None,
        classes=None,
        bands=None,
        port=port,
        host=host,
        token=token,
        memory=memory,
        browser=not no_open,
    )


def _run(
    model: str,
    images: Path,
    masks: Path | None,
    *,
    weights: str | None,
    windows: Windows | None,
    classes: Path | None,
    bands: str | None,
    port: int | None,
    host: str,
    token: str | None,
    memory: str,
    browser: bool,
) -> None:
    kept = read_bytes(memory)
    # Threads that have nothing to do for a moment would otherwise keep a core busy that the browser needs. It is read
    # when PyTorch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from ..image import read_bands
    from ..server import Gallery, Origin
    from ..server.launch import find_place, open_browser, serve

    # What can be wrong is found out before the network is loaded, which takes longest.
    place = find_place(host=host, port=port, token=token)
    with place.listener:
        gallery = Gallery(images, masks=masks)
        for problem in gallery.problems():
            typer.echo(f"left out: {problem.message}", err=True)
        loaded = load(model, classes, weights=weights, windows=windows, bands=bands)
        names, colors = (None, None) if classes is None else read_classes(classes)
        origin = Origin(
            source=model,
            weights=weights,
            windows=windows,
            classes=None if names is None else tuple(names),
            colors=None if colors is None else tuple(colors),
            classes_file=None if classes is None else str(classes),
            shown_bands=None if bands is None else read_bands(bands),
        )

        def announce(address: str) -> None:
            print_line(f"segscope is ready at {address}")
            print_line("Press Ctrl-C to end it.")
            if browser:
                open_browser(address)

        serve(loaded, gallery, place, memory=kept, origin=origin, on_ready=announce)
