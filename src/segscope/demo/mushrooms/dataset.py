"""Folders of rendered mushrooms with their masks, written on all cores and resumed where they stopped."""

from __future__ import annotations

import json
import multiprocessing
import operator
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np
from PIL import Image

from segscope.errors import InvalidInput

from .checks import check_seed, check_size, check_whole
from .classes import CLASSES, COLORS
from .render import render

__all__ = ["available_cores", "image_seed", "write_dataset"]

# Folder, index of the image, seed of the dataset, size.
_Task = tuple[Path, int, int, int]


def image_seed(seed: int, index: int) -> int:
    """Return the seed of image `index` of the dataset with seed `seed`: the same whatever the dataset's count."""
    return int(np.random.SeedSequence((seed, index)).generate_state(1, np.uint64)[0])


def write_dataset(
    directory: str | os.PathLike[str],
    *,
    count: int = 100,
    seed: int = 0,
    size: int = 256,
    workers: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Path:
    """Render images and masks into a folder.

    Writes `images/000000.png` (RGB), `masks/000000.png` (palette; the value is the class index), `classes.json`, and
    `rendered.json` with seed and size. Pairs that are already there are kept, so that an interrupted run goes on where
    it stopped.

    Parameters
    ----------
    directory : path
        Folder to write into; made where it doesn't exist.
    count : int
        Number of images, at least 1.
    seed : int
        Seed of the dataset, at least 0; image i depends on the seed and on i alone.
    size : int
        Height and width in pixels, 32..2048.
    workers : int, optional
        Number of processes; as many as the process may use cores by default.
    progress : callable, optional
        Called with (images there, count) at the start and after each image.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    InvalidInput
        When count, seed, size or workers is out of range, or the folder holds renderings of another seed or size.

    Notes
    -----
    With more than one worker, processes are spawned: a script calls this under ``if __name__ == "__main__":``.
    """
    _check(count, seed, size, workers)
    root = Path(directory)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    _claim(root, seed, size)
    _write_json(root / "classes.json", {"classes": _describe_classes()})
    missing = [index for index in range(count) if not _complete(root, index)]
    there = count - len(missing)
    if progress is not None:
        progress(there, count)

    def advance() -> None:
        nonlocal there
        there += 1
        if progress is not None:
            progress(there, count)

    _run([(root, index, seed, size) for index in missing], workers or available_cores(), advance)
    return root


def available_cores() -> int:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _check(count: int, seed: int, size: int, workers: int | None) -> None:
    check_whole("count", count, low=1, high=1_000_000)
    check_seed(seed)
    check_size(size)
    if workers is not None:
        check_whole("workers", workers, low=1, high=1024)


def _claim(root: Path, seed: int, size: int) -> None:
    """Write down what the folder holds, or raise where it holds something else."""
    record, path = {"seed": operator.index(seed), "size": operator.index(size)}, root / "rendered.json"
    if path.exists():
        found = path.read_text(encoding="utf-8")
        if found != _to_json(record):
            raise InvalidInput(
                f"{root} already holds renderings of {' '.join(found.split())}, but {json.dumps(record)} was asked "
                "for. Choose an empty folder, or the same seed and size."
            )
    _write_json(path, record)


def _describe_classes() -> list[dict[str, object]]:
    return [{"index": i, "name": name, "color": COLORS[i]} for i, name in enumerate(CLASSES)]


def _paths(root: Path, index: int) -> tuple[Path, Path]:
    name = f"{index:06d}.png"
    return root / "images" / name, root / "masks" / name


def _complete(root: Path, index: int) -> bool:
    return all(path.is_file() for path in _paths(root, index))


def _run(tasks: list[_Task], workers: int, advance: Callable[[], None]) -> None:
    workers = min(workers, len(tasks))
    if workers <= 1:
        for task in tasks:
            _write_pair(task)
            advance()
        return
    # A fresh interpreter a worker: forking a process that already runs a network's threads can hang.
    executor = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        for future in as_completed([executor.submit(_write_pair, task) for task in tasks]):
            future.result()
            advance()
    finally:
        executor.shutdown(cancel_futures=True)


def _write_pair(task: _Task) -> None:
    root, index, seed, size = task
    image_path, mask_path = _paths(root, index)
    rendering = render(image_seed(seed, index), size=size)
    mask = Image.fromarray(rendering.mask).convert("P")
    mask.putpalette(bytes.fromhex("".join(color[1:] for color in COLORS)))
    _save(image_path, lambda path: Image.fromarray(rendering.image).save(path, format="PNG"))
    _save(mask_path, lambda path: mask.save(path, format="PNG"))


def _write_json(path: Path, content: object) -> None:
    _save(path, lambda beside: beside.write_text(_to_json(content), encoding="utf-8"))


def _to_json(content: object) -> str:
    return json.dumps(content, indent=2) + "\n"


def _save(path: Path, write: Callable[[Path], object]) -> None:
    """Write beside and rename, so that a file is there whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
