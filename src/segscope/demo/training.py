"""Training the example network: checkpoints, resuming, and the record of how the weights came to be."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ..errors import InvalidInput
from .checkpoint import read_checkpoint, write_checkpoint
from .dataset import LabelledImages, read_labelled_images
from .evaluate import evaluate
from .recipe import Recipe
from .record import describe_data, finish_record, metrics, start_record, training_command
from .trainer import Trainer
from .weights import save_weights

__all__ = ["CHECKPOINT", "CURRENT_WEIGHTS", "train"]

CHECKPOINT = "checkpoint.pt"
CURRENT_WEIGHTS = "current.safetensors"


def train(
    directory: str | os.PathLike[str],
    *,
    data: str | os.PathLike[str],
    validation: str | os.PathLike[str],
    classes: Sequence[str],
    recipe: Recipe,
    data_seed: int | None = None,
    validation_seed: int | None = None,
    checkpoint_every: int = 250,
    resume: bool = True,
    pause_after: int | None = None,
    progress: bool = True,
    clock: Callable[[], float] = time.monotonic,
) -> Path:
    """Train the example network, or go on where an interrupted training stopped.

    Parameters
    ----------
    directory : str or path
        Made if missing; takes ``checkpoint.pt``, to resume from, and ``current.safetensors``, the averaged weights
        so far.
    data, validation : str or path
        Folders of images and masks, see `read_labelled_images`. Nothing is learned from the second.
    classes : sequence of str
        Names of the classes, in the order of their indices.
    recipe : Recipe
        Hyper-parameters. A resumed training keeps to the one it started with.
    data_seed, validation_seed : int, optional
        Seeds the folders were rendered with, for the record.
    checkpoint_every : int, optional
        Steps between checkpoints; at each the averaged weights are evaluated on `validation`.
    resume : bool, optional
        Whether to go on from a checkpoint in `directory`; otherwise start anew and replace it.
    pause_after : int, optional
        Stop with a checkpoint after so many steps of this run.
    progress : bool, optional
        Whether to show a progress bar, and a line for each checkpoint, on the standard error stream.
    clock : callable, optional
        Gives the time in seconds.

    Returns
    -------
    pathlib.Path
        The checkpoint, for `export`.

    Raises
    ------
    InvalidInput
        If a folder can't be used, or the checkpoint is of another recipe or can't be read.
    """
    if len(classes) != recipe.classes:
        raise InvalidInput(f"classes names {len(classes)} classes; expected the recipe's {recipe.classes}.")
    sets = {
        "training": (read_labelled_images(data, classes=recipe.classes), data_seed),
        "validation": (read_labelled_images(validation, classes=recipe.classes), validation_seed),
    }
    command = training_command(
        data=data, validation=validation, recipe=recipe, data_seed=data_seed, validation_seed=validation_seed
    )
    described = {name: describe_data(*value) for name, value in sets.items()}
    record = {**start_record(command, classes, recipe), "data": described}
    run = _Run(Path(directory), Trainer(recipe, sets["training"][0]), sets["validation"][0], record, clock)
    if resume and run.checkpoint.exists():
        run.load()
    run.checkpoint.parent.mkdir(parents=True, exist_ok=True)
    with _progress_bar(run, enabled=progress) as show:
        run.go(checkpoint_every=checkpoint_every, pause_after=pause_after, show=show)
    return run.checkpoint


class _Run:
    """One run of a training: the trainer, its time, its record and its files."""

    def __init__(
        self,
        directory: Path,
        trainer: Trainer,
        validation: LabelledImages,
        record: dict[str, Any],
        clock: Callable[[], float],
    ) -> None:
        self.checkpoint = directory / CHECKPOINT
        self.weights = directory / CURRENT_WEIGHTS
        self.trainer = trainer
        self.validation = validation
        self.record = record
        self.history: list[dict[str, Any]] = []
        self.losses: list[float] = []
        self._clock = clock
        self._start = clock()
        self._earlier_seconds = 0.0

    @property
    def seconds(self) -> float:
        """Time spent on the training, earlier runs included."""
        return self._earlier_seconds + self._clock() - self._start

    @property
    def position(self) -> float:
        """How much of the training is done, 0..1."""
        return self.trainer.recipe.position(steps=self.trainer.step, seconds=self.seconds)

    def go(self, *, checkpoint_every: int, pause_after: int | None, show: Callable[[float], None]) -> None:
        """Take steps until the recipe's end, or the pause."""
        first = self.trainer.step
        while (position := self.position) < 1:
            self.losses.append(self.trainer.advance(position))
            show(self.losses[-1])
            if self.trainer.step % checkpoint_every == 0:
                self._evaluate()
                self.save()
            if pause_after is not None and self.trainer.step - first >= pause_after:
                break
        # Not at a pause: it must leave no evaluation that a training without it would not have.
        if self.position >= 1 and self.losses:
            self._evaluate()
        self.save()

    def _evaluate(self) -> None:
        evaluation = evaluate(self.trainer.average, self.validation)
        position = self.position
        self.history.append(
            {
                "step": self.trainer.step,
                "position": round(position, 4),
                "minutes": round(self.seconds / 60, 1),
                "size": self.trainer.recipe.size_at(position),
                "loss": sum(self.losses) / len(self.losses),
                "validation": metrics(evaluation, self.record["network"]["classes"]),
            }
        )
        self.losses = []

    def save(self) -> None:
        """Write checkpoint and current weights, each beside its place and then renamed."""
        state = {
            "recipe": self.trainer.recipe.to_dict(),
            "seconds": self.seconds,
            "history": self.history,
            "losses": self.losses,
            "record": self.record,
            "trainer": self.trainer.state_dict(),
        }
        write_checkpoint(self.checkpoint, state)
        record = finish_record(self.record, self.trainer.step, self.seconds, self.history)
        save_weights(self.weights, self.trainer.average, record)

    def load(self) -> None:
        """Go to the state of the checkpoint."""
        state = read_checkpoint(self.checkpoint)
        if state["recipe"] != self.trainer.recipe.to_dict() or state["record"]["data"] != self.record["data"]:
            raise InvalidInput(
                f"{self.checkpoint.name} is of a training with recipe {state['recipe']} and data "
                f"{state['record']['data']}; expected {self.trainer.recipe.to_dict()} and {self.record['data']}. "
                "Use the same options and folders, another directory, or start anew without resuming."
            )
        self.trainer.load_state_dict(state["trainer"])
        self.history = state["history"]
        self.losses = state["losses"]
        self._earlier_seconds = state["seconds"]


@contextlib.contextmanager
def _progress_bar(run: _Run, *, enabled: bool) -> Iterator[Callable[[float], None]]:
    columns = (
        TextColumn("training"),
        BarColumn(),
        TextColumn("{task.percentage:>5.1f} %  step {task.fields[step]}  loss {task.fields[loss]:.3f}"),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True, quiet=not enabled)
    with Progress(*columns, console=console, disable=not enabled) as bar:
        task = bar.add_task("training", total=1, step=run.trainer.step, loss=float("nan"))
        bar.update(task, completed=run.position)
        shown = len(run.history)

        def show(loss: float) -> None:
            nonlocal shown
            bar.update(task, completed=run.position, step=run.trainer.step, loss=loss)
            for entry in run.history[shown:]:
                console.print(_line(entry), highlight=False, soft_wrap=True)
            shown = len(run.history)

        yield show
        for entry in run.history[shown:]:
            console.print(_line(entry), highlight=False, soft_wrap=True)


def _line(entry: dict[str, Any]) -> str:
    validation = entry["validation"]
    by_class = ", ".join(f"{name} {value}" for name, value in validation["class_iou"].items())
    return (
        f"step {entry['step']}, {entry['minutes']} min, {entry['position']:.1%}, {entry['size']} px: "
        f"loss {entry['loss']:.4f}, validation mean IoU {validation['mean_iou']} ({by_class})"
    )
