"""Reading what users hand in as an image."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import IOBase
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from .errors import InvalidImage, SegscopeError

__all__ = ["ImageLike", "picture_of", "read_mask", "read_pixels", "read_tensor"]

ImageLike: TypeAlias = "str | os.PathLike[str] | IOBase | Image.Image | NDArray[Any] | Tensor"

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def read_tensor(source: ImageLike) -> Tensor | None:
    """Return a float C×H×W tensor or array as float32 tensor, and None for any other kind of image.

    Parameters
    ----------
    source : ImageLike
        Anything that :meth:`segscope.SegmentationModel.predict` takes.

    Returns
    -------
    Tensor or None
        float32, C×H×W: the network's input as it is.

    Raises
    ------
    InvalidImage
        When it is empty, has other axes than C×H×W, or holds NaN or infinite values.
    """
    if isinstance(source, np.ndarray) and np.issubdtype(source.dtype, np.floating):
        source = torch.from_numpy(np.array(source, dtype=np.float64, order="C"))
    if not isinstance(source, Tensor):
        return None
    if not source.is_floating_point():
        raise InvalidImage(
            f"The image is a tensor of {source.dtype}; a tensor is taken as the network's input and must be floating "
            "point. Give 8-bit pixels as a NumPy array (H×W×C)."
        )
    # A copy, since the user may go on writing to the original.
    tensor = source.detach().to(torch.float32, copy=True)
    tensor = tensor[0] if tensor.ndim == 4 and tensor.shape[0] == 1 else tensor
    if tensor.ndim != 3:
        raise InvalidImage(f"The tensor has shape {tuple(source.shape)}; expected C×H×W (or 1×C×H×W).")
    if tensor.numel() == 0:
        raise InvalidImage(f"The image is empty: its shape is {tuple(source.shape)}.")
    if not bool(torch.isfinite(tensor).all()):
        raise InvalidImage("The image holds NaN or infinite values; expected finite float32 numbers.")
    return tensor


def read_pixels(source: ImageLike, *, channels: int | None = None) -> NDArray[Any]:
    """Read an image's pixels from a file, a PIL image or an integer array.

    Parameters
    ----------
    source : path, file object, PIL image, or ndarray
        An array is H×W×C (or H×W) of uint8, uint16 or bool. Files and PIL images are turned upright by their EXIF tag.
    channels : int, optional
        Channels wanted; files and PIL images are converted to it where PIL can (1, 3 or 4).

    Returns
    -------
    ndarray
        uint8 or uint16, H×W×C.

    Raises
    ------
    InvalidImage
        When it isn't an image, is empty, or has another type.
    """
    if isinstance(source, np.ndarray):
        return _check_array(source)
    with _opened(source, "image") as image:
        return _from_pil(image, channels)


def picture_of(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return an image that people can look at, from pixels or from a network's input.

    Parameters
    ----------
    values : ndarray
        H×W×C, integer (shown as it is; uint16 is scaled down) or floating point (its range is stretched to 0..255).

    Returns
    -------
    ndarray
        uint8, H×W×3: the first three channels, or the first one as grey where there are fewer.
    """
    shown = values[..., :3] if values.shape[2] >= 3 else np.repeat(values[..., :1], 3, axis=2)
    if shown.dtype == np.uint8:
        return np.array(shown, order="C")
    if shown.dtype == np.uint16:
        return (shown >> 8).astype(np.uint8)
    exact = shown.astype(np.float64)
    low, high = float(exact.min()), float(exact.max())
    scale = 255 / (high - low) if high > low else 0.0
    return np.round((exact - low) * scale).astype(np.uint8)


def read_mask(source: ImageLike, *, size: tuple[int, int]) -> NDArray[np.int32]:
    """Read a mask of class indices from a file, a PIL image or an array.

    Parameters
    ----------
    source : path, file object, PIL image or ndarray
        H×W of whole numbers. Of a palette image the indices are taken, not the colours.
    size : (int, int)
        Height and width that it must have.

    Returns
    -------
    ndarray
        int32, H×W; numbers that int32 can't hold become the nearest that it can.

    Raises
    ------
    InvalidImage
        When it can't be read, has several channels, holds fractions, or has another size.
    """
    if isinstance(source, Tensor):
        source = source.detach().cpu().numpy()
    if isinstance(source, np.ndarray):
        values = source
    else:
        with _opened(source, "mask") as image:
            values = np.asarray(image)
    if values.ndim != 2:
        raise InvalidImage(
            f"The mask has shape {values.shape}; expected height×width class indices (one channel, or a palette image)."
        )
    if values.dtype.kind not in "iub":
        raise InvalidImage(f"The mask holds {values.dtype}; expected whole numbers, the class indices.")
    if values.shape != size:
        raise InvalidImage(
            f"The mask has size {values.shape[0]}×{values.shape[1]}, but the image has {size[0]}×{size[1]} "
            "(height×width)."
        )
    limits = np.iinfo(np.int32)
    return np.clip(values.astype(np.int64), limits.min, limits.max).astype(np.int32)


def _check_array(pixels: NDArray[Any]) -> NDArray[Any]:
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if pixels.ndim != 3:
        raise InvalidImage(f"The image is an array of shape {pixels.shape}; expected H×W×C.")
    if pixels.size == 0:
        raise InvalidImage(f"The image is empty: its shape is {pixels.shape}.")
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype not in (np.uint8, np.uint16):
        raise InvalidImage(
            f"The image is an array of {pixels.dtype}; expected uint8 or uint16 (H×W×C), or floating point (C×H×W, "
            "the network's input)."
        )
    return pixels


@contextmanager
def _opened(source: object, what: str) -> Iterator[Image.Image]:
    """Open a file, or take a PIL image as it is, and say clearly what is wrong with either."""
    name = f"The file {Path(source).name!r}" if isinstance(source, (str, os.PathLike)) else f"The {what}"
    if not isinstance(source, (str, os.PathLike, IOBase, Image.Image)):
        raise InvalidImage(f"{name} is a {type(source).__name__}; expected a path, a PIL image, an array or a tensor.")
    try:
        if isinstance(source, Image.Image):
            yield source
        else:
            with Image.open(source) as image:  # type: ignore[arg-type] # an IOBase has what PIL needs of an IO[bytes]
                yield image
    except SegscopeError:
        raise
    except FileNotFoundError:
        raise InvalidImage(f"There is no file {str(source)!r}.") from None
    except IsADirectoryError:
        raise InvalidImage(f"{name} is a folder; expected an image file.") from None
    except UnidentifiedImageError:
        raise InvalidImage(f"{name} isn't an image that can be read (PNG, JPEG, WebP, TIFF, …).") from None
    except Image.DecompressionBombError:
        raise InvalidImage(f"{name} has too many pixels to be opened safely.") from None
    except Exception as error:  # decoders of damaged files raise anything
        raise InvalidImage(f"{name} can't be read as an image: {error}.") from error


def _from_pil(image: Image.Image, channels: int | None) -> NDArray[Any]:
    if min(image.size) == 0:
        raise InvalidImage(f"The image is empty: its size is {image.size[0]}×{image.size[1]}.")
    image = ImageOps.exif_transpose(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _deep(np.asarray(image), channels)
    mode = _MODES.get(3 if channels is None else channels)
    if mode is None:
        raise InvalidImage(
            f"The network takes {channels} channels, and an image file gives 1, 3 or 4; give an H×W×{channels} array."
        )
    if "transparency" in image.info:
        # A palette with transparent colours goes by way of RGBA, or PIL warns.
        image = image.convert("RGBA")
    pixels = np.asarray(image.convert(mode))
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _deep(values: NDArray[Any], channels: int | None) -> NDArray[np.uint16]:
    """Return grey values of more than eight bits as uint16, H×W×1, or thrice where a network takes three channels."""
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > np.iinfo(np.uint16).max:
        raise InvalidImage(
            f"The image holds {values.dtype} values from {values.min():g} to {values.max():g}; expected 8 or 16 bits a "
            "channel. Give it as a floating-point array (C×H×W), in the units that the network takes."
        )
    pixels = values.astype(np.uint16)[..., None]
    return np.repeat(pixels, 3, axis=2) if channels == 3 else pixels
