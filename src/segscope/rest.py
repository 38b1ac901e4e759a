"""The network that was handed over, while it is run: evaluated, alone, and left as it was."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary, WeakSet

from torch import nn

from .randomness import keeping_random_numbers

__all__ = ["at_rest", "bare", "holds_network", "warn_of_training"]

_HELD = threading.local()
_LOCKS: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()
_LOCKS_LOCK = threading.Lock()
_WARNED: WeakSet[nn.Module] = WeakSet()
_NORMS = (nn.modules.batchnorm._BatchNorm,)  # noqa: SLF001  # what all batch norms derive from has no public name


def bare(network: nn.Module) -> nn.Module:
    """Return a network without what ``torch.compile``, ``DataParallel`` and the like put around it.

    Parameters
    ----------
    network : Module
        As it was handed over.

    Returns
    -------
    Module
        With the same weights. Its layers can be seen, while compiled ones run together as one.
    """
    while True:
        if isinstance(network, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            network = network.module
        elif (compiled := dict(network.named_children()).get("_orig_mod")) is not None:
            network = compiled
        else:
            return network


def warn_of_training(network: nn.Module, *, stacklevel: int) -> None:
    """Warn, once for each network, where batch norms are in training mode, in which they would go by the image at hand.

    Parameters
    ----------
    network : Module
        As it was handed over.
    stacklevel : int
        How many callers up it was.
    """
    norms = [module for module in network.modules() if isinstance(module, _NORMS)]
    training = sum(module.training for module in norms)
    if training and network not in _WARNED:
        _WARNED.add(network)
        warnings.warn(
            f"Batch norms of the network ({training} of {len(norms)}) are in training mode, where they would normalise "
            "by the image itself. It is evaluated as after network.eval(), and its mode is left as it is; call "
            "network.eval() before handing it over, so that your own numbers are the same.",
            stacklevel=stacklevel + 1,
        )


@contextmanager
def at_rest(network: nn.Module) -> Iterator[None]:
    """Hold a network in ``eval()`` mode, uncompiled and with its parameters frozen; no other thread uses it meanwhile.

    Modes, ``requires_grad``, what is compiled and the global random numbers are as they were afterwards.

    Parameters
    ----------
    network : Module
        The :func:`bare` network.

    Yields
    ------
    None
    """
    with _lock_of(network), _uncompiled(network), _evaluated(network), keeping_random_numbers():
        _HELD.depth = getattr(_HELD, "depth", 0) + 1
        try:
            yield
        finally:
            _HELD.depth -= 1


def holds_network() -> bool:
    """Return whether this thread has a network :func:`at_rest`, which no other can use meanwhile."""
    return bool(getattr(_HELD, "depth", 0))


def _lock_of(network: nn.Module) -> threading.RLock:
    """Return the lock that all models of a network share, since its modes and hooks are set during a pass."""
    with _LOCKS_LOCK:
        return _LOCKS.setdefault(network, threading.RLock())


@contextmanager
def _evaluated(network: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in network.modules()]
    required = [(parameter, parameter.requires_grad) for parameter in network.parameters()]
    try:
        for module, _ in modes:
            module.training = False
        for parameter, _ in required:
            parameter.requires_grad_(False)
        yield
    finally:
        for module, training in modes:
            module.training = training
        for parameter, requires_grad in required:
            parameter.requires_grad_(requires_grad)


@contextmanager
def _uncompiled(network: nn.Module) -> Iterator[None]:
    """Put modules in the place of what was wrapped around them, and call what was compiled in place as it was."""
    wrapped = [
        (parent, name, child)
        for parent in network.modules()
        for name, child in parent.named_children()
        if bare(child) is not child
    ]
    compiled = [(module, call) for module in network.modules() if (call := vars(module).get("_compiled_call_impl"))]
    try:
        for parent, name, child in wrapped:
            setattr(parent, name, bare(child))
        for module, _ in compiled:
            module._compiled_call_impl = None  # noqa: SLF001  # Module.compile() has no counterpart
        yield
    finally:
        for parent, name, child in wrapped:
            setattr(parent, name, child)
        for module, call in compiled:
            module._compiled_call_impl = call  # noqa: SLF001
