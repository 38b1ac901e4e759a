"""Image files of any number of bands: NumPy's ``.npy``, and TIFF files that hold more than a photograph."""

from __future__ import annotations

import logging
import math
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from io import IOBase
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray
from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC, TIFF, TiffFile, TiffPage

from .errors import InvalidImage

__all__ = ["Stack", "opened_stack", "read_stack"]

_NPY = b"\x93NUMPY"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_LONGEST_HEADER = 10_000
_MOST_PAGES = 12_000
_LARGEST_TILE = 2**24
_DEFLATE = (COMPRESSION.DEFLATE, COMPRESSION.ADOBE_DEFLATE)
# What a small file holds in another way may unpack to any size.
_BOUNDED = (COMPRESSION.NONE, COMPRESSION.LZW, *_DEFLATE)


# What is wrong with a file is told once, by an error.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


class _UnreadableError(Exception):
    """What is wrong with a file, without its name."""


@dataclass(frozen=True)
class Stack:
    """An open file of bands, of which the header was read.

    Parameters
    ----------
    name : str
        What messages call it.
    height, width, bands : int
        Its size.
    nbytes : int
        Bytes of its array.
    """

    name: str
    height: int
    width: int
    bands: int
    nbytes: int
    _read: Callable[[], NDArray[Any]]

    def read(self) -> NDArray[Any]:
        """Return the array, in the form that :meth:`segscope.SegmentationModel.predict` takes.

        Returns
        -------
        ndarray
            Integers H×W×C, or floating point C×H×W.

        Raises
        ------
        InvalidImage
            When the file is damaged.
        """
        with _explained(self.name):
            return self._read()


def read_stack(source: object, *, channels: int | None = None) -> NDArray[Any] | None:
    """Return the array in a file of bands.

    Parameters
    ----------
    source, channels
        As for :func:`opened_stack`.

    Returns
    -------
    ndarray or None
        As :meth:`Stack.read` gives it; None where it isn't such a file.

    Raises
    ------
    InvalidImage
        When the file is damaged, or compressed in a way that can't be read.
    """
    with opened_stack(source, channels=channels) as stack:
        return None if stack is None else stack.read()


@contextmanager
def opened_stack(source: object, *, channels: int | None = None, name: str | None = None) -> Iterator[Stack | None]:
    """Open a file of bands: a ``.npy`` file, or a TIFF file that Pillow can't read, or not without loss.

    The bands of a TIFF file are its samples, together or apart; or its pages, where each holds one.

    Parameters
    ----------
    source : object
        A path or a binary file object; anything else is no such file.
    channels : int, optional
        Channels that the network takes, where that is known: for one or three, Pillow's reading of a TIFF file with
        further bands or pages is the one that is meant.
    name : str, optional
        What messages call it.

    Yields
    ------
    Stack or None
        None where it isn't a file of bands, or isn't there.

    Raises
    ------
    InvalidImage
        When the file is damaged, or compressed in a way that can't be read.
    """
    with _opened(source) as file:
        if file is None:
            yield None
            return
        name = name or (f"The file {Path(source).name!r}" if isinstance(source, (str, os.PathLike)) else "The image")
        start, magic = file.tell(), file.read(8)
        file.seek(start)
        if magic.startswith(_NPY):
            with _explained(name):
                stack = _npy(file, name)
            yield stack
        elif magic.startswith(_TIFF):
            with _explained(name):
                tiff = TiffFile(file)
                found = _tiff(tiff, name, channels)
            yield found
        else:
            yield None
        # Whoever opens it next finds it as it was.
        file.seek(start)


@contextmanager
def _opened(source: object) -> Iterator[BinaryIO | None]:
    if not isinstance(source, (str, os.PathLike)):
        yield cast("BinaryIO", source) if isinstance(source, IOBase) and source.seekable() else None
        return
    with ExitStack() as closing:
        file = None
        with suppress(OSError, ValueError):
            file = closing.enter_context(Path(source).open("rb"))
        yield file


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Say in one way what is wrong with a file."""
    try:
        yield
    except _UnreadableError as error:
        raise InvalidImage(f"{name} {error}") from None
    except Exception as error:  # readers of damaged files raise anything
        raise InvalidImage(f"{name} is damaged: {str(error) or type(error).__name__}.") from error


def _npy(file: BinaryIO, name: str) -> Stack:
    start = file.tell()
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(file, max_header_size=_LONGEST_HEADER)
    nbytes, begin = math.prod(shape) * dtype.itemsize, file.tell()
    there = file.seek(0, os.SEEK_END) - begin
    floating = dtype.kind == "f"
    if dtype.kind not in "uibf" or len(shape) not in ((3,) if floating else (2, 3)) or min(shape) < 1:
        raise _UnreadableError(
            f"holds {dtype} of shape {shape}; expected uint8 or uint16 of shape H×W×C, or floating point C×H×W."
        )
    if nbytes > there:
        raise _UnreadableError(f"is damaged: its header announces {nbytes} bytes, and there are {there}.")
    bands, height, width = shape if floating else (*shape[2:], *shape[:2]) if len(shape) == 3 else (1, *shape)

    def read() -> NDArray[Any]:
        file.seek(start)
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False, max_header_size=_LONGEST_HEADER))

    return Stack(name, height, width, bands, nbytes, read)


def _tiff(tiff: TiffFile, name: str, channels: int | None) -> Stack | None:
    pages = _pages(tiff)
    first = pages[0]
    if not _is_stack(first, len(pages), channels):
        return None
    dtype = first.dtype
    if dtype is None or len(first.shape) not in (2, 3) or min(first.shape) < 1:
        raise _UnreadableError(f"holds an array of shape {first.shape}; expected rows, columns and bands.")
    if not _can_unpack(first):
        raise _UnreadableError(
            f"holds bands that are compressed by {getattr(first.compression, 'name', first.compression)}, which can't "
            "be read; write them with deflate or without compression, or pip install imagecodecs for LZW."
        )
    several = len(pages) > 1
    height, width, bands = first.imagelength, first.imagewidth, len(pages) if several else first.samplesperpixel
    # What tifffile makes of an array H×W×C: a page for each row.
    rows = len(pages) > width
    if rows:
        height, width, bands = bands, height, width

    def read() -> NDArray[Any]:
        values = np.stack([_unpacked(page) for page in pages]) if several else _unpacked(first)
        values = values[..., None] if values.ndim == 2 else values
        if not rows and (several or first.axes.startswith("S")):
            values = np.moveaxis(values, 0, 2)
        return np.ascontiguousarray(np.moveaxis(values, 2, 0) if dtype.kind == "f" else values)

    return Stack(name, height, width, bands, height * width * bands * dtype.itemsize, read)


def _pages(tiff: TiffFile) -> list[TiffPage]:
    """Return the pages that are bands, or the first one alone where it is an image."""
    first = tiff.pages.first
    if not _is_band(first):
        return [first]
    found: list[TiffPage] = []
    for page in tiff.pages:
        # Smaller copies of an image may follow it.
        if not isinstance(page, TiffPage) or page.hash != first.hash or not _is_band(page):
            break
        found.append(page)
        if len(found) > _MOST_PAGES:
            raise _UnreadableError(f"has more than {_MOST_PAGES} pages, which is the most that is read.")
    return found


def _is_band(page: TiffPage) -> bool:
    whole = page.dtype is not None and page.bitspersample in (8, 16, 32, 64)
    return whole and page.samplesperpixel == 1 and page.photometric == PHOTOMETRIC.MINISBLACK


def _is_stack(page: TiffPage, pages: int, channels: int | None) -> bool:
    """Tell whether Pillow would lose something of a file, or can't read it."""
    if page.dtype is None:
        return False
    deep, photograph = page.dtype.itemsize > 1, channels in (1, 3)
    if page.samplesperpixel == 1:
        return page.dtype.kind == "f" or (pages > 1 and (pages == channels or not photograph))
    alpha = all(kind in (EXTRASAMPLE.ASSOCALPHA, EXTRASAMPLE.UNASSALPHA) for kind in page.extrasamples)
    if page.photometric == PHOTOMETRIC.RGB:
        return (deep and _can_unpack(page)) or not (alpha or photograph)
    return page.photometric == PHOTOMETRIC.MINISBLACK and (deep or not alpha or page.samplesperpixel > 2)


def _can_unpack(page: TiffPage) -> bool:
    try:
        return page.compression in _BOUNDED and TIFF.DECOMPRESSORS[page.compression] is not None
    except KeyError:
        return False


def _unpacked(page: TiffPage) -> NDArray[Any]:
    """Return a page's array, once it is known that no part of it unpacks to more than it may."""
    limit = math.prod(page.chunks) * np.dtype(page.dtype).itemsize
    if limit > max(page.nbytes, _LARGEST_TILE):
        raise _UnreadableError(f"is damaged: its tiles have {limit} bytes, more than the image.")
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        if page.compression in _DEFLATE:
            page.parent.filehandle.seek(offset)
            packed = page.parent.filehandle.read(count)
            if len(zlib.decompressobj().decompress(packed, limit + 1)) > limit:
                raise _UnreadableError("is damaged: a part of it unpacks to more than it may.")
    return np.asarray(page.asarray(maxworkers=1))
