"""A gallery of many small images with masks, written in seconds, to see what the explorer makes of a large folder."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segscope.demo import DATA

__all__ = ["write_gallery"]

_SIDE = 256
_THREADS = 2

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def write_gallery(folder: Path, count: int = 10_000) -> None:
    """Write images to ``folder/images`` and their true masks to ``folder/masks``.

    They are the images that come with segscope, each time moved, mirrored and lit in another way, so that no two are
    the same to a network. The same count gives the same files.

    Parameters
    ----------
    folder : Path
        Made where it is missing.
    count : int
        How many: JPEG files of 256×256 pixels, and PNG files of class indices.
    """
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    pairs = [_read(path) for path in sorted((DATA / "images").iterdir())]
    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in pool.map(lambda number: _write(folder, number, pairs[number % len(pairs)]), range(count)):
            pass


def _read(path: Path) -> Pair:
    with Image.open(path) as picture, Image.open(DATA / "masks" / f"{path.stem}.png") as mask:
        small = picture.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
        return np.asarray(small), np.asarray(mask.resize((_SIDE, _SIDE), Image.Resampling.NEAREST))


def _write(folder: Path, number: int, pair: Pair) -> None:
    generator = np.random.default_rng(number)
    light = generator.uniform(0.4, 1.2)
    step = tuple(int(value) for value in generator.integers(-_SIDE // 4, _SIDE // 4, 2))
    mirror = slice(None, None, int(generator.choice((-1, 1))))
    picture, mask = (np.roll(array, step, axis=(0, 1))[:, mirror] for array in pair)
    table = np.clip(np.arange(256) * light, 0, 255).astype(np.uint8)
    Image.fromarray(table[picture]).save(folder / "images" / f"{number:05}.jpg", quality=85)
    Image.fromarray(mask.copy()).save(folder / "masks" / f"{number:05}.png", compress_level=1)


if __name__ == "__main__":
    write_gallery(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10_000)
