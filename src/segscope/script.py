"""The lines of Python, and the command, that make a map again."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .region import Region
from .target import Target
from .windows import Windows

__all__ = ["Recipe", "call", "literal", "region_expression"]

_WIDTH = 100
_INDENT = "    "


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A question with everything that its answer depends on, model and image as Python expressions.

    Parameters
    ----------
    target : Target
        Class, region, contrast and score; the region is given.
    image : str
        An expression that :meth:`segscope.SegmentationModel.predict` takes.
    model : str, optional
        An expression that is a :class:`segscope.SegmentationModel`; without it, the lines rely on a variable ``model``.
    truth : str, optional
        An expression for the true mask, where the region needs it.
    layer : str, optional
        The layer; the method's usual place otherwise.
    method : str
        The method's name.
    parameters : mapping
        Those of the method that were given.
    notes : sequence of str
        What whoever runs the lines has to know, a sentence each.
    output : str
        The figure to save.
    """

    target: Target
    image: str
    model: str | None = None
    truth: str | None = None
    layer: str | None = None
    method: str = "grad-cam"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    output: str = "importance.png"

    def python(self) -> str:
        """Return a script that makes the map, ``attribution``, and saves its figure."""
        predict = [self.image] if self.truth is None else [self.image, f"truth={self.truth}"]
        lines = ["import segscope", "", *(f"# {note}" for note in self.notes)]
        if self.model is not None:
            lines.append(f"model = {self.model}")
        lines += [
            f"prediction = {call('model.predict', predict)}",
            f"attribution = {call('prediction.explain', self._arguments(), flat=False)}",
            f"attribution.save({literal(self.output)})  # the figure; a name that ends with .npz saves the numbers",
        ]
        return "\n".join(lines) + "\n"

    def command(
        self,
        *,
        model: str,
        image: str,
        weights: str | None = None,
        classes: str | None = None,
        windows: Windows | None = None,
        bands: Sequence[int] | None = None,
    ) -> str | None:
        """Return the command that does the same.

        Parameters
        ----------
        model : str
            What ``--model`` takes.
        image : str
            The image's path.
        weights : str, optional
            What ``--weights`` takes.
        classes : str, optional
            The file of classes.
        windows : Windows, optional
            What ``--window`` and ``--overlap`` take.
        bands : sequence of int, optional
            What ``--bands`` takes.

        Returns
        -------
        str or None
            For a POSIX shell; None where no option can express the region.
        """
        region = self._region_options()
        if region is None:
            return None
        # What begins with a dash would be taken for an option.
        words = ["segscope", "explain", f"./{image}" if image.startswith("-") else image, "--model", model]
        words += [] if weights is None else ["--weights", weights]
        words += [] if classes is None else ["--classes", classes]
        if windows is not None:
            size = windows.size if isinstance(windows.size, tuple) else (windows.size,)
            words += ["--window", ",".join(map(str, size)), "--overlap", str(windows.overlap)]
        words += [] if bands is None else ["--bands", ",".join(map(str, bands))]
        words += ["--class", str(self.target.class_), *region]
        words += [] if self.target.against is None else ["--against", str(self.target.against)]
        words += [] if self.layer is None else ["--layer", self.layer]
        words += ["--method", self.method]
        words += [] if self.target.score == "logit" else ["--score", self.target.score]
        for name, value in self.parameters.items():
            words += ["--param", f"{name}={str(value).lower() if isinstance(value, bool) else value}"]
        return " ".join(map(shlex.quote, [*words, "-o", self.output]))

    def _arguments(self) -> list[str]:
        target = self.target
        arguments = [literal(target.class_)]
        if target.region is not None:
            arguments.append(region_expression(target.region))
        named = {"against": target.against, "layer": self.layer, "method": self.method}
        arguments += [f"{name}={literal(value)}" for name, value in named.items() if value is not None]
        if target.score != "logit":
            arguments.append(f"score={literal(target.score)}")
        return arguments + [f"{name}={literal(value)}" for name, value in self.parameters.items()]

    def _region_options(self) -> list[str] | None:
        region = self.target.region
        data = {"kind": "predicted", "class": self.target.class_} if region is None else region.to_dict()
        kind = data.pop("kind")
        if kind == "predicted":
            return [] if data["class"] == self.target.class_ else None
        if kind == "everywhere":
            return ["--everywhere"]
        # Their numbers stand in the order in which the options take them.
        return [f"--{kind}", ",".join(map(str, data.values()))] if kind in ("pixel", "box") else None


def region_expression(region: Region) -> str:
    """Return the Python expression that makes a region, for a script that imports segscope.

    Parameters
    ----------
    region : Region
        Any.

    Returns
    -------
    str
        Calls of :class:`Region`'s functions, joined by ``|``, ``&`` and ``~``.

    Examples
    --------
    >>> region_expression(Region.box(10, 10, 60, 80) & ~Region.pixel(20, 20))
    'segscope.Region.box(10, 10, 60, 80) & ~segscope.Region.pixel(20, 20)'
    """
    return _expression(region.to_dict())


def literal(value: object) -> str:
    """Return a name or number as Python writes it, whatever characters it is made of.

    Parameters
    ----------
    value : str, int, float or bool
        The value.

    Returns
    -------
    str
        Its ``repr``, in double quotes where that changes nothing.
    """
    text = repr(value)
    return f'"{text[1:-1]}"' if isinstance(value, str) and not {"'", '"'} & set(value) else text


def call(function: str, arguments: Iterable[str], *, flat: bool = True) -> str:
    """Return a call, on one line where it is short.

    Parameters
    ----------
    function : str
        What is called.
    arguments : iterable of str
        Expressions.
    flat : bool
        Whether one line is preferred; otherwise each argument gets its own.

    Returns
    -------
    str
        The expression.
    """
    arguments = list(arguments)
    line = f"{function}({', '.join(arguments)})"
    if flat and len(line) <= _WIDTH and "\n" not in line:
        return line
    return f"{function}(\n" + "".join(f"{_indented(argument)},\n" for argument in arguments) + ")"


def _indented(text: str) -> str:
    return "\n".join(_INDENT + line for line in text.splitlines())


def _expression(data: Mapping[str, Any]) -> str:
    return _WRITERS[data["kind"]](data)


def _method(name: str, *fields: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda data: call(f"segscope.Region.{name}", [literal(data[field]) for field in fields])


def _combined(data: Mapping[str, Any]) -> str:
    sign = {"and": "&", "or": "|"}[data["kind"]]
    parts = [_operand(part) for part in data["regions"]]
    line = f" {sign} ".join(parts)
    # A break needs brackets around it, which whoever joins or calls puts there.
    return line if len(line) <= _WIDTH - 8 and "\n" not in line else f"\n{sign} ".join(parts)


def _operand(data: Mapping[str, Any]) -> str:
    text = _expression(data)
    if data["kind"] not in ("and", "or"):
        return text
    return f"(\n{_indented(text)}\n)" if "\n" in text else f"({text})"


def _mask(data: Mapping[str, Any]) -> str:
    entries = [f'"kind": "mask", "size": {data["size"]}, "runs": {_listed(data["runs"])}']
    entries += [f'"levels": {_listed(data["levels"])}'] if "levels" in data else []
    return f"segscope.Region.from_dict({{{', '.join(entries)}}})"


def _polygon(data: Mapping[str, Any]) -> str:
    return f"segscope.Region.polygon({_listed(map(tuple, data['points']))})"


def _listed(values: Iterable[object]) -> str:
    """Return a list over as many lines as it needs."""
    lines = [""]
    for value in values:
        text = f"{literal(value)}, "
        if len(lines[-1]) + len(text) > _WIDTH - 8:
            lines.append("")
        lines[-1] += text
    if len(lines) == 1:
        return f"[{lines[0].rstrip(', ')}]"
    return "[\n" + "".join(f"{_INDENT}{line.rstrip()}\n" for line in lines) + "]"


_WRITERS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "everywhere": _method("everywhere"),
    "predicted": _method("predicted", "class"),
    "pixel": _method("pixel", "row", "column"),
    "box": _method("box", "top", "left", "bottom", "right"),
    "polygon": _polygon,
    "true": _method("true", "class"),
    "errors": _method("errors", "class", "error"),
    "segment": _method("segment", "row", "column"),
    "superpixel": lambda data: call(
        "segscope.Region.superpixel", [str(data["row"]), str(data["column"]), f"count={data['count']}"]
    ),
    "and": _combined,
    "or": _combined,
    "not": lambda data: f"~{_operand(data['region'])}",
    "mask": _mask,
}
