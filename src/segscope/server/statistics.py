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

from ..errors import SegscopeError
from ..files import cache_folder
from ..model import SegmentationModel
from .findings import Finding, Findings, News
from .gallery import Gallery, GalleryImage
from .store import Row, Store, open_store
from .summary import Summary
from .work import Work

__all__ = ["Keys", "Overview", "Statistics", "fingerprint"]

_SECONDS_TO_END = 5


@dataclass(frozen=True)
class Overview:
    """How far the work is, and what it found.

    Parameters
    ----------
    total, done, failed : int
        Images that there are, that have numbers, and that can't get any.
    running, paused : bool
        Whether images are being worked on or looked at for changes, and whether a visitor has stopped that.
    news : News
        What the visitor doesn't know yet.
    """

    total: int
    done: int
    failed: int
    running: bool
    paused: bool
    news: News


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
        self._findings = Findings()
        self._lock = threading.Lock()
        self._closed = False
        self._paused = False
        # Ends the present pass over the images.
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def overview(self, since: str = "", *, again: bool = False) -> Overview:
        """Return what is known by now, and see to it that the rest follows.

        Parameters
        ----------
        since : str
            The mark of earlier news, which aren't told again.
        again : bool
            Look whether files have changed; without earlier news that is done in any case.

        Returns
        -------
        Overview
            Its numbers grow from call to call until ``done + failed`` is ``total``.
        """
        images = [image.id for image in self._gallery.images()]
        known = self._findings.known(images)
        if again or not since or len(known) < len(images):
            self._begin()
        # Asked before the findings are read: when it has ended, they are complete.
        running = self._running()
        news = self._findings.since(since, images)
        known = self._findings.known(images)
        done = sum(finding.row is not None for finding in known)
        return Overview(len(images), done, len(known) - done, running, self._paused, news)

    def pause(self) -> None:
        """Stop the work after the present image, until it is resumed."""
        with self._lock:
            self._paused = True
            self._stop.set()

    def resume(self) -> None:
        """Go on where the work was stopped."""
        with self._lock:
            self._paused = False
        self._begin()

    def close(self) -> None:
        """Stop the work; what is done is kept."""
        self._closed = True
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_SECONDS_TO_END)

    def _running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _begin(self) -> None:
        with self._lock:
            # One that is being stopped ends first; who asks the next time begins another.
            if self._closed or self._paused or self._running():
                return
            self._stop = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(self._stop,), name="segscope statistics", daemon=True
            )
            self._thread.start()

    def _run(self, stop: threading.Event) -> None:
        model = fingerprint(self._model)
        with open_store(cache_folder(), model) as store:
            images = self._gallery.images()
            keys = Keys()
            versions = {image.id: f"{model} {_version(image)}" for image in images}
            self._recall(images, keys, versions, store)
            for image in images:
                if stop.is_set():
                    return
                if self._findings.version(image.id) != versions[image.id]:
                    self._work_out(image, versions[image.id], keys, store, stop)

    def _recall(self, images: list[GalleryImage], keys: Keys, versions: dict[str, str], store: Store | None) -> None:
        """Take what was found in an earlier run and still holds."""
        kept = store.load() if store else {}
        for image in images:
            version, row = kept.get(keys.of(image), ("", None))
            current = version == versions[image.id] and self._findings.version(image.id) != version
            if row is not None and current:
                self._findings.note(image.id, Finding(version, row))

    def _work_out(
        self, image: GalleryImage, version: str, keys: Keys, store: Store | None, stop: threading.Event
    ) -> None:
        try:
            summary = self._work.in_background(lambda: self._measure(image), stop)
        except CancelledError:
            return
        except SegscopeError as error:
            self._findings.note(image.id, Finding(version, None, str(error)))
            return
        except Exception as error:  # noqa: BLE001  # whatever a network does with one image, the others get their numbers
            self._findings.note(image.id, Finding(version, None, f"The network failed: {type(error).__name__}."))
            return
        row = _row(summary)
        self._findings.note(image.id, Finding(version, row))
        if store and isinstance(image.source, Path):
            store.save(keys.of(image), version, row)


class Keys:
    """What stands for each image's place in the store, whatever characters that is made of."""

    def __init__(self) -> None:
        self._folders: dict[Path, bytes] = {}

    def of(self, image: GalleryImage) -> str:
        """Return the key of an image."""
        if not isinstance(image.source, Path):
            return image.id
        folder = image.source.parent
        # Resolving takes longer than all else, and most images are in one folder.
        if folder not in self._folders:
            self._folders[folder] = os.fsencode(folder.resolve())
        place = self._folders[folder] + b"/" + os.fsencode(image.source.name)
        return hashlib.blake2b(place, digest_size=16).hexdigest()


def fingerprint(model: SegmentationModel) -> str:
    """Return what changes with a model's weights, its preprocessing or its windows.

    Parameters
    ----------
    model : SegmentationModel
        The model.

    Returns
    -------
    str
        Hexadecimal.
    """
    digest = hashlib.blake2b(f"{model.preprocess!r} {model.windows!r}".encode(), digest_size=16)
    network = model.network
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _row(summary: Summary) -> Row:
    classes = summary.classes
    truth = [result.true_share for result in classes if result.true_share is not None]
    iou = [result.iou for result in classes] if truth else None
    return Row(summary.confidence, [result.share for result in classes], iou, truth or None)


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
