"""The record of how weights came to be: command, data, hyper-parameters, results, versions."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .dataset import LabelledImages
from .evaluate import Evaluation
from .pspnet import INPUT_SIZE, MEAN, STANDARD_DEVIATION
from .recipe import Recipe

__all__ = ["describe_data", "finish_record", "metrics", "start_record", "training_command"]


def metrics(evaluation: Evaluation, classes: Sequence[str]) -> dict[str, Any]:
    """Put an evaluation's results as JSON can hold them.

    Parameters
    ----------
    evaluation : Evaluation
        From `evaluate`.
    classes : sequence of str
        Names of the classes.

    Returns
    -------
    dict
        ``mean_iou``, ``accuracy`` (0..1) and ``class_iou`` by name, rounded to four digits; None where undefined.
    """
    by_class = dict(zip(classes, map(_rounded, evaluation.class_iou), strict=True))
    return {
        "mean_iou": _rounded(evaluation.mean_iou),
        "class_iou": by_class,
        "accuracy": _rounded(evaluation.accuracy),
    }


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def start_record(command: str, classes: Sequence[str], recipe: Recipe) -> dict[str, Any]:
    """Record what is known before the first step.

    Parameters
    ----------
    command : str
        Command line that trains so.
    classes : sequence of str
        Names of the classes.
    recipe : Recipe
        Hyper-parameters.

    Returns
    -------
    dict
        ``network``, ``command``, ``recipe`` and ``versions``, of what JSON can hold.
    """
    return {
        "network": {
            "name": "PSPNetVGG16",
            "width": recipe.width,
            "classes": list(classes),
            "input": {"size": list(INPUT_SIZE), "mean": list(MEAN), "std": list(STANDARD_DEVIATION)},
        },
        "command": command,
        "recipe": recipe.to_dict(),
        "versions": {
            "python": platform.python_version(),
            **{name: _version(name) for name in ("segscope", "torch", "numpy", "pillow")},
        },
    }


def finish_record(
    record: dict[str, Any], steps: int, seconds: float, history: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Add what a training took and how it went.

    Parameters
    ----------
    record : dict
        From `start_record`; it is not changed.
    steps : int
        Steps taken.
    seconds : float
        Time spent.
    history : sequence of dict
        Loss and validation at each checkpoint.

    Returns
    -------
    dict
        The record with ``length`` and ``history``.
    """
    length = {"steps": steps, "images": steps * record["recipe"]["batch_size"], "minutes": round(seconds / 60, 1)}
    return {**record, "length": length, "history": list(history)}


def describe_data(data: LabelledImages, seed: int | None) -> dict[str, Any]:
    """Tell which images were used, without telling where they lay.

    Parameters
    ----------
    data : LabelledImages
        The images.
    seed : int or None
        Seed that they were rendered with.

    Returns
    -------
    dict
        ``images`` (how many), ``seed`` and ``sha256``, the fingerprint of all pixels and labels.
    """
    return {"images": len(data), "seed": seed, "sha256": data.fingerprint()}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def training_command(
    *,
    data: str | os.PathLike[str],
    validation: str | os.PathLike[str],
    recipe: Recipe,
    data_seed: int | None,
    validation_seed: int | None,
) -> str:
    """Return the command line of a training, with the names of folders but not where they lay.

    Parameters
    ----------
    data, validation : str or path
        Folders of images and masks.
    recipe : Recipe
        Hyper-parameters.
    data_seed, validation_seed : int or None
        Seeds that the folders were rendered with.

    Returns
    -------
    str
        For instance ``segscope train --data train --validation val --width 0.5 --seed 0 --minutes 80``.
    """
    options: list[tuple[str, object]] = [
        ("data", Path(data).name),
        ("data-seed", data_seed),
        ("validation", Path(validation).name),
        ("validation-seed", validation_seed),
        ("width", recipe.width),
        ("seed", recipe.seed),
        ("steps", recipe.steps),
        ("minutes", recipe.minutes),
    ]
    return " ".join(["segscope train", *(f"--{name} {value}" for name, value in options if value is not None)])
