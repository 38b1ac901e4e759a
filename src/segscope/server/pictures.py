"""Image files that may be hostile: read within limits, shown in formats that browsers know."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import InvalidImage
from ..image import picture_of, read_pixels, read_tensor
from ..stacks import Stack, opened_stack
from .errors import TooLarge

__all__ = [
    "MAX_PIXELS",
    "SUFFIXES",
    "Source",
    "check_image",
    "corner",
    "encode_picture",
    "encode_shown",
    "encode_small",
    "encode_thumbnail",
    "read_header",
    "read_image",
]

Source: TypeAlias = "Path | bytes"

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".npy")
"""Endings of the files that count as images."""

MAX_PIXELS = 50_000_000
"""An image of more pixels isn't decoded."""

# Of files of many bands, for each pixel that an image may have.
_MAX_BYTES_EACH = 8

# Pillow's readers of anything else, some of which start other programs, are never reached.
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")
_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)
_THUMBNAIL = 192


@contextmanager
def _opened(source: Source, name: str, *, max_pixels: int) -> Iterator[Image.Image]:
    """Open an image file, check the size that its header announces, and say in one way what is wrong with it."""
    file: str | BytesIO = os.fspath(source) if isinstance(source, Path) else BytesIO(source)
    try:
        with Image.open(file, formats=_FORMATS) as image:
            _check_size(*image.size, name, max_pixels)
            yield image
    except (TooLarge, InvalidImage):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise TooLarge(f"{name!r} has too many pixels; at most {max_pixels / 1e6:g} million are taken.") from None
    except FileNotFoundError:
        raise InvalidImage(f"{name!r} is no longer there.") from None
    except UnidentifiedImageError:
        raise InvalidImage(
            f"{name!r} isn't an image that can be read; expected PNG, JPEG, WebP, TIFF, BMP or .npy."
        ) from None
    except Exception as error:  # noqa: BLE001  # on a damaged file Pillow's decoders raise almost anything
        raise InvalidImage(f"{name!r} is damaged: {str(error) or type(error).__name__}.") from None


@contextmanager
def _opened_stack(source: Source, name: str, *, max_pixels: int, channels: int | None = None) -> Iterator[Stack | None]:
    """Open a file of bands, and check the size that its header announces; None where it is another one."""
    file = source if isinstance(source, Path) else BytesIO(source)
    with opened_stack(file, channels=channels, name=repr(name)) as stack:
        if stack is not None:
            _check_size(stack.width, stack.height, name, max_pixels)
            most = _MAX_BYTES_EACH * max_pixels
            if stack.nbytes > most:
                raise TooLarge(
                    f"{name!r} holds {stack.nbytes / 1e6:.0f} million bytes; at most {most / 1e6:g} are taken."
                )
        yield stack


def read_header(source: Source, name: str, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Return an image's size from its header alone.

    Parameters
    ----------
    source : Path or bytes
        The file.
    name : str
        What messages call it.
    max_pixels : int
        More than that are refused.

    Returns
    -------
    (int, int)
        Height and width, once it is turned upright by its EXIF tag.

    Raises
    ------
    InvalidImage
        When it isn't an image that can be read.
    TooLarge
        When it has too many pixels.
    """
    with _opened_stack(source, name, max_pixels=max_pixels) as stack:
        if stack is not None:
            return stack.height, stack.width
    with _opened(source, name, max_pixels=max_pixels) as image:
        sideways = _orientation(image) in _SIDEWAYS
        return (image.width, image.height) if sideways else (image.height, image.width)


def read_image(
    source: Source, name: str, *, max_pixels: int = MAX_PIXELS, channels: int | None = None
) -> Image.Image | NDArray[Any]:
    """Return an image, decoded and upright.

    Parameters
    ----------
    source, name, max_pixels
        As for :func:`read_header`.
    channels : int, optional
        Channels that the network takes, as for :func:`segscope.stacks.opened_stack`.

    Returns
    -------
    PIL.Image.Image or ndarray
        The first picture of the file; of a file of bands, pixels H×W×C or floating-point numbers C×H×W.

    Raises
    ------
    InvalidImage
        When it isn't an image that can be read.
    TooLarge
        When it has too many pixels.
    """
    with _opened_stack(source, name, max_pixels=max_pixels, channels=channels) as stack:
        if stack is not None:
            values = stack.read()
            tensor = read_tensor(values)
            return read_pixels(values) if tensor is None else tensor.numpy()
    with _opened(source, name, max_pixels=max_pixels) as image:
        image.load()
        return ImageOps.exif_transpose(image)


def check_image(source: Source, name: str, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Decode an image to see that all of it can be read, and return its height and width.

    Parameters
    ----------
    source, name, max_pixels
        As for :func:`read_header`.

    Returns
    -------
    (int, int)
        Height and width.

    Raises
    ------
    InvalidImage
        When it isn't an image that can be read.
    TooLarge
        When it has too many pixels.
    """
    picture = _shown(read_image(source, name, max_pixels=max_pixels))
    return picture.shape[0], picture.shape[1]


def encode_picture(source: Source, name: str, *, max_pixels: int = MAX_PIXELS) -> tuple[bytes, str]:
    """Return an image for display, and its media type.

    A file that every browser shows as segscope reads it goes as it is; others are written anew.

    Parameters
    ----------
    source, name, max_pixels
        As for :func:`read_header`.

    Returns
    -------
    data : bytes
        The file.
    kind : str
        ``image/png`` or ``image/jpeg``.

    Raises
    ------
    InvalidImage
        When it isn't an image that can be read.
    TooLarge
        When it has too many pixels.
    """
    with _opened_stack(source, name, max_pixels=max_pixels) as stack:
        if stack is not None:
            return encode_shown(_shown(read_image(source, name, max_pixels=max_pixels)))
    with _opened(source, name, max_pixels=max_pixels) as image:
        # Pillow calls a JPEG with further pictures behind the first, as telephones write them, MPO.
        photograph = image.format in ("JPEG", "MPO")
        plain = image.mode in ("RGB", "L") and _orientation(image) == 1 and "transparency" not in image.info
        still = image.format == "PNG" and not getattr(image, "is_animated", False)
    kind = "JPEG" if photograph else "PNG"
    if plain and (photograph or still):
        return _bytes_of(source), Image.MIME[kind]
    picture = Image.fromarray(_shown(read_image(source, name, max_pixels=max_pixels)))
    options = {"quality": 92} if photograph else {"compress_level": 1}
    return _encoded(picture, kind, **options), Image.MIME[kind]


def encode_thumbnail(source: Source, name: str, *, max_pixels: int = MAX_PIXELS) -> bytes:
    """Return a JPEG of at most 192×192 pixels.

    Parameters
    ----------
    source, name, max_pixels
        As for :func:`read_header`.

    Returns
    -------
    bytes
        The file.

    Raises
    ------
    InvalidImage
        When it isn't an image that can be read.
    TooLarge
        When it has too many pixels.
    """
    with _opened_stack(source, name, max_pixels=max_pixels) as stack:
        if stack is not None:
            return encode_small(_shown(read_image(source, name, max_pixels=max_pixels)))
    with _opened(source, name, max_pixels=max_pixels) as image:
        # A JPEG is decoded at a fraction of its size where that is enough.
        image.draft("RGB", (2 * _THUMBNAIL, 2 * _THUMBNAIL))
        image.load()
        upright = ImageOps.exif_transpose(image)
    return encode_small(_shown(upright))


def encode_shown(pixels: NDArray[np.uint8]) -> tuple[bytes, str]:
    """Return pixels as a file for display, and its media type.

    Parameters
    ----------
    pixels : ndarray
        uint8, H×W×3.

    Returns
    -------
    data : bytes
        The file.
    kind : str
        ``image/png``.
    """
    return _encoded(Image.fromarray(pixels), "PNG", compress_level=1), Image.MIME["PNG"]


def encode_small(pixels: NDArray[np.uint8]) -> bytes:
    """Return pixels as a JPEG of at most 192×192 pixels.

    Parameters
    ----------
    pixels : ndarray
        uint8, H×W×3.

    Returns
    -------
    bytes
        The file.
    """
    small = Image.fromarray(pixels)
    small.thumbnail((_THUMBNAIL, _THUMBNAIL))
    return _encoded(small, "JPEG", quality=82)


def corner(image: Image.Image | NDArray[Any], size: tuple[int, int]) -> Image.Image | NDArray[Any]:
    """Return the top left part of an image.

    Parameters
    ----------
    image : PIL.Image.Image or ndarray
        As :func:`read_image` gives it.
    size : (int, int)
        Height and width in pixels.

    Returns
    -------
    PIL.Image.Image or ndarray
        Of the same kind.
    """
    height, width = size
    if isinstance(image, Image.Image):
        return image.crop((0, 0, width, height))
    return image[..., :height, :width] if image.dtype.kind == "f" else image[:height, :width]


def _check_size(width: int, height: int, name: str, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise TooLarge(
            f"{name!r} has {width}×{height} pixels; at most {max_pixels / 1e6:g} million are taken. Make it smaller."
        )


def _orientation(image: Image.Image) -> int:
    # For a PNG without the tag, getexif would decode the whole picture to look for it behind the pixels.
    if image.format == "PNG" and "exif" not in image.info:
        return 1
    value = image.getexif().get(_ORIENTATION, 1)
    return value if value in range(1, 9) else 1


def _shown(image: Image.Image | NDArray[Any]) -> NDArray[np.uint8]:
    """Return what a person sees of an image, as segscope reads it."""
    if isinstance(image, Image.Image):
        return picture_of(read_pixels(image, channels=3))
    return picture_of(np.moveaxis(image, 0, 2) if image.dtype.kind == "f" else image)


def _bytes_of(source: Source) -> bytes:
    return source.read_bytes() if isinstance(source, Path) else source


def _encoded(image: Image.Image, kind: str, **options: int) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
