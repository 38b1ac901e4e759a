"""One run of a network on one image: what every layer put out, and the gradients that go back through it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .errors import CannotExplain, UnknownName, UnsupportedNetwork
from .layers import INPUT, Capture, Layer, reaches, saved_bytes

if TYPE_CHECKING:
    from .outputs import Logits
    from .target import Scored

__all__ = ["ForwardPass"]

_SOME = 4096


@dataclass
class ForwardPass:
    """What one run of the network left behind, with its graph.

    Parameters
    ----------
    input : Tensor
        1×C×h×w, requires a gradient.
    scores : Logits
        The class scores, how they were read, and their temperature.
    capture : Capture
        The layers' outputs.
    """

    input: Tensor
    scores: Logits
    capture: Capture

    @property
    def logits(self) -> Tensor:
        """float32, 1×K×h×w, at the network's own resolution."""
        return self.scores.values

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the network's input."""
        return self.input.shape[2], self.input.shape[3]

    @cached_property
    def nodes(self) -> set[Any]:
        """The autograd nodes that the logits depend on."""
        return reaches(self.logits)

    def layers(self, offered: Sequence[str] | None) -> dict[str, Layer]:
        """Return the layers that can be explained, in the order in which the network runs them.

        Parameters
        ----------
        offered : sequence of str, optional
            Names of the layers to choose from, in their own order; all without it.

        Returns
        -------
        dict
            Name, type and size by name, of those whose output is a map that the logits depend on.

        Raises
        ------
        UnknownName
            When there is no layer of a name.
        """
        for name in offered or ():
            if name not in self.capture:
                raise UnknownName("layer", name, self.capture.names())
        found = {
            name: self.capture[name].describe(self.input_size)
            for name in (self.capture.outputs if offered is None else offered)
            if self.capture[name].intact and self.capture[name].output.grad_fn in self.nodes
        }
        # A layer with several names has the one that it was asked for by.
        return {
            name: Layer(name, layer.type, layer.channels, layer.height, layer.width)
            for name, layer in found.items()
            if layer is not None
        }

    def output(self, name: str) -> Tensor:
        """Return what a layer put out, as it did and with its graph.

        Parameters
        ----------
        name : str
            Its name, or ``"input"``.

        Returns
        -------
        Tensor
            Of any shape.

        Raises
        ------
        UnknownName
            When there is no such layer.
        """
        if name in self.capture:
            return self.capture[name].output
        if name == INPUT:
            return self.input
        raise UnknownName("layer", name, dict.fromkeys((*self.layers(None), INPUT, *self.capture.names())))

    def outputs(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Return what several layers put out, by name; as :meth:`output` does for each."""
        return {name: self.output(name) for name in names}

    def activation(self, name: str) -> Tensor:
        """Return the map that a layer put out.

        Parameters
        ----------
        name : str
            Its name, or ``"input"``.

        Returns
        -------
        Tensor
            float32, C×h×w.

        Raises
        ------
        CannotExplain
            When its output isn't a map, or was overwritten.
        UnknownName
            When there is no such layer.
        """
        return self._to_map(name, self.output(name).detach())

    def activations_and_gradients(
        self, question: Scored, names: Sequence[str]
    ) -> dict[str, tuple[Tensor, Tensor] | CannotExplain]:
        """Return the maps of layers and the score's gradients by them, from one backward pass.

        Parameters
        ----------
        question : Question
            Anything with such a ``score``.
        names : sequence of str
            Names of layers, or ``"input"``. The backward pass ends at the earliest of them.

        Returns
        -------
        dict
            For each layer two float32 C×h×w tensors, or the error that says why it can't be explained.

        Raises
        ------
        UnknownName
            When there is no such layer.
        UnsupportedNetwork
            When gradients don't flow through the network.
        """
        usable = {name: output for name, output in self.outputs(names).items() if output.requires_grad}
        gradients = dict(zip(usable, self._backward(question, list(usable.values())), strict=True))
        return {name: self._pair(name, gradients.get(name)) for name in names}

    def nbytes(self, network: nn.Module) -> int:
        """Return the bytes that are held beside the network's own weights.

        Parameters
        ----------
        network : Module
            The network.

        Returns
        -------
        int
            Memory that is shared is counted once.
        """
        weights = {tensor.untyped_storage().data_ptr() for tensor in (*network.parameters(), *network.buffers())}
        kept = [captured.output for captured in self.capture.outputs.values() if captured.kept]
        return saved_bytes(self.nodes, [*kept, self.input, self.logits], excluding=weights)

    def _backward(self, question: Scored, outputs: list[Tensor]) -> Sequence[Tensor | None]:
        if not outputs:
            return []
        with torch.inference_mode(mode=False), torch.enable_grad():
            score = question.score(self.logits).sum()
            try:
                return torch.autograd.grad(score, outputs, retain_graph=True, allow_unused=True)
            except RuntimeError as error:
                if "modified by an inplace operation" not in str(error):
                    raise
                raise UnsupportedNetwork(
                    "What the backward pass needs was overwritten: the network's weights were changed after this "
                    "prediction was made (then predict the image again), or its forward works in place where gradients "
                    "can't follow."
                ) from error

    def _pair(self, name: str, gradient: Tensor | None) -> tuple[Tensor, Tensor] | CannotExplain:
        try:
            activation = self.activation(name)
        except CannotExplain as error:
            return error
        if gradient is None or _is_zero(gradient):
            return CannotExplain(
                f"The layer {name!r} doesn't influence this score: its gradient is "
                f"{'missing' if gradient is None else 'zero everywhere'}. Choose another layer, class or region."
            )
        return activation, self._to_map(name, gradient)

    def _to_map(self, name: str, values: Tensor) -> Tensor:
        captured = self.capture.get(name)
        return (captured.to_map(values, self.input_size) if captured else values)[0].float()


def _is_zero(values: Tensor) -> bool:
    # A few numbers in a row nearly always settle it; to look at all of them takes as long as to make the map.
    some = values.flatten()[values.numel() // 2 :][:_SOME]
    return not (bool(some.any()) or bool(values.any()))
