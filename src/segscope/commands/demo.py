"""``segscope mushrooms`` and ``train``: the worked example's images and network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InvalidInput
from .options import check_output
from .report import print_json, print_line, progress_bar

if TYPE_CHECKING:
    from ..demo.dataset import LabelledImages

__all__ = ["mushrooms", "train"]

Folder = Annotated[Path, typer.Option(metavar="DIR", help="Images and masks, as segscope mushrooms writes them.")]


def mushrooms(  # the docstring is the command's help
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write into; made where it isn't there.")],
    count: Annotated[int, typer.Option(metavar="N", help="How many images.")] = 100,
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed gives the same images.")] = 0,
    size: Annotated[int, typer.Option(metavar="PIXELS", help="Height and width.")] = 256,
) -> None:
    """Render images of mushrooms with their exact masks, on all cores.

    Images that are there already are kept, so that an interrupted run goes on where it stopped.
    """  # noqa: DOC501  # the docstring is the command's help
    from ..demo.mushrooms.dataset import write_dataset

    if out.exists() and not out.is_dir():
        raise InvalidInput(f"The output {str(out)!r} is a file; expected a folder.")
    try:
        with progress_bar("mushrooms") as show:
            write_dataset(out, count=count, seed=seed, size=size, progress=show)
    except OSError as error:
        raise InvalidInput(f"The folder {str(out)!r} can't be written to: {error.strerror or error}.") from None
    print_line(
        f"{count} images in {out / 'images'}, masks in {out / 'masks'}, names and colours in {out / 'classes.json'}"
    )


def train(  # the docstring is the command's help
    *,
    data: Folder,
    validation: Folder,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Takes the checkpoint and the weights so far.")] = Path(
        "runs/mushrooms"
    ),
    minutes: Annotated[float | None, typer.Option(metavar="N", help="How long to train; or give --steps.")] = None,
    steps: Annotated[
        int | None, typer.Option(metavar="N", help="How many steps to train, which can be reproduced.")
    ] = None,
    width: Annotated[float, typer.Option(metavar="X", help="Width of the network; 1 is that of the papers.")] = 0.5,
    seed: Annotated[int, typer.Option(metavar="N", help="Decides first weights, order and changes of the images.")] = 0,
    data_seed: Annotated[int | None, typer.Option(metavar="N", help="The seed of the images, for the record.")] = None,
    validation_seed: Annotated[
        int | None, typer.Option(metavar="N", help="The seed of the validation images, for the record.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start anew, though there is a checkpoint.")] = False,
    export: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="When trained, write weights (.safetensors) and their record (.json)."),
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Images never used otherwise, to measure the exported weights on."),
    ] = None,
    test_seed: Annotated[
        int | None, typer.Option(metavar="N", help="The seed of the test images, for the record.")
    ] = None,
) -> None:
    """Train the example network, or go on where an interrupted training stopped."""
    if export is not None:
        check_output(export, suffixes=(".safetensors",))
    elif test is not None:
        raise InvalidInput("--test measures exported weights; give --export FILE too.")
    from ..demo.dataset import read_labelled_images
    from ..demo.mushrooms import CLASSES
    from ..demo.recipe import Recipe
    from ..demo.training import train as run_training

    recipe = Recipe(width=width, seed=seed, steps=steps, minutes=minutes)
    measured = None if test is None else read_labelled_images(test, classes=recipe.classes)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"The folder {str(out)!r} can't be made: {error.strerror or error}.") from None
    checkpoint = run_training(
        out,
        data=data,
        validation=validation,
        classes=CLASSES,
        recipe=recipe,
        data_seed=data_seed,
        validation_seed=validation_seed,
        resume=not fresh,
    )
    print_line(f"checkpoint in {checkpoint}")
    if export is not None:
        _export(checkpoint, export, measured, test_seed)


def _export(checkpoint: Path, file: Path, test: LabelledImages | None, test_seed: int | None) -> None:
    from ..demo.export import export

    record: dict[str, Any]
    if test is None:
        record = export(checkpoint, file)
    else:
        with progress_bar("measuring") as show:
            done = 0

            def advance(count: int) -> None:
                nonlocal done
                done += count
                show(done, len(test))

            record = export(checkpoint, file, test=test, test_seed=test_seed, progress=advance)
    print_line(f"weights in {file}, record in {file.with_suffix('.json')}")
    if "test" in record:
        print_json(record["test"])
