"""Image files that may be hostile: read within limits, shown in formats that browsers know."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import InvalidImage
from ..image import picture_of, read_pixels
from .errors import TooLarge

__all__ = [
    "MAX_PIXELS",
    "SUFFIXES",
    "Source",
    "check_image",
    "encode_picture",
    "encode_thumbnail",
    "read_header",
    "read_image",
]

Source: TypeAlias = "Path | bytes"

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
"""Endings of the files that count as images."""

MAX_PIXELS = 50_000_000
"""An image of more pixels isn't decoded."""

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
            _check_size(image, name, max_pixels)
            yield image
    except (TooLarge, InvalidImage):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise TooLarge(f"{name!r} has too many pixels; at most {max_pixels / 1e6:g} million are taken.") from None
    except FileNotFoundError:
        raise InvalidImage(f"{name!r} is no longer there.") from None
    except UnidentifiedImageError:
        raise InvalidImage(
            f"{name!r} isn't an image that can be read; expected PNG, JPEG, WebP, TIFF or BMP."
        ) from None
    except Exception as error:  # noqa: BLE001  # on a damaged file Pillow's decoders raise almost anything
        raise InvalidImage(f"{name!r} is damaged: {str(error) or type(error).__name__}.") from None


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
    with _opened(source, name, max_pixels=max_pixels) as image:
        sideways = _orientation(image) in _SIDEWAYS
        return (image.width, image.height) if sideways else (image.height, image.width)


def read_image(source: Source, name: str, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Return an image, decoded and upright.

    Parameters
    ----------
    source, name, max_pixels
        As for :func:`read_header`.

    Returns
    -------
    PIL.Image.Image
        The first picture of the file.

    Raises
    ------
    InvalidImage
        When it isn't an image that can be read.
    TooLarge
        When it has too many pixels.
    """
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
    image = read_image(source, name, max_pixels=max_pixels)
    return image.height, image.width


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
    with _opened(source, name, max_pixels=max_pixels) as image:
        # Pillow calls a JPEG with further pictures behind the first, as telephones write them, MPO.
        photograph = image.format in ("JPEG", "MPO")
        plain = image.mode in ("RGB", "L") and _orientation(image) == 1 and "transparency" not in image.info
        still = image.format == "PNG" and not getattr(image, "is_animated", False)
    kind = "JPEG" if photograph else "PNG"
    if plain and (photograph or still):
        return _bytes_of(source), Image.MIME[kind]
    picture = _shown(read_image(source, name, max_pixels=max_pixels))
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
    with _opened(source, name, max_pixels=max_pixels) as image:
        # A JPEG is decoded at a fraction of its size where that is enough.
        image.draft("RGB", (2 * _THUMBNAIL, 2 * _THUMBNAIL))
        image.load()
        upright = ImageOps.exif_transpose(image)
    small = _shown(upright)
    small.thumbnail((_THUMBNAIL, _THUMBNAIL))
    return _encoded(small, "JPEG", quality=82)


def _check_size(image: Image.Image, name: str, max_pixels: int) -> None:
    width, height = image.size
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


def _shown(image: Image.Image) -> Image.Image:
    """Return what a person sees of an image, as segscope reads it."""
    return Image.fromarray(picture_of(np.asarray(read_pixels(image, channels=3))))


def _bytes_of(source: Source) -> bytes:
    return source.read_bytes() if isinstance(source, Path) else source


def _encoded(image: Image.Image, kind: str, **options: int) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
