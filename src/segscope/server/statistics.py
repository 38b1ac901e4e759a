"""The numbers of all images, worked out while nobody asks for anything else."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path

import torch

from ..files import cache_folder
from ..model import SegmentationModel
from .gallery import Gallery, GalleryImage
from .store import Row, Store, open_store
from .summary import Summary
from .work import Work

__all__ = ["Overview", "Statistics", "fingerprint"]

_SECONDS_TO_END = 5


@dataclass(frozen=True)
class Overview:
    """How far the work is, and what it found.

    Parameters
    ----------
    total, done, failed : int
        Images that there are, that have numbers, and that can't get any.
    rows : list of (str, Row)
        For each image that is done its id and numbers, in the gallery's order.
    """

    total: int
    done: int
    failed: int
    rows: list[tuple[str, Row]]


class Statistics:
    """Predicts every image of a gallery in the background, and keeps the numbers in the user's cache folder.

    The work begins when the numbers are asked for, goes on image by image while no visitor waits for the network, and
    begins again where it was stopped. An image is predicted anew when its file, its mask's file or the network's
    weights have changed. Uploads get numbers as well, but live no longer than the server.

    Parameters
    ----------
    model : SegmentationModel
        The network.
    gallery : Gallery
        The images.
    work : Work
        Where the network runs.
    measure : callable
        Gives the numbers of an image; called where the network runs.
    """

    def __init__(
        self, model: SegmentationModel, gallery: Gallery, work: Work, measure: Callable[[GalleryImage], Summary]
    ) -> None:
        self._model = model
        self._gallery = gallery
        self._work = work
        self._measure = measure
        self._lock = threading.Lock()
        self._found: dict[str, tuple[str, Row | None]] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def overview(self) -> Overview:
        """Return what is known by now, and see to it that the rest follows.

        Returns
        -------
        Overview
            Its numbers grow from call to call until ``done + failed`` is ``total``.
        """
        with self._lock:
            if not self._stop.is_set() and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._run, name="segscope statistics", daemon=True)
                self._thread.start()
            known = {image: row for image, (_, row) in self._found.items()}
        images = self._gallery.images()
        rows = [(image.id, row) for image in images if (row := known.get(image.id)) is not None]
        failed = sum(image.id in known for image in images) - len(rows)
        return Overview(len(images), len(rows), failed, rows)

    def close(self) -> None:
        """Stop the work; what is done is kept."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_SECONDS_TO_END)

    def _run(self) -> None:
        model = fingerprint(self._model)
        with open_store(cache_folder(), model) as store:
            kept = store.load() if store else {}
            versions = {image.id: f"{model} {_version(image)}" for image in self._gallery.images()}
            for image in self._gallery.images():
                version, row = kept.get(_key(image), ("", None))
                if row is not None and version == versions.get(image.id):
                    self._note(image, version, row)
            for image in self._gallery.images():
                if self._stop.is_set():
                    return
                version = versions.get(image.id, "")
                if self._found.get(image.id, ("", None))[0] != version:
                    self._work_out(image, version, store)

    def _work_out(self, image: GalleryImage, version: str, store: Store | None) -> None:
        try:
            summary = self._work.in_background(lambda: self._measure(image), self._stop)
        except CancelledError:
            return
        except Exception:  # noqa: BLE001  # whatever a network does with one image, the others get their numbers
            self._note(image, version, None)
            return
        row = _row(summary, has_truth=image.has_truth)
        self._note(image, version, row)
        if store and isinstance(image.source, Path):
            store.save(_key(image), version, row)

    def _note(self, image: GalleryImage, version: str, row: Row | None) -> None:
        with self._lock:
            self._found[image.id] = (version, row)


def fingerprint(model: SegmentationModel) -> str:
    """Return what changes with a model's weights or its preprocessing.

    Parameters
    ----------
    model : SegmentationModel
        The model.

    Returns
    -------
    str
        Hexadecimal.
    """
    digest = hashlib.blake2b(repr(model.preprocess).encode(), digest_size=16)
    network = model.network
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _row(summary: Summary, *, has_truth: bool) -> Row:
    iou = [result.iou for result in summary.classes] if has_truth else None
    return Row(summary.confidence, [result.share for result in summary.classes], iou)


def _key(image: GalleryImage) -> str:
    """Return what stands for an image's place, whatever characters it is made of."""
    if not isinstance(image.source, Path):
        return image.id
    return hashlib.blake2b(os.fsencode(image.source.resolve()), digest_size=16).hexdigest()


def _version(image: GalleryImage) -> str:
    """Return what changes with the image's file or its mask's."""
    if not isinstance(image.source, Path):
        return image.version
    return " ".join(_stamp(path) for path in (image.source, image.mask) if path is not None)


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return "gone"
    return f"{status.st_size}-{status.st_mtime_ns}"
