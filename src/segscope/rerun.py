"""The network behind a prediction, run again with other numbers at one place."""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from .errors import CannotExplain
from .layers import Captured, exchanged, first_tensor
from .randomness import other_random_numbers

if TYPE_CHECKING:
    from .forward_pass import ForwardPass
    from .model import SegmentationModel

__all__ = ["Rerun"]

# Directions share the network's own pass. More of them, or larger maps, than these at once are no faster, and whoever
# waits for the network or for the progress would wait longer.
_MOST_DIRECTIONS = 32
_WIDEST = 2**26
_PLAIN = threading.RLock()


class Rerun:
    """Logits as a function of what stands at one place of a network: its input, or a layer's output.

    Several maps are run at once. Where the network allows it, what comes before the layer is run for one image only and
    meets the many maps behind it; else for as many images as there are maps; and where a network takes one image at a
    time, one by one. Which of these holds is found out by running the kept activation again, which must give the kept
    logits. What changes is what the module hands on: where it made further outputs of the same numbers inside, those
    stay.

    Parameters
    ----------
    model : SegmentationModel
        The network.
    forward_pass : ForwardPass
        The pass that is run again.
    name : str
        The layer's name, or ``"input"``.

    Raises
    ------
    CannotExplain
        When the layer's output isn't a map, or running it again doesn't give the same logits.
    """

    def __init__(self, model: SegmentationModel, forward_pass: ForwardPass, name: str) -> None:
        self.name = name
        self._model = model
        self._pass = forward_pass
        self._captured: Captured | None = forward_pass.capture.get(name)
        output = self._captured.output if self._captured else forward_pass.input
        self.values = self._to_map(output.detach())
        self._way = next((way for way in self._ways if self._holds(way)), None)
        if self._way is None:
            raise CannotExplain(
                f"The network gives other logits when it is run again from {name!r}, so that it can't be asked what "
                "would be if something changed there: its forward is random, or keeps something from run to run."
            )

    @cached_property
    def bytes_each(self) -> int:
        """About the bytes that one map takes on its way to the logits and back."""
        return 3 * sum(self._output_bytes(shared=self._way == "shared"))

    @property
    def forward_batch(self) -> int:
        """How many directions :meth:`derivatives` takes at once with profit, within the model's memory."""
        sizes = self._output_bytes(shared=True)
        # Nothing is kept for a backward pass: some maps at the widest place, or those that wait to be joined later.
        fitting = self._model.memory // max(4 * max(sizes), sum(sizes) // 2)
        return max(1, min(fitting, _MOST_DIRECTIONS, _WIDEST // max(sizes)))

    def _output_bytes(self, *, shared: bool) -> list[int]:
        """Return the bytes of the input and of what each layer puts out, from this one on where the rest is shared."""
        outputs = self._pass.capture.outputs
        names = list(outputs)
        start = names.index(self._captured.name) if self._captured and shared else 0
        kept = [outputs[name].output for name in names[start:]]
        return [tensor.numel() * tensor.element_size() for tensor in (*kept, self._pass.input)]

    def logits(self, maps: Tensor) -> Tensor:
        """Return the logits that the network gives with these maps at the place, differentiably.

        Parameters
        ----------
        maps : Tensor
            float, B×C×h×w.

        Returns
        -------
        Tensor
            float32, B×K×h'×w' at the logits' own resolution.
        """
        return self._run(maps, self._way or "alone")

    def derivatives(self, directions: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Return how a function of the logits changes along each of some directions, by forward mode, in one run.

        What comes before the layer is run for one image only, and so is all that doesn't depend on the direction.

        Parameters
        ----------
        directions : Tensor
            float, B×C×h×w: changes of the kept values.
        function : callable
            Takes logits 1×K×h'×w', float32, and returns a tensor; of PyTorch's differentiable operations only.

        Returns
        -------
        Tensor
            B×…: the directional derivatives of what the function returns, at the kept values.

        Raises
        ------
        RuntimeError, NotImplementedError
            As PyTorch raises them, where an operation of the network has no forward mode or can't be batched.
        """
        changed = self._changed(function)

        def along(direction: Tensor) -> Tensor:
            result: Tensor = torch.func.jvp(changed, (self.values,), (direction,))[1]
            return result

        # Modes and the parameters' requires_grad can't be set inside of a transformed function, so they are before.
        with self._model.at_rest(), torch.inference_mode(mode=False), torch.no_grad(), _plain_attention():
            _warm_up()
            result: Tensor = torch.func.vmap(along)(directions)
            return result

    def linearized(self, function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """Return what :meth:`derivatives` does as a function of the directions, which works without the network.

        The network is run twice and its steps are written down; from then on only what depends on the direction is
        worked out. Networks that write over their maps may be written down wrongly: check what comes out.

        Parameters
        ----------
        function : callable
            As in :meth:`derivatives`.

        Returns
        -------
        callable
            Takes directions B×C×h×w.

        Raises
        ------
        RuntimeError, NotImplementedError
            As PyTorch raises them, where a step can't be written down.
        """
        with (
            self._model.at_rest(),
            torch.inference_mode(mode=False),
            torch.no_grad(),
            _plain_attention(),
            warnings.catch_warnings(),
        ):
            # PyTorch warns of how it keeps constants in the graph that it writes.
            warnings.simplefilter("ignore", UserWarning)
            _warm_up()
            _, along = torch.func.linearize(self._changed(function), self.values)

        def derivatives(directions: Tensor) -> Tensor:
            with torch.inference_mode(mode=False), torch.no_grad():
                result: Tensor = torch.func.vmap(along)(directions)
                return result

        return derivatives

    def _changed(self, function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda values: function(self._once(values[None], "shared"))

    def _run(self, maps: Tensor, way: str) -> Tensor:
        if way == "alone" and len(maps) > 1:
            return torch.cat([self._run(single[None], way) for single in maps])
        with self._model.at_rest(), torch.inference_mode(mode=False):
            return self._once(maps, way)

    def _once(self, maps: Tensor, way: str) -> Tensor:
        """Run the network, which is at rest already."""
        image = self._pass.input.detach()
        reading = self._pass.scores.reading
        if self._captured is None:
            return self._model.logits(maps.to(image.dtype), reading)
        with self.replacing(self._captured.from_map(maps, self._pass.input_size)):
            inputs = image if way == "shared" else image.expand(len(maps), -1, -1, -1)
            return self._model.logits(inputs, reading)

    @contextmanager
    def replacing(self, output: Tensor) -> Iterator[None]:
        """Let the layer put out something else while the context lasts.

        Parameters
        ----------
        output : Tensor
            Of the shape of the layer's output, for any number of images.

        Yields
        ------
        None
        """
        module_name, call = self._pass.capture.origin(self.name)
        calls = 0

        def replace(_module: nn.Module, _arguments: tuple[Any, ...], given: Any) -> Any:
            nonlocal calls
            calls += 1
            tensor = first_tensor(given)
            if calls != call or tensor is None:
                return None
            # A clone, since the network may write over it.
            other = exchanged(given, tensor, output.clone())
            if other is given:
                raise CannotExplain(
                    f"The layer {self.name!r} puts out a {type(given).__name__}, whose parts can't be exchanged; "
                    "choose a layer inside it."
                )
            return other

        handle = self._model.network.get_submodule(module_name).register_forward_hook(replace)
        try:
            yield
        finally:
            handle.remove()

    @property
    def _ways(self) -> tuple[str, ...]:
        return ("repeated", "alone") if self._captured is None else ("shared", "repeated", "alone")

    def _holds(self, way: str) -> bool:
        """Tell whether the kept activation gives the kept logits in this way, another map's among them or not."""
        kept = self._pass.logits.detach()
        maps = torch.stack([self.values, torch.zeros_like(self.values), self.values])
        # From here on, a network that draws random numbers draws others than it did.
        with torch.no_grad(), other_random_numbers():
            try:
                logits = self._run(maps, way)
            except CannotExplain:
                raise
            except Exception:  # noqa: BLE001  # a network that can't be run so may raise anything
                return False
        if logits.shape != (3, *kept.shape[1:]):
            return False
        precision = 1e-4 if self._model.dtype in (torch.float32, torch.float64) else 2e-2
        return bool((logits[::2] - kept).abs().max() <= precision * kept.abs().max().clamp(min=1e-6))

    def _to_map(self, output: Tensor) -> Tensor:
        found = self._captured.to_map(output, self._pass.input_size) if self._captured else output
        return found[0].float()


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Let attention be worked out step by step: its fused forms have no forward mode."""
    # One after the other: these settings are the whole process's.
    with _PLAIN:
        fused = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            with sdpa_kernel(SDPBackend.MATH):
                yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fused)


@functools.cache
def _warm_up() -> None:
    """Use forward mode once: PyTorch then loads formulas, and warns of its own use of what it deprecates."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.func.jvp(torch.sin, (torch.zeros(1),), (torch.ones(1),))
