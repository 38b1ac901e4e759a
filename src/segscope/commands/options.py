"""What several commands read from their command line."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InvalidImage, InvalidInput, UnknownName
from .report import share_bar

if TYPE_CHECKING:
    from ..model import SegmentationModel
    from ..prediction import Prediction
    from ..region import Region
    from ..windows import Windows

__all__ = [
    "Against",
    "AsJson",
    "Bands",
    "Box",
    "ClassesFile",
    "Everywhere",
    "ImageFile",
    "Memory",
    "ModelSource",
    "OtherInputs",
    "Overlap",
    "Pixel",
    "RegionMask",
    "ScoreKind",
    "WeightsFile",
    "WindowSize",
    "check_image",
    "check_output",
    "check_score",
    "class_of",
    "image_of",
    "load",
    "predicting",
    "read_bytes",
    "read_classes",
    "read_inputs",
    "read_parameters",
    "read_region",
    "read_windows",
]

ModelSource = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="demo, module:function or file.py:function; the function returns the network. Also torchvision:NAME, "
        "smp:ARCHITECTURE/ENCODER, hf:FOLDER, onnx:FILE, keras:FILE or export:FILE.",
    ),
]
WeightsFile = Annotated[
    str | None,
    typer.Option(
        "--weights", metavar="FILE", help="Weights for the network: safetensors or a state dict. Or random, to try."
    ),
]
ClassesFile = Annotated[
    Path | None,
    typer.Option("--classes", metavar="FILE", help="Names of the classes: JSON, or text with one name a line."),
]
ImageFile = Annotated[
    Path, typer.Argument(metavar="IMAGE", help="PNG, JPEG, WebP, TIFF, BMP or .npy.", show_default=False)
]
OtherInputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="NAME=FILE",
        help="Another input of a network that takes several, of which IMAGE is the first; may be repeated.",
    ),
]
Bands = Annotated[
    str | None,
    typer.Option(
        "--bands",
        metavar="R,G,B",
        help="The bands to show as red, green and blue, counted from 0, or one as grey; the first three otherwise.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Against = Annotated[str | None, typer.Option(metavar="NAME", help="Contrast class: why the one and not the other?")]
ScoreKind = Annotated[str, typer.Option(metavar="KIND", help="What is explained: logit or probability.")]
Pixel = Annotated[str | None, typer.Option(metavar="R,C", help="Ask about one pixel: row, column.")]
Box = Annotated[str | None, typer.Option(metavar="T,L,B,R", help="Ask about a box: top, left, bottom, right.")]
RegionMask = Annotated[
    Path | None, typer.Option(metavar="MASK", help="Ask about the pixels of an image file that aren't 0.")
]
Everywhere = Annotated[bool, typer.Option("--everywhere", help="Ask about the whole image.")]
Memory = Annotated[
    str | None,
    typer.Option(metavar="AMOUNT", help="Memory for the passes that a method runs at once, for instance 500MB."),
]
WindowSize = Annotated[
    str | None,
    typer.Option(
        "--window", metavar="N or H,W", help="See images larger than this many pixels in windows of this size."
    ),
]
Overlap = Annotated[
    float | None,
    typer.Option(metavar="SHARE", help="How much of a window overlaps with the next one, 0 to 0.9; 0.25 otherwise."),
]

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


def load(
    source: str,
    classes_file: Path | None,
    *,
    weights: str | None = None,
    memory: int | None = None,
    windows: Windows | None = None,
    bands: str | None = None,
) -> SegmentationModel:
    """Load a model, with the class names (and colours) of a file where one is given.

    Parameters
    ----------
    source : str
        As :meth:`segscope.SegmentationModel.load` takes it.
    classes_file : Path, optional
        As :func:`read_classes` takes it.
    weights : str, optional
        The file of weights, or ``"random"``.
    memory : int, optional
        Bytes that the passes which a method runs at once may take; as the model says otherwise.
    windows : Windows, optional
        How larger images are cut.
    bands : str, optional
        The bands to show; as the model says otherwise.

    Returns
    -------
    SegmentationModel
        The model.

    Raises
    ------
    InvalidInput
        When the model or the file can't be read, or there are no such bands.
    """
    from ..image import read_bands
    from ..model import SegmentationModel

    shown = None if bands is None else read_bands(bands)
    names, colors = (None, None) if classes_file is None else read_classes(classes_file)
    model = SegmentationModel.load(source, weights=weights, classes=names, colors=colors, windows=windows)
    if memory is not None:
        model.memory = memory
    return model if shown is None else model.with_options(shown_bands=shown)


@contextlib.contextmanager
def predicting(
    model: SegmentationModel, image: Path | dict[str, Path], *, truth: Path | None = None
) -> Iterator[Prediction]:
    """Predict an image, with a bar of progress where that is done in windows, and close the prediction at the end.

    Parameters
    ----------
    model : SegmentationModel
        The model.
    image : Path or dict
        The image, as :func:`image_of` gives it.
    truth : Path, optional
        Its true mask.

    Yields
    ------
    Prediction
        Of the image.

    Raises
    ------
    SegscopeError
        As :meth:`segscope.SegmentationModel.predict` does.
    """
    with share_bar("predicting") as show:
        prediction = model.predict(image, truth=truth, progress=show)
    with prediction:
        yield prediction


def read_windows(window: str | None, overlap: float | None) -> Windows | None:
    """Read how large images are cut into windows.

    Parameters
    ----------
    window : str, optional
        ``N`` or ``H,W``.
    overlap : float, optional
        The share that neighbours have in common.

    Returns
    -------
    Windows or None
        None where no window is given.

    Raises
    ------
    InvalidInput
        When they can't be read, or an overlap comes without a window.
    """
    from ..windows import Windows

    if window is None:
        if overlap is not None:
            raise InvalidInput("--overlap was given without --window; say the size of the windows too.")
        return None
    parts = 2 if "," in window else 1
    sides = _whole_numbers(window, parts, "--window", "N or HEIGHT,WIDTH")
    size = sides[0] if parts == 1 else (sides[0], sides[1])
    return Windows(size) if overlap is None else Windows(size, overlap)


def read_classes(path: Path) -> tuple[list[str], list[str] | None]:
    """Read the names of the classes, and their colours where the file has them.

    Parameters
    ----------
    path : Path
        JSON (``["a", "b"]`` or ``{"classes": [{"name": "a", "color": "#aabbcc"}, …]}``), or text with one name a line.

    Returns
    -------
    names : list of str
        In the order of the indices.
    colors : list of str or None
        ``"#RRGGBB"`` each, where every class has one.

    Raises
    ------
    InvalidInput
        When the file can't be read, or has another form.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it isn't UTF-8 text"
        raise InvalidInput(f"The file of classes {str(path)!r} can't be read: {reason}.") from None
    if path.suffix.lower() != ".json" and text.lstrip()[:1] not in ("[", "{"):
        return [line.strip() for line in text.splitlines() if line.strip()], None
    try:
        data = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"The file of classes {str(path)!r} isn't valid JSON: {error}.") from None
    return _classes_of(data, path)


def class_of(text: str, classes: Sequence[str]) -> str | int:
    """Return a class as it was named, or its index where a number was given and no class has that name.

    Parameters
    ----------
    text : str
        What was given.
    classes : sequence of str
        The names that exist.

    Returns
    -------
    str or int
        What :meth:`segscope.Prediction.explain` takes.
    """
    return int(text) if text not in classes and text.isascii() and text.isdigit() else text


def check_image(path: Path) -> None:
    """Refuse an image that isn't there, before anything else costs time.

    Parameters
    ----------
    path : Path
        The image.

    Raises
    ------
    InvalidImage
        When there is no such file.
    """
    if not path.is_file():
        raise InvalidImage(
            f"{str(path)!r} is a folder; expected an image." if path.is_dir() else f"There is no file {str(path)!r}."
        )


def read_inputs(pairs: Iterable[str]) -> dict[str, Path]:
    """Read the further inputs of a network.

    Parameters
    ----------
    pairs : iterable of str
        ``name=file`` each.

    Returns
    -------
    dict
        The files, by name.

    Raises
    ------
    InvalidInput
        When one has another form, a name comes twice, or a file isn't there.
    """
    inputs: dict[str, Path] = {}
    for pair in pairs:
        name, _, file = pair.partition("=")
        if not name or not file:
            raise InvalidInput(f"The input is {pair!r}; expected NAME=FILE, for instance depth=depth.png.")
        if name in inputs:
            raise InvalidInput(f"The input {name!r} is given twice.")
        inputs[name] = Path(file)
        check_image(inputs[name])
    return inputs


def image_of(model: SegmentationModel, image: Path, inputs: Mapping[str, Path]) -> Path | dict[str, Path]:
    """Return what the model predicts: an image, or all inputs of a network by name.

    Parameters
    ----------
    model : SegmentationModel
        The model.
    image : Path
        The first input.
    inputs : mapping of str to Path
        The other ones, by name.

    Returns
    -------
    Path or dict
        What :meth:`segscope.SegmentationModel.predict` takes.

    Raises
    ------
    InvalidInput
        When the network takes one image, or the first input is among the others.
    """
    if not inputs:
        return image
    first = next(iter(model.inputs), None)
    if first is None:
        raise InvalidInput(f"--input was given ({', '.join(inputs)}), and the network takes one image.")
    if first in inputs:
        raise InvalidInput(f"The input {first!r} is given twice: it is the first one, which IMAGE is.")
    return {first: image, **inputs}


def check_score(kind: str) -> None:
    """Refuse a kind of score that doesn't exist, before anything else costs time.

    Parameters
    ----------
    kind : str
        What was given.

    Raises
    ------
    UnknownName
        When there is no such kind.
    """
    from ..target import SCORES

    if kind not in SCORES:
        raise UnknownName("kind of score", kind, SCORES)


def check_output(path: Path, *, suffixes: Sequence[str]) -> None:
    """Refuse an output file that can't be written, before anything else costs time.

    Parameters
    ----------
    path : Path
        The file.
    suffixes : sequence of str
        Endings that it may have.

    Raises
    ------
    InvalidInput
        When it has another ending, or its folder isn't there or can't be written to.
    """
    if path.suffix.lower() not in suffixes:
        came = f"ends with {path.suffix!r}" if path.suffix else "has no ending"
        raise InvalidInput(f"The output {str(path)!r} {came}; expected {' or '.join(suffixes)}.")
    if path.is_dir():
        raise InvalidInput(f"The output {str(path)!r} is a folder; expected a file.")
    if not path.parent.is_dir():
        raise InvalidInput(f"The folder {str(path.parent)!r} of the output isn't there; make it first.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise InvalidInput(f"The folder {str(path.parent)!r} of the output can't be written to.")


def read_bytes(text: str) -> int:
    """Read an amount of memory.

    Parameters
    ----------
    text : str
        For instance ``2GiB``, ``500MB`` or ``1000000``.

    Returns
    -------
    int
        Bytes.

    Raises
    ------
    InvalidInput
        When it can't be read, or is nothing.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?i?)b?", text.strip().lower())
    amount = int(float(match[1]) * _UNITS[match[2]]) if match and match[2] in _UNITS else 0
    if amount <= 0:
        raise InvalidInput(f"The amount of memory is {text!r}; expected for instance 2GiB or 500MB.")
    return amount


def read_parameters(pairs: Iterable[str]) -> dict[str, str]:
    """Read a method's parameters.

    Parameters
    ----------
    pairs : iterable of str
        ``name=value`` each.

    Returns
    -------
    dict
        The values as text, by name.

    Raises
    ------
    InvalidInput
        When one has another form, or a name comes twice.
    """
    parameters: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise InvalidInput(f"The parameter is {pair!r}; expected name=value.")
        if name.strip() in parameters:
            raise InvalidInput(f"The parameter {name.strip()!r} is given twice.")
        parameters[name.strip()] = value.strip()
    return parameters


def read_region(*, pixel: str | None, box: str | None, mask: Path | None, everywhere: bool) -> Region | None:
    """Read the region from the four options that can give one.

    Parameters
    ----------
    pixel : str, optional
        ``R,C``.
    box : str, optional
        ``T,L,B,R``.
    mask : Path, optional
        An image file, as large as the image; the pixels that aren't 0 are asked about.
    everywhere : bool
        The whole image.

    Returns
    -------
    Region or None
        None for the pixels predicted as the class.

    Raises
    ------
    InvalidInput
        When several are given, or one can't be read.
    """
    from ..region import Region

    given = [
        f"--{name}"
        for name, value in (("pixel", pixel), ("box", box), ("region", mask), ("everywhere", everywhere))
        if value
    ]
    if len(given) > 1:
        raise InvalidInput(f"{' and '.join(given)} were given; expected one region at most.")
    if pixel is not None:
        row, column = _whole_numbers(pixel, 2, "--pixel", "ROW,COLUMN")
        return Region.pixel(row, column)
    if box is not None:
        top, left, bottom, right = _whole_numbers(box, 4, "--box", "TOP,LEFT,BOTTOM,RIGHT")
        return Region.box(top, left, bottom, right)
    if mask is not None:
        return _region_from_file(mask)
    return Region.everywhere() if everywhere else None


def _whole_numbers(text: str, count: int, option: str, form: str) -> list[int]:
    parts = text.split(",")
    if len(parts) != count or not all(re.fullmatch(r"\s*-?\d{1,9}\s*", part) for part in parts):
        raise InvalidInput(f"{option} is {text!r}; expected {form} in whole numbers.")
    return [int(part) for part in parts]


def _region_from_file(path: Path) -> Region:
    import numpy as np
    from PIL import Image

    from ..region import Region

    check_image(path)
    try:
        with Image.open(path) as image:
            values = np.asarray(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InvalidImage(f"The region mask {str(path)!r} can't be read as an image: {error}.") from None
    if values.ndim != 2:
        raise InvalidImage(
            f"The region mask {str(path)!r} has {values.shape[2]} channels; expected one, with 0 outside the region "
            "and anything else inside."
        )
    return Region.mask(values != 0)


def _classes_of(data: Any, path: Path) -> tuple[list[str], list[str] | None]:
    entries = data.get("classes") if isinstance(data, dict) else data
    entries = (
        [{"name": entry} if isinstance(entry, str) else entry for entry in entries] if isinstance(entries, list) else []
    )
    if not entries or not all(isinstance(entry, dict) and isinstance(entry.get("name"), str) for entry in entries):
        raise InvalidInput(
            f"The file of classes {str(path)!r} has another form; expected "
            '["name", …] or {"classes": [{"name": …, "color": …}, …]}.'
        )
    colors = [entry.get("color") for entry in entries]
    return [entry["name"] for entry in entries], colors if all(isinstance(color, str) for color in colors) else None
