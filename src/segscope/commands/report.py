"""What commands print."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import typer

__all__ = ["print_json", "print_line", "print_table", "progress_bar", "share_bar"]


def print_line(text: str) -> None:
    """Print one line on the standard output.

    Parameters
    ----------
    text : str
        Without a newline.
    """
    typer.echo(text)


def print_json(data: Any) -> None:
    """Print data as indented JSON on the standard output.

    Parameters
    ----------
    data : object
        What JSON can hold.
    """
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False))


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Print aligned columns, as wide as they need to be, so that nothing is cut off in a file or a pipe.

    Parameters
    ----------
    headings : sequence of str
        One a column.
    rows : sequence of sequence of str
        As many cells each.
    right : sequence of int
        Columns whose text ends at the right.
    """
    lines = [list(headings), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    for line in lines:
        cells = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        typer.echo("  ".join(cells).rstrip())


@contextlib.contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on the standard error stream, from the first news on.

    Parameters
    ----------
    title : str
        What is being done.

    Yields
    ------
    callable
        Call it with (done, total).
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=Console(stderr=True))
    task = bar.add_task(title, total=None)

    def show(done: int, total: int) -> None:
        bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield show
    finally:
        # One that was never started would still print an empty line.
        if bar.live.is_started:
            bar.stop()


@contextlib.contextmanager
def share_bar(title: str) -> Iterator[Callable[[float], None]]:
    """Show on the standard error stream, where it is a terminal, which share of the work is done.

    The bar comes with the first news and is gone at the end.

    Parameters
    ----------
    title : str
        What is being done.

    Yields
    ------
    callable
        Call it with the share, 0..1.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=console, transient=True)
    task = bar.add_task(escape(title), total=1.0)

    def show(share: float) -> None:
        if console.is_terminal:
            bar.start()
            bar.update(task, completed=share)

    try:
        yield show
    finally:
        if bar.live.is_started:
            bar.stop()
