"""Keras 3 networks on the torch backend: a saved file, or what a function returns."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..errors import InvalidInput, MissingExtra
from ..model import SegmentationModel
from ..preprocess import Preprocess
from .base import Made, Order, Source, required

__all__ = ["SOURCE", "KerasNetwork", "adapted", "load_weights", "torch_backend"]

_BACKEND = "KERAS_BACKEND"
_WHOLE = "(model)"
_EXPLAIN = (
    "Keras runs on {backend!r} here, and segscope needs 'torch': set the environment variable KERAS_BACKEND=torch "
    "before Python starts. Weights and .keras files of other backends can be loaded then."
)
_REBUILD = (
    "Where it has classes of your own, or comes from Keras 2, write a function that builds or loads the model with "
    "Keras 3, and load it as file.py:function; its weights come with --weights (weights=… in Python), and may be in a "
    ".keras or .h5 file of Keras 2 too."
)
_SAVED_MODEL = (
    "The model source {source!r} is a folder, as model.export writes for TensorFlow: it holds operations and no "
    "layers. Save the model with model.save('model.keras') where it was trained, and load that file."
)


class KerasNetwork(nn.Module):
    """A Keras model as a PyTorch network: images come as B×C×h×w, and layers have their Keras names.

    Parameters
    ----------
    model : keras.Model
        On the torch backend. Layers of a model inside it are called ``outer/inner``.
    channels_last : bool
        Whether the model takes B×h×w×C.
    """

    def __init__(self, model: Any, *, channels_last: bool) -> None:
        super().__init__()
        self.channels_last = channels_last
        # Modules are known by the first name that leads to them: layers come before the model that holds them.
        # Layers may be called like an attribute of a module ("half", "type"), which add_module refuses.
        self._modules.update(_named_layers(model))
        self._modules[_WHOLE] = model

    @property
    def keras_model(self) -> Any:
        """The Keras model."""
        return self._modules[_WHOLE]

    def get_submodule(self, target: str) -> nn.Module:
        """Return a layer by its name, whatever it is called.

        Parameters
        ----------
        target : str
            The name.

        Returns
        -------
        Module
            The layer.
        """
        return self._modules.get(target) or super().get_submodule(target)

    def forward(self, images: Tensor) -> Any:
        """Return what the model puts out.

        Parameters
        ----------
        images : Tensor
            float, B×C×h×w.

        Returns
        -------
        object
            As the model returns it.
        """
        return self.keras_model(images.permute(0, 2, 3, 1) if self.channels_last else images, training=False)


def adapted(made: Any) -> Any:
    """Return a Keras model as a :class:`SegmentationModel`, and anything else as it is.

    Parameters
    ----------
    made : object
        What a function returned.

    Returns
    -------
    object
        The model that takes images as segscope gives them.

    Raises
    ------
    InvalidInput
        When Keras doesn't run on PyTorch.
    """
    keras = sys.modules.get("keras")
    model_class = getattr(keras, "Model", None)
    if model_class is None or not isinstance(made, model_class):
        return made
    return _model(_on_torch(keras), made)


def load_weights(network: KerasNetwork, path: Path, source: str) -> None:
    """Load a file of Keras weights into a network, whatever backend they were trained on.

    Parameters
    ----------
    network : KerasNetwork
        The network.
    path : Path
        A ``.weights.h5``, ``.keras`` or ``.h5`` file.
    source : str
        The whole source, for messages.

    Raises
    ------
    InvalidInput
        When the file can't be read, or its weights are another network's.
    """
    try:
        network.keras_model.load_weights(path)
    except Exception as error:
        raise InvalidInput(
            f"The weights {str(path)!r} don't fit the network of {source!r}, or can't be read: {type(error).__name__}: "
            f"{_shortened(error)}. Expected a .weights.h5, .keras or .h5 file of the same layers."
        ) from error


@contextmanager
def torch_backend() -> Iterator[None]:
    """Let Keras choose the torch backend where it is imported first and nobody chose another.

    Yields
    ------
    None

    Raises
    ------
    InvalidInput
        When another backend was chosen, and its package is missing.
    ImportError
        As it was, where something else can't be imported.
    MissingExtra
        Likewise.
    """
    chosen = os.environ.get(_BACKEND)
    os.environ.setdefault(_BACKEND, "torch")
    try:
        yield
    except (ImportError, MissingExtra) as error:
        if chosen is not None and f"'{chosen}'" in str(error):
            raise InvalidInput(_EXPLAIN.format(backend=chosen)) from error
        raise
    finally:
        if chosen is None:
            del os.environ[_BACKEND]


def _load(order: Order) -> Made:
    with torch_backend():
        keras = _on_torch(required("keras", extra="keras"))
    if Path(order.rest).expanduser().is_dir():
        raise InvalidInput(_SAVED_MODEL.format(source=order.source))
    path = order.file()
    if order.random:
        order.refuse_weights(why="is a file that holds its weights")
    if path.name.endswith(".weights.h5"):
        raise InvalidInput(
            f"The model source {order.source!r} holds weights and no model; write a function that builds the model, "
            "and load it as file.py:function with --weights (weights=… in Python)."
        )
    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:
        raise InvalidInput(
            f"The model source {order.source!r} can't be loaded: {type(error).__name__}: {_shortened(error)}. "
            f"{_REBUILD}"
        ) from error
    made = _model(keras, model)
    if order.weights is not None:
        load_weights(made.network, order.weights, order.source)  # type: ignore[arg-type] # as made above
    return made


def _shortened(error: Exception) -> str:
    """Return the first line, without the whole configuration that Keras adds."""
    return re.split(r"\n| Full object config| using config=", str(error).strip(), maxsplit=1)[0].rstrip(".:")


def _on_torch(keras: Any) -> Any:
    backend = keras.config.backend()
    if backend != "torch":
        raise InvalidInput(_EXPLAIN.format(backend=backend))
    return keras


def _model(keras: Any, model: Any) -> SegmentationModel:
    shape = _input_shape(model)
    last = _is_channels_last(keras, shape)
    height, width, channels = shape[1:] if last else (*shape[2:], shape[1])
    return SegmentationModel(
        KerasNetwork(model, channels_last=last).eval(),
        preprocess=Preprocess(
            (height, width) if height and width else None, channels=channels, std=1 / 255 if _rescales(model) else 1.0
        ),
        channels_last=last,
        name=model.name,
    )


def _input_shape(model: Any) -> tuple[int | None, ...]:
    """Return the sizes of the image's axes, None where they are free or the model doesn't say."""
    shape = getattr(model, "input_shape", None) if getattr(model, "inputs", None) else None
    if isinstance(shape, (list, dict)):
        raise InvalidInput(f"The Keras model {model.name!r} takes {len(shape)} inputs; expected one, the image.")
    if shape is not None and len(shape) != 4:
        raise InvalidInput(f"The Keras model {model.name!r} takes {len(shape)} axes; expected batch, image and bands.")
    return (None, None, None, None) if shape is None else tuple(shape)


def _is_channels_last(keras: Any, shape: tuple[int | None, ...]) -> bool:
    if (shape[1] is None) != (shape[3] is None):
        return shape[3] is not None
    return str(keras.config.image_data_format()) == "channels_last"


def _rescales(model: Any) -> bool:
    """Whether the model itself divides pixels by 255 or normalises them, so that it takes 0..255."""
    layers = [layer for _, layer in _named_layers(model)][:4]
    return any(type(layer).__name__ in ("Rescaling", "Normalization") for layer in layers)


def _named_layers(model: Any, before: str = "") -> list[tuple[str, Any]]:
    """Return a model's layers by name, those of models inside it first."""
    found: list[tuple[str, Any]] = []
    for layer in getattr(model, "layers", ()):
        name = f"{before}{layer.name}".replace(".", "_")
        if type(layer).__name__ == "InputLayer":
            continue
        found += _named_layers(layer, f"{name}/")
        found.append((name, layer))
    return found


SOURCE = Source(
    scheme="keras",
    form="keras:FILE",
    summary="A Keras 3 model, run on the torch backend.",
    load=_load,
    extra="keras",
)
