"""The images that a server shows: a folder of files, and what visitors upload."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import InvalidImage, InvalidInput
from ..image import read_mask
from .errors import NotFound, TooLarge
from .pictures import (
    MAX_PIXELS,
    SUFFIXES,
    Source,
    check_image,
    encode_picture,
    encode_thumbnail,
    read_header,
    read_image,
)

__all__ = ["MAX_UPLOAD_BYTES", "Gallery", "GalleryImage", "Problem"]

MAX_UPLOAD_BYTES = 32 * 2**20
"""The largest file that can be uploaded."""

_KEPT_UPLOAD_BYTES = 256 * 2**20
_MASK_SUFFIXES = (".png", ".tif", ".tiff", ".bmp")
_LONGEST_NAME = 120


@dataclass(frozen=True)
class GalleryImage:
    """One image that a visitor can choose.

    Parameters
    ----------
    id : str
        Opaque; the same whenever the same file is served.
    name : str
        The file's name, for people.
    height, width : int
        In pixels, upright.
    source : Path or bytes
        The file, or what was uploaded.
    mask : Path, optional
        The file with the true class indices.
    version : str
        Changes when the file does.
    """

    id: str
    name: str
    height: int
    width: int
    source: Source
    mask: Path | None = None
    version: str = ""

    @property
    def has_truth(self) -> bool:
        """Whether there is a true mask."""
        return self.mask is not None


@dataclass(frozen=True)
class Problem:
    """A file that can't be used, and why.

    Parameters
    ----------
    name : str
        The file's name.
    message : str
        A sentence.
    """

    name: str
    message: str


class Gallery:
    """A folder of images with their true masks, and uploads, which live in memory for as long as the server does.

    Parameters
    ----------
    images : path, optional
        Folder of PNG, JPEG, WebP, TIFF, BMP or .npy files, listed in natural order. Without it only uploads are shown.
    masks : path, optional
        Folder of masks of the same name up to the ending: palette or greyscale files whose values are class indices.
    max_pixels : int
        Images of more pixels aren't decoded.
    kept_bytes : int
        Bytes of uploads that are kept; the oldest go first.

    Raises
    ------
    InvalidInput
        When a folder isn't there, or the one of images holds none that can be read.
    """

    def __init__(
        self,
        images: str | os.PathLike[str] | None = None,
        *,
        masks: str | os.PathLike[str] | None = None,
        max_pixels: int = MAX_PIXELS,
        kept_bytes: int = _KEPT_UPLOAD_BYTES,
    ) -> None:
        self.max_pixels = max_pixels
        self.kept_bytes = kept_bytes
        self._lock = threading.Lock()
        self._files: dict[str, GalleryImage] = {}
        self._uploads: OrderedDict[str, GalleryImage] = OrderedDict()
        self._problems: list[Problem] = []
        if images is not None:
            self._scan(_folder(images), _masks_by_stem(masks))

    def images(self) -> list[GalleryImage]:
        """Return all images: uploads first, the newest at the top, then the folder's files."""
        with self._lock:
            return [*reversed(self._uploads.values()), *self._files.values()]

    def problems(self) -> list[Problem]:
        """Return the files that can't be used, and why."""
        with self._lock:
            return list(self._problems)

    def find(self, id_: str) -> GalleryImage:
        """Return an image.

        Parameters
        ----------
        id_ : str
            Its opaque name.

        Returns
        -------
        GalleryImage
            The image.

        Raises
        ------
        NotFound
            When there is none, for instance because the server was started anew since it was uploaded.
        """
        with self._lock:
            found = self._files.get(id_) or self._uploads.get(id_)
        if found is None:
            raise NotFound(f"There is no image {id_!r} on this server; an upload is kept only until the server ends.")
        return found

    def add(self, data: bytes, name: str) -> GalleryImage:
        """Take an upload, decoded once to see that all of it can be read.

        Parameters
        ----------
        data : bytes
            The file.
        name : str
            What the visitor calls it; used for display only.

        Returns
        -------
        GalleryImage
            The new image; the same as before when the same file is uploaded again.

        Raises
        ------
        InvalidImage
            When it isn't an image that can be read.
        TooLarge
            When it has too many bytes or pixels.
        """
        shown = _display_name(name)
        if len(data) > MAX_UPLOAD_BYTES:
            raise TooLarge(f"{shown!r} has {len(data)} bytes; at most {MAX_UPLOAD_BYTES} are taken.")
        if not data:
            raise InvalidImage(f"{shown!r} is empty; expected an image file.")
        height, width = check_image(data, shown, max_pixels=self.max_pixels)
        id_ = "upload-" + hashlib.blake2b(data, digest_size=10, person=b"upload").hexdigest()
        image = GalleryImage(id_, shown, height, width, data, version=id_)
        with self._lock:
            self._uploads[id_] = image
            self._uploads.move_to_end(id_)
            self._drop_oldest()
        return image

    def read(self, image: GalleryImage, *, channels: int | None = None) -> Image.Image | NDArray[Any]:
        """Return an image, decoded and upright.

        Parameters
        ----------
        image : GalleryImage
            From :meth:`find`.
        channels : int, optional
            Channels that the network takes.

        Returns
        -------
        PIL.Image.Image or ndarray
            The image, as :meth:`segscope.SegmentationModel.predict` takes it.

        Raises
        ------
        InvalidImage
            When the file is damaged or gone.
        """
        return read_image(image.source, image.name, max_pixels=self.max_pixels, channels=channels)

    def picture(self, image: GalleryImage) -> tuple[bytes, str]:
        """Return an image for display, and its media type.

        Parameters
        ----------
        image : GalleryImage
            From :meth:`find`.

        Returns
        -------
        data : bytes
            The file.
        kind : str
            ``image/png`` or ``image/jpeg``.

        Raises
        ------
        InvalidImage
            When the file is damaged or gone.
        """
        return encode_picture(image.source, image.name, max_pixels=self.max_pixels)

    def file(self, image: GalleryImage) -> bytes:
        """Return the file of an image as it came.

        Parameters
        ----------
        image : GalleryImage
            From :meth:`find`.

        Returns
        -------
        bytes
            The file.

        Raises
        ------
        InvalidImage
            When the file is gone.
        """
        if isinstance(image.source, bytes):
            return image.source
        try:
            return image.source.read_bytes()
        except OSError as error:
            raise InvalidImage(f"{image.name!r} can't be read: {error.strerror or error}.") from None

    def thumbnail(self, image: GalleryImage) -> bytes:
        """Return a small JPEG of an image.

        Parameters
        ----------
        image : GalleryImage
            From :meth:`find`.

        Returns
        -------
        bytes
            The file.

        Raises
        ------
        InvalidImage
            When the file is damaged or gone.
        """
        return encode_thumbnail(image.source, image.name, max_pixels=self.max_pixels)

    def truth(self, image: GalleryImage) -> NDArray[np.int32] | None:
        """Return the true class indices of an image.

        Parameters
        ----------
        image : GalleryImage
            From :meth:`find`. A mask that turns out to be damaged is listed as a problem, and forgotten.

        Returns
        -------
        ndarray or None
            int32, H×W; None where there is no mask that can be read.
        """
        if image.mask is None:
            return None
        try:
            mask = read_image(image.mask, image.mask.name, max_pixels=self.max_pixels)
            return read_mask(mask, size=(image.height, image.width))
        except (InvalidImage, TooLarge) as error:
            with self._lock:
                self._files[image.id] = replace(image, mask=None)
                self._problems.append(Problem(_readable(image.mask.name), str(error)))
            return None

    def _scan(self, folder: Path, masks: dict[str, Path]) -> None:
        files = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()]
        if not files:
            raise InvalidInput(
                f"The folder {str(folder)!r} holds no image; expected files that end with {', '.join(SUFFIXES)}."
            )
        for path in sorted(files, key=lambda path: _natural(path.name)):
            name = _readable(path.name)
            try:
                size = read_header(path, name, max_pixels=self.max_pixels)
            except (InvalidImage, TooLarge) as error:
                self._problems.append(Problem(name, str(error)))
                continue
            mask = self._usable_mask(masks.get(path.stem), size)
            image = GalleryImage(_id_of(path.name), name, *size, path, mask, str(path.stat().st_mtime_ns))
            self._files[image.id] = image
        if not self._files:
            raise InvalidInput(
                f"None of the {len(files)} images in the folder {str(folder)!r} can be used. "
                f"The first: {self._problems[0].message}"
            )

    def _usable_mask(self, path: Path | None, size: tuple[int, int]) -> Path | None:
        if path is None:
            return None
        name = _readable(path.name)
        try:
            height, width = read_header(path, name, max_pixels=self.max_pixels)
        except (InvalidImage, TooLarge) as error:
            self._problems.append(Problem(name, str(error)))
            return None
        if (height, width) != size:
            message = (
                f"The mask {name!r} has size {height}×{width}, but its image has {size[0]}×{size[1]} (height×width)."
            )
            self._problems.append(Problem(name, message))
            return None
        return path

    def _drop_oldest(self) -> None:
        total = sum(len(image.source) for image in self._uploads.values() if isinstance(image.source, bytes))
        while total > self.kept_bytes and len(self._uploads) > 1:
            _, dropped = self._uploads.popitem(last=False)
            total -= len(dropped.source) if isinstance(dropped.source, bytes) else 0


def _folder(path: str | os.PathLike[str]) -> Path:
    folder = Path(path)
    if not folder.is_dir():
        raise InvalidInput(f"{str(folder)!r} {'is a file' if folder.exists() else 'is not there'}; expected a folder.")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise InvalidInput(f"The folder {str(folder)!r} can't be read; its permissions don't allow it.")
    return folder


def _masks_by_stem(masks: str | os.PathLike[str] | None) -> dict[str, Path]:
    if masks is None:
        return {}
    files: Iterable[Path] = (path for path in _folder(masks).iterdir() if path.is_file())
    usable = [path for path in files if path.suffix.lower() in _MASK_SUFFIXES]
    # Where one stem has several files, the first ending of the list wins.
    usable.sort(key=lambda path: _MASK_SUFFIXES.index(path.suffix.lower()), reverse=True)
    return {path.stem: path for path in usable}


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Return a sorting key under which ``img2`` comes before ``img10``."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part] + [(2, 0, name)]


def _id_of(name: str) -> str:
    return hashlib.blake2b(os.fsencode(name), digest_size=10, person=b"file").hexdigest()


def _readable(name: str) -> str:
    """Return a file's name as text that can be sent; bytes that aren't UTF-8 become question marks."""
    return os.fsencode(name).decode("utf-8", "replace")


def _display_name(name: str) -> str:
    last = re.split(r"[/\\]", name)[-1]
    shown = "".join(character for character in last if character.isprintable()).strip()[:_LONGEST_NAME]
    return shown.encode("utf-8", "replace").decode() or "upload"
