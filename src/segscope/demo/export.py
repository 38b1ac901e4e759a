"""From a training's checkpoint to the weights file that is shipped."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..files import write_file
from .checkpoint import read_checkpoint
from .dataset import LabelledImages
from .evaluate import evaluate
from .pspnet import PSPNetVGG16
from .recipe import Recipe
from .record import describe_data, finish_record, metrics
from .weights import load_weights, save_weights

__all__ = ["export"]


def export(
    checkpoint: str | os.PathLike[str],
    file: str | os.PathLike[str],
    *,
    test: LabelledImages | None = None,
    test_seed: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Write a checkpoint's averaged weights to a safetensors file, and their record beside it as JSON.

    Parameters
    ----------
    checkpoint : str or path
        From `train`.
    file : str or path
        File to write, ending in ``.safetensors``; the record gets the same name with ``.json``.
    test : LabelledImages, optional
        Images on which to measure the network as the file holds it, rounding included, for the record. They must
        not have been used to train or to choose anything.
    test_seed : int, optional
        Seed that `test` was rendered with, for the record.
    progress : callable, optional
        Called with the number of test images done since the last call.

    Returns
    -------
    dict
        The record.

    Raises
    ------
    InvalidInput
        If the checkpoint can't be read.
    """
    state = read_checkpoint(checkpoint)
    recipe = Recipe.from_dict(state["recipe"])
    network = PSPNetVGG16(recipe.classes, width=recipe.width)
    network.load_state_dict(state["trainer"]["average"])
    record = finish_record(state["record"], state["trainer"]["step"], state["seconds"], state["history"])
    save_weights(file, network, record)
    if test is not None:
        stored, _ = load_weights(file)
        record["data"] = {**record["data"], "test": describe_data(test, test_seed)}
        record["test"] = metrics(evaluate(stored, test, progress=progress), record["network"]["classes"])
        save_weights(file, network, record)
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    write_file(Path(file).with_suffix(".json"), lambda opened: opened.write(text.encode()))
    return record
