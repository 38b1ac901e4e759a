"""The command line: ``segscope explain``, ``compare``, ``predict``, ``layers``, ``methods``, ``serve`` and more."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer

from .commands import compare, demo, doctor, explain, explore, predict
from .errors import SegscopeError

__all__ = ["app", "main"]

BAD_INPUT = 2
INTERRUPTED = 130
_PIPE_CLOSED = 141

app = typer.Typer(
    name="segscope",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, and say in one line what is wrong with it where something is.

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows ``segscope``; the process's own arguments otherwise.

    Returns
    -------
    int
        Exit code: 0 when it is done, 2 for bad input, 130 when it was interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal that can't show × or – gets a question mark, not an error.
            stream.reconfigure(errors="replace")
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        return _run(arguments)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        outcome = app(args=None if arguments is None else list(arguments), prog_name="segscope", standalone_mode=False)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has gone; what is still buffered goes nowhere, without a complaint at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    except Exception as error:
        message = _message(error)
        if message is None:
            raise
        typer.echo(f"segscope: {' '.join(message.split())}", err=True)
        return BAD_INPUT
    return outcome if isinstance(outcome, int) else 0


def _show_warning(message: Warning | str, *_place: object, **_options: object) -> None:
    """Tell what a user should know in one line; where in the program it was found doesn't help them."""
    typer.echo(f"segscope: warning: {' '.join(str(message).split())}", err=True)


def _message(error: Exception) -> str | None:
    """Return what a user is told about a fault of theirs; None for a fault of the program."""
    if isinstance(error, SegscopeError):
        return str(error)
    if type(error).__name__ == "Abort":
        raise KeyboardInterrupt
    # Typer's usage errors have had several homes, and this method in all of them.
    describe = getattr(error, "format_message", None)
    return str(describe()) if callable(describe) else None


def _show_version(value: bool) -> None:  # noqa: FBT001  # Typer's signature
    if value:
        from . import __version__

        typer.echo(f"segscope {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _start(
    *,
    context: typer.Context,
    version: Annotated[  # noqa: ARG001  # shown by its callback
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Why did a segmentation network label these pixels so?"""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


for _command in (
    explain.explain,
    compare.compare,
    predict.predict,
    explain.layers,
    explain.methods,
    doctor.doctor,
    explore.demo,
    explore.serve,
    demo.mushrooms,
    demo.train,
):
    app.command()(_command)
