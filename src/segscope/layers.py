"""The named places of a network, and what they put out during one forward pass."""

from __future__ import annotations

import functools
import itertools
import weakref
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy as copy_of
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .errors import CannotExplain

__all__ = [
    "INPUT",
    "Capture",
    "Captured",
    "Layer",
    "capturing",
    "come_late",
    "copying",
    "exchanged",
    "first_tensor",
    "is_overwritten",
    "reaches",
    "saved_bytes",
    "token_layout",
]

INPUT = "input"
"""The name under which the network's input can be asked about like a layer."""


@dataclass(frozen=True)
class Layer:
    """A named place in the network whose output is a spatial map, or tokens that form one.

    Parameters
    ----------
    name : str
        The module's name in the network; a module called more than once has ``name``, ``name#2``, … one for each call.
    type : str
        The module's class, for instance ``"Conv2d"``.
    channels, height, width : int
        Size of the map. Tokens B×N×C form a map when N, less up to eight class or register tokens in front, is
        height × width in the proportions of the input.
    """

    name: str
    type: str
    channels: int
    height: int
    width: int


class Layout(NamedTuple):
    """Where a map's axes are in a module's output."""

    height: int
    width: int
    channels: int
    channels_last: bool = False
    extra: int = 0
    """Class or register tokens in front of those that form the map."""


@dataclass
class Captured:
    """What one call of a module put out."""

    name: str
    type: str
    output: Tensor
    version: int
    queries: int = 0
    """How many queries the network has: tokens that stand for no place."""

    @property
    def kept(self) -> bool:
        """Whether its numbers are there; else only its shape is."""
        return not self.output.is_meta

    @property
    def intact(self) -> bool:
        """Whether the output still is what the module put out; an in-place operation may have changed it since."""
        return _version(self.output) == self.version

    def layout(self, input_size: tuple[int, int]) -> Layout | None:
        """Return where height, width and channels are, or None when the output isn't a map.

        Parameters
        ----------
        input_size : (int, int)
            Height and width of the network's input, by whose proportions tokens and channels are told apart.

        Returns
        -------
        Layout or None
            Of a 1×C×h×w or 1×h×w×C output, or of tokens 1×N×C.
        """
        if self.output.ndim < 3 or self.output.shape[0] != 1 or self.output.numel() == 0:
            return None
        if self.output.ndim == 4:
            _, first, second, third = self.output.shape
            if _fits(first, second, input_size) and not _fits(second, third, input_size):
                return Layout(first, second, third, channels_last=True)
            return Layout(second, third, first)
        if self.output.ndim == 3:
            return token_layout(self.output.shape[1], self.output.shape[2], input_size, queries=self.queries)
        return None

    def to_map(self, values: Tensor, input_size: tuple[int, int]) -> Tensor:
        """Lay out values of the output's shape (the output itself, or its gradient) as 1×C×h×w.

        Parameters
        ----------
        values : Tensor
            Of the output's shape, for any number of images.
        input_size : (int, int)
            Height and width of the network's input.

        Returns
        -------
        Tensor
            B×C×h×w.

        Raises
        ------
        CannotExplain
            When the output isn't a map, or was overwritten.
        """
        if not self.intact:
            raise CannotExplain(
                f"The output of the layer {self.name!r} is overwritten in place by the network, in a way that can't be "
                "followed; choose the layer before or after."
            )
        layout = self.layout(input_size)
        if layout is None:
            raise CannotExplain(
                f"The layer {self.name!r} puts out a tensor of shape {tuple(self.output.shape)}, which has no height "
                "and width; choose a layer whose output is a map."
            )
        if values.ndim == 4:
            return values.permute(0, 3, 1, 2) if layout.channels_last else values
        return values[:, layout.extra :].transpose(1, 2).reshape(len(values), -1, layout.height, layout.width)

    def from_map(self, maps: Tensor, input_size: tuple[int, int]) -> Tensor:
        """Lay out maps as the module's output: the reverse of :meth:`to_map`, for any number of them.

        Parameters
        ----------
        maps : Tensor
            B×C×h×w.
        input_size : (int, int)
            Height and width of the network's input.

        Returns
        -------
        Tensor
            Of the output's shape and type but for the batch; class and register tokens are as they were.
        """
        layout = self.layout(input_size)
        maps = maps.to(self.output.dtype)
        if self.output.ndim == 4:
            return maps.permute(0, 2, 3, 1) if layout is not None and layout.channels_last else maps
        tokens = maps.flatten(2).transpose(1, 2)
        extra = self.output.detach()[:, : layout.extra if layout is not None else 0]
        return torch.cat([extra.expand(len(maps), -1, -1), tokens], dim=1)

    def describe(self, input_size: tuple[int, int]) -> Layer | None:
        """Return the layer's name and size, or None when its output isn't a map.

        Parameters
        ----------
        input_size : (int, int)
            Height and width of the network's input.

        Returns
        -------
        Layer or None
            Name, type, channels, height and width.
        """
        layout = self.layout(input_size)
        return Layer(self.name, self.type, layout.channels, layout.height, layout.width) if layout else None


@dataclass
class Capture:
    """All outputs of one forward pass, by name, in the order in which the modules were called.

    A container gives the very tensor of its last module; such names share one entry, listed by the container's name.

    Parameters
    ----------
    wanted : collection of str, optional
        Of which layers the numbers are kept; of all without it. Of the others their shape is, so that the network frees
        them as it goes on.
    beginning : Tensor, optional
        The input, of which the network was given a copy without a graph: the graph begins at the layers that are kept.
    """

    wanted: Collection[str] | None = None
    beginning: Tensor | None = None
    outputs: dict[str, Captured] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    image: Tensor | None = None
    """What the network was given, while it runs: a module that hands it on has no output of its own."""
    _known: dict[int, _Known] = field(default_factory=dict)
    _calls: dict[str, int] = field(default_factory=dict)
    _passed_on: list[tuple[str, Tensor]] = field(default_factory=list)

    def add(self, module_name: str, type_: str, output: Tensor, *, copy: bool) -> Tensor:
        """Keep a module's output under its name, and return the tensor that the network goes on with.

        Parameters
        ----------
        module_name, type_ : str
            The module's name and class.
        output : Tensor
            What it put out.
        copy : bool
            Whether the network goes on with a copy, so that a later in-place operation doesn't reach what is kept.

        Returns
        -------
        Tensor
            The output itself, or its copy.
        """
        name = self._name_of_call(module_name)
        same = self._name_of(output)
        if self.beginning is not None and self.wants(name) and type(output) is Tensor and not output.requires_grad:
            output = _Beginning.apply(output, self.beginning)  # type: ignore[no-untyped-call]
        if same is not None:
            self._alias(name, same, type_, output)
            self._know(self.aliases.get(name, name), output)
            return output
        kept = output if self.wants(name) else torch.empty_like(output, device="meta", requires_grad=False)
        self.outputs[name] = Captured(name, type_, kept, _version(kept))
        self._know(name, output)
        if not copy:
            return output
        passed_on = output.clone()
        self._passed_on.append((name, passed_on))
        self._know(name, passed_on)
        return passed_on

    def __getitem__(self, name: str) -> Captured:
        """Return what the layer of this name put out, aliases included."""
        return self.outputs[self.aliases.get(name, name)]

    def get(self, name: str) -> Captured | None:
        """Return what the layer of this name put out, or None when there is no such layer.

        Parameters
        ----------
        name : str
            The layer's name.

        Returns
        -------
        Captured or None
            The layer's output.
        """
        return self.outputs.get(self.aliases.get(name, name))

    def __contains__(self, name: object) -> bool:
        """Tell whether a layer of this name was called."""
        return isinstance(name, str) and (name in self.outputs or name in self.aliases)

    def holds(self, name: str) -> bool:
        """Tell whether a layer can be asked about as it is.

        Parameters
        ----------
        name : str
            The layer's name, or ``"input"``.

        Returns
        -------
        bool
            False where only its shape is kept, or the graph begins behind it; true where there is no such layer.
        """
        return self[name].kept if name in self else name != INPUT or self.beginning is None

    def names(self) -> Iterator[str]:
        """Return all names, aliases last."""
        yield from self.outputs
        yield from self.aliases

    def overwritten(self) -> set[str]:
        """Return the modules whose output was changed by a later in-place operation."""
        changed = {name for name, captured in self.outputs.items() if not captured.intact}
        changed |= {name for name, tensor in self._passed_on if _version(tensor) != 0}
        # A name that a container took over from its last module means the modules below it as well.
        changed |= {alias for alias, name in self.aliases.items() if name in changed}
        return {_module_name(name) for name in changed}

    def origin(self, name: str) -> tuple[str, int]:
        """Return the innermost module that put out what the layer of this name did, and which of its calls it was.

        Parameters
        ----------
        name : str
            A layer's name, aliases included.

        Returns
        -------
        module : str
            The module's name in the network.
        call : int
            Counted from 1.
        """
        name = self.aliases.get(name, name)
        inner = [alias for alias, of in self.aliases.items() if of == name and alias.startswith(f"{name}.")]
        module, _, call = max([name, *inner], key=len).partition("#")
        return module, int(call or 1)

    def reaches(self, logits: Tensor) -> bool:
        """Tell whether the logits depend on everything that was kept, as far as their graph says.

        Parameters
        ----------
        logits : Tensor
            The network's output, with its graph.

        Returns
        -------
        bool
            False where a graph that begins at the layers didn't go on from one of them.
        """
        nodes = reaches(logits)
        return all(self[name].output.grad_fn in nodes for name in self.wanted or () if name in self)

    def intact(self) -> bool:
        """Tell whether everything that was kept is still as the layers put it out."""
        return all(captured.intact for captured in self.outputs.values())

    def settle(self, *, queries: int = 0) -> None:
        """Forget what is needed only while the network runs.

        Parameters
        ----------
        queries : int
            How many queries the output turned out to have.
        """
        for captured in self.outputs.values():
            captured.queries = queries
        self._passed_on.clear()
        self._known.clear()
        self.image = None

    def wants(self, name: str) -> bool:
        """Tell whether a layer's numbers are kept.

        Parameters
        ----------
        name : str
            The layer's name.

        Returns
        -------
        bool
            Else only their shape is.
        """
        return self.wanted is None or name in self.wanted

    def _know(self, name: str, tensor: Tensor) -> None:
        self._known[id(tensor)] = _Known(name, _version(tensor), weakref.ref(tensor))

    def _name_of(self, output: Tensor) -> str | None:
        """Return the name under which a tensor was put out before, as it is now."""
        known = self._known.get(id(output))
        # The same tensor with a new version was overwritten in place: it is another layer's output by now. And one that
        # is gone may have left its identity to another.
        if known is None or known.tensor() is not output or known.version != _version(output):
            return None
        return known.name

    def _name_of_call(self, module_name: str) -> str:
        call = self._calls[module_name] = self._calls.get(module_name, 0) + 1
        return module_name if call == 1 else f"{module_name}#{call}"

    def _alias(self, name: str, same: str, type_: str, output: Tensor) -> None:
        captured = self.outputs[same]
        if self.wants(name) and not captured.kept:
            captured = self.outputs[same] = Captured(same, captured.type, output, _version(output))
        # One that hands on what another than its last module put out would stand too late in forward order.
        if not same.startswith(f"{_module_name(name)}.") or same != next(reversed(self.outputs)):
            self.aliases[name] = same
            return
        del self.outputs[same]
        self.outputs[name] = Captured(name, type_, captured.output, captured.version)
        self.aliases = {alias: name if of == same else of for alias, of in self.aliases.items()} | {same: name}
        self._known = {
            key: known._replace(name=name) if known.name == same else known for key, known in self._known.items()
        }
        self._passed_on = [(name if of == same else of, tensor) for of, tensor in self._passed_on]


class _Beginning(torch.autograd.Function):
    """Where a graph begins: a map that has none goes on as one that has."""

    @staticmethod
    def forward(_context: Any, maps: Tensor, _source: Tensor) -> Tensor:
        """Return another tensor in the same memory: the network may hold the one that came, and write over either."""
        return maps.new_empty(0).set_(maps)  # type: ignore[call-overload, no-any-return]

    @staticmethod
    def backward(_context: Any, _gradient: Tensor) -> tuple[None, None]:
        """Let nothing go further back."""
        return None, None


class _Known(NamedTuple):
    """A tensor that was put out: under which name, and how often it had been changed in place."""

    name: str
    version: int
    tensor: weakref.ref[Tensor]


@contextmanager
def capturing(
    network: nn.Module,
    *,
    copy: set[str] | None,
    wanted: Collection[str] | None = None,
    beginning: Tensor | None = None,
) -> Iterator[Capture]:
    """Capture what each module of a network puts out while the context lasts; the hooks are gone afterwards.

    Parameters
    ----------
    network : Module
        The network.
    copy : set of str or None
        Modules whose output is overwritten in place later, so that a copy is passed on; None means all that are kept.
    wanted : collection of str, optional
        Layers whose numbers are kept; all without it.
    beginning : Tensor, optional
        The input, where the graph is to begin at these layers; the network is then run on a copy without a graph.

    Yields
    ------
    Capture
        Filled while the network runs.
    """
    capture = Capture(wanted, beginning)
    handles = [
        module.register_forward_hook(_hook(capture, name, copy=capture.wants(name) if copy is None else name in copy))
        for name, module in network.named_modules()
        # The parts of a scripted network can't be watched; it can be asked about its input only.
        if name and not isinstance(module, torch.jit.ScriptModule)
    ]
    try:
        yield capture
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def copying(network: nn.Module, names: Iterable[str]) -> Iterator[None]:
    """Let modules pass on copies of what they put out, so that what comes next may write over it.

    Parameters
    ----------
    network : Module
        The network.
    names : iterable of str
        Its modules whose output is overwritten in place.

    Yields
    ------
    None
    """

    def copy(_module: nn.Module, _arguments: tuple[Any, ...], output: Any) -> Any:
        tensor = first_tensor(output)
        return None if tensor is None else exchanged(output, tensor, tensor.clone())

    handles = [network.get_submodule(name).register_forward_hook(copy) for name in names]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def come_late(network: nn.Module, names: Iterable[str]) -> bool:
    """Tell whether most of a network comes before the earliest of some layers.

    Parameters
    ----------
    network : Module
        The network.
    names : iterable of str
        Its layers.

    Returns
    -------
    bool
        By the order in which the network's parts were made, which is nearly always that in which they are run.
    """
    parts = [name for name, module in network.named_modules() if next(module.children(), None) is None]
    within = tuple(f"{_module_name(name)}." for name in names)
    return next((place for place, part in enumerate(parts) if f"{part}.".startswith(within)), 0) > len(parts) / 2


def first_tensor(output: Any) -> Tensor | None:
    """Return the first tensor in a module's output: itself, the first of a tuple, list or mapping, or None."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping):
        output = tuple(output.values())
    if isinstance(output, (tuple, list)):
        return next((found for found in map(first_tensor, output) if found is not None), None)
    return None


def _hook(capture: Capture, name: str, *, copy: bool) -> Any:
    def keep(module: nn.Module, _arguments: tuple[Any, ...], output: Any) -> Any:
        tensor = first_tensor(output)
        if tensor is None or not tensor.is_floating_point():
            return None
        # As encoders list the image before their own maps.
        if tensor is capture.image:
            return None
        passed_on = capture.add(name, type(module).__name__, tensor, copy=copy)
        return None if passed_on is tensor else exchanged(output, tensor, passed_on)

    return keep


def exchanged(output: Any, tensor: Tensor, other: Tensor) -> Any:
    """Return a module's output with one tensor in it exchanged; objects of unknown make are left as they are.

    Parameters
    ----------
    output : object
        A tensor, or tuples, lists and mappings that hold one.
    tensor, other : Tensor
        Which one, and what takes its place.

    Returns
    -------
    object
        Like the output; the very same where nothing could be exchanged.
    """
    if output is tensor:
        return other
    if isinstance(output, dict):
        changed = copy_of(output)
        for key, part in output.items():
            changed[key] = exchanged(part, tensor, other)
        return changed
    if isinstance(output, tuple) and hasattr(output, "_make"):
        return output._make(exchanged(part, tensor, other) for part in output)
    if type(output) in (tuple, list):
        return type(output)(exchanged(part, tensor, other) for part in output)
    return output


def _module_name(name: str) -> str:
    """Return a layer's name without the number of the call."""
    return name.partition("#")[0]


def _version(tensor: Tensor) -> int:
    """Return how often a tensor was changed in place; inference tensors don't count."""
    return 0 if tensor.is_inference() else tensor._version  # noqa: SLF001 # PyTorch offers no other way to ask


def _fits(height: int, width: int, input_size: tuple[int, int]) -> bool:
    """Tell whether a map has the input's proportions, up to rounding."""
    return abs(height * input_size[1] - width * input_size[0]) < max(input_size)


def token_layout(tokens: int, channels: int, input_size: tuple[int, int], *, queries: int = 0) -> Layout | None:
    """Lay tokens out as a grid with the input's proportions; queries, class and register tokens come first.

    Parameters
    ----------
    tokens, channels : int
        How many there are, and the length of each.
    input_size : (int, int)
        Height and width of the network's input.
    queries : int
        How many queries the network has. As many tokens are these, and no grid.

    Returns
    -------
    Layout or None
        With up to eight tokens in front, as few as possible, or the queries and up to eight; None where no grid fits.
    """
    if tokens == queries:
        return None
    extras = [first + extra for extra in range(9) for first in sorted({0, queries}) if first + extra < tokens]
    fitting = [layout for extra in extras if (layout := _grid(tokens - extra, channels, input_size, extra))]
    # Among few tokens several grids fit up to rounding: one that fits exactly is meant.
    exact = [layout for layout in fitting if layout.height * input_size[1] == layout.width * input_size[0]]
    return next(iter(exact + fitting), None)


def _grid(tokens: int, channels: int, input_size: tuple[int, int], extra: int) -> Layout | None:
    height = round((tokens * input_size[0] / input_size[1]) ** 0.5)
    if height == 0 or tokens % height or not _fits(height, tokens // height, input_size):
        return None
    return Layout(height, tokens // height, channels, extra=extra)


def reaches(output: Tensor) -> set[Any]:
    """Return all autograd nodes that an output depends on.

    Parameters
    ----------
    output : Tensor
        A network's logits, with their graph.

    Returns
    -------
    set
        The nodes, the output's own included.
    """
    found: set[Any] = set()
    waiting = [output.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in found:
            continue
        found.add(node)
        waiting.extend(parent for parent, _ in node.next_functions)
    return found


def saved_bytes(nodes: set[Any], tensors: Iterable[Tensor], *, excluding: set[int]) -> int:
    """Return the bytes of some tensors, and of those that autograd nodes keep for the backward pass.

    Parameters
    ----------
    nodes : set
        As :func:`reaches` gives them.
    tensors : iterable of Tensor
        Further tensors; memory that is shared is counted once.
    excluding : set of int
        Storage addresses not to count: the network's own weights.

    Returns
    -------
    int
        Bytes.
    """
    sizes: dict[int, int] = {}
    for tensor in itertools.chain(tensors, _saved_tensors(nodes)):
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
    return sum(size for address, size in sizes.items() if address not in excluding)


def is_overwritten(nodes: set[Any]) -> bool:
    """Tell whether anything that autograd nodes keep for the backward pass was changed in place since.

    Parameters
    ----------
    nodes : set
        As :func:`reaches` gives them.

    Returns
    -------
    bool
        Then no gradient goes through.
    """
    return any(tensors is None for tensors in _saved(nodes))


def _saved_tensors(nodes: set[Any]) -> Iterator[Tensor]:
    for tensors in _saved(nodes):
        yield from (tensor for tensor in tensors or () if tensor.layout == torch.strided)


def _saved(nodes: set[Any]) -> Iterator[list[Tensor] | None]:
    """Give the tensors of everything that autograd nodes keep; None for what was changed in place since."""
    for node in nodes:
        for name in _names_of_saved(type(node)):  # type: ignore[arg-type] # a type can be hashed
            try:
                value = getattr(node, name)
            except RuntimeError as error:
                if "modified by an inplace operation" in str(error):
                    yield None
                continue
            values = value if isinstance(value, (tuple, list)) else (value,)
            yield [tensor for tensor in values if isinstance(tensor, Tensor)]


@functools.cache
def _names_of_saved(node: Hashable) -> tuple[str, ...]:
    """Return how what such a node keeps is called: saved_tensors in Python's functions, _saved_… each in PyTorch's."""
    return tuple(name for name in dir(node) if name.startswith("_saved_") or name == "saved_tensors")
