"""Layer-wise relevance propagation, by the rules of zennit."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ..errors import CannotExplain, MissingExtra
from ..layers import INPUT, Capture, capturing
from ..outputs import Reading, find_again, read_tensor_again
from ..relevance import RelevanceMode
from .base import Answer, Method, Parameter, register

if TYPE_CHECKING:
    from ..forward_pass import ForwardPass
    from ..prediction import Prediction
    from ..progress import Progress
    from ..target import Question

__all__ = ["lrp"]

COMPOSITES = (
    "epsilon-plus-flat",
    "epsilon-plus",
    "epsilon-alpha2-beta1-flat",
    "epsilon-alpha2-beta1",
    "epsilon-gamma-box",
    "epsilon",
)
_GAMMA = 0.25
_STABILIZER = 1e-6
_PRECISION = 1e-4
# Zennit's rules keep one input for each of these, so that they can be run only once.
_WITH_WEIGHTS = (
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
    nn.Linear,
)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class _First(NamedTuple):
    """The first module with weights that a network runs, and what comes into it."""

    name: str
    input: Tensor


def lrp(
    prediction: Prediction, question: Question, layers: Sequence[str], *, composite: str, epsilon: float
) -> dict[str, Tensor]:
    """Hand the score back from module to module, each dividing what it gets among its inputs.

    Parameters
    ----------
    prediction : Prediction
        The image.
    question : Question
        The score.
    layers : sequence of str
        Names of layers, or ``"input"``.
    composite : str
        Which rule each kind of module follows.
    epsilon : float
        Added to the denominators of the epsilon rule, with their sign.

    Returns
    -------
    dict
        For each layer float32, h×w, in units of the score; positive for the class, negative against it. Without biases
        the map of each layer adds up to the score, where all of it passes through the layer.

    Raises
    ------
    CannotExplain
        When the network holds what no rule is known for.
    MissingExtra
        When zennit isn't installed.

    Notes
    -----
    Bach et al. 2015; the composites are those of Montavon et al. 2019 and of zennit (Anders et al. 2021). The network
    itself isn't touched: a copy is, with batch normalisation merged into the convolution or linear layer before it.
    What enters the logits is each logit times the score's derivative by it; for probabilities this is a first-order
    share, which doesn't add up to the score. Nor does alpha-2-beta-1, where a unit has nothing that speaks against it.
    Functions without a module follow :class:`~segscope.relevance.RelevanceMode`. The box of the first layer in
    ``epsilon-gamma-box`` spans, in each channel, the values of this image, and those of black and white after
    preprocessing.
    """
    composites = _import_composites()
    kept = prediction.kept_pass
    if kept.scores.reading.probabilities:
        raise CannotExplain(
            "The network puts out probabilities, and relevance can't be handed back through its last softmax or "
            "sigmoid; give the network without that, or choose another method."
        )
    mode = RelevanceMode(epsilon=epsilon if composite == "epsilon" else _STABILIZER)
    for merged in (True, False):
        try:
            network, first = _copy(prediction, merged=merged)
            rules = composites(composite, first.name, *_box(prediction, first), epsilon)
            found = _propagate(network, kept, question, layers, rules=rules, mode=mode)
        except CannotExplain:
            raise
        except Exception as error:
            raise CannotExplain(
                "Relevance can't be handed back through a copy of this network, which failed with "
                f"{type(error).__name__}: {error}. Choose another method."
            ) from error
        if found is not None:
            return found
    raise CannotExplain(
        "A copy of the network gives other logits than the network itself, so that its relevance can't be told: its "
        "forward is random, keeps something from run to run, or writes over maps in place. Choose another method."
    )


def _run(
    prediction: Prediction,
    question: Question,
    layers: Sequence[str],
    parameters: Mapping[str, Any],
    progress: Progress,
) -> dict[str, Answer]:
    progress.expect(4)
    pairs = prediction.activations_and_gradients(question, layers)
    progress.advance()
    answers: dict[str, Answer] = {layer: pair for layer, pair in pairs.items() if isinstance(pair, CannotExplain)}
    asked = [layer for layer in layers if layer not in answers]
    if asked:
        try:
            answers |= lrp(prediction, question, asked, **parameters)
        except CannotExplain as error:
            answers |= dict.fromkeys(asked, error)
        progress.advance(3)
    return answers


register(
    Method(
        run=_run,
        quick=False,
        name="lrp",
        family="relevance",
        title="LRP",
        summary="Layer-wise relevance propagation: the score handed back layer by layer, shared among what made it up.",
        citation="Bach et al. 2015, On pixel-wise explanations for non-linear classifier decisions by layer-wise "
        "relevance propagation",
        url="https://doi.org/10.1371/journal.pone.0130140",
        cannot="What biases contribute is lost on the way, so that maps add up to more or less than the score; rules "
        "are a choice, and maps differ between them; what isn't a module of its own (additions, interpolations, "
        "convolutions by function) follows the epsilon rule whatever the composite, joins and maximum pooling the "
        "gradient, and other functions of single numbers pass relevance on; gates and attention have no rule, so that "
        "networks with them aren't served.",
        at="input",
        signed=True,
        parameters=(
            Parameter(
                name="composite",
                kind="choice",
                default="epsilon-plus-flat",
                choices=COMPOSITES,
                description="Rules for linear layers, convolutions, and the first of them: epsilon for linear layers; "
                "z-plus, alpha-2-beta-1 or gamma for convolutions; flat or the box of pixel values for the first; or "
                "epsilon for all.",
            ),
            Parameter(
                name="epsilon",
                kind="float",
                default=1e-6,
                minimum=1e-9,
                maximum=10.0,
                description="Added to the epsilon rule's denominators: larger values leave out weak contributions.",
            ),
        ),
    )
)


def _import_composites() -> Callable[..., Any]:
    """Return the function that makes zennit's rules; zennit is an extra."""
    try:
        from zennit.core import Composite
        from zennit.rules import AlphaBeta, Epsilon, Flat, Gamma, ZBox, ZPlus
        from zennit.types import Convolution
    except (ImportError, OSError, RuntimeError) as error:  # a torchvision that doesn't fit PyTorch raises these too
        raise MissingExtra(
            f"Layer-wise relevance propagation needs zennit, which can't be imported ({error}); install it with "
            "pip install 'segscope[lrp]'."
        ) from error

    def make(composite: str, first: str, low: Tensor, high: Tensor, epsilon: float) -> Any:
        dense = Epsilon(epsilon=epsilon)
        convolution = {
            "epsilon-plus-flat": ZPlus(),
            "epsilon-plus": ZPlus(),
            "epsilon-alpha2-beta1-flat": AlphaBeta(alpha=2, beta=1),
            "epsilon-alpha2-beta1": AlphaBeta(alpha=2, beta=1),
            "epsilon-gamma-box": Gamma(gamma=_GAMMA),
            "epsilon": dense,
        }[composite]
        firsts = {
            "epsilon-plus-flat": Flat(),
            "epsilon-alpha2-beta1-flat": Flat(),
            "epsilon-gamma-box": ZBox(low, high),
        }

        def rule_of(_context: object, name: str, module: nn.Module) -> Any:
            if name == first and composite in firsts:
                return firsts[composite]
            if isinstance(module, Convolution):
                return convolution
            return dense if isinstance(module, nn.Linear) else None

        return Composite(module_map=rule_of)

    return make


def _copy(prediction: Prediction, *, merged: bool) -> tuple[nn.Module, _First]:
    """Copy a network for rules that look at each module's weights; batch norm becomes part of them."""
    with prediction.model.at_rest():
        network = copy.deepcopy(prediction.model.network)
    for module in network.modules():
        for name in list(getattr(module, "parametrizations", {})):
            weights = getattr(module, name).detach()
            parametrize.remove_parametrizations(module, name)
            delattr(module, name)
            setattr(module, name, nn.Parameter(weights, requires_grad=False))
    first, pairs = _trace(network, prediction.kept_pass.input.detach().clone())
    if merged and pairs:
        from zennit.canonizers import NamedMergeBatchNorm

        NamedMergeBatchNorm([([linear], norm) for linear, norm in pairs]).apply(network)
    return network, first


def _trace(network: nn.Module, image: Tensor) -> tuple[_First, list[tuple[str, str]]]:
    """Run a network, and find the first module with weights, and which batch norm comes right after which module."""
    called: dict[str, Tensor] = {}
    made: dict[int, tuple[str, Tensor]] = {}
    pairs: list[tuple[str, str]] = []

    def look(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, given: tuple[Any, ...], output: Tensor) -> None:
            if isinstance(module, _WITH_WEIGHTS):
                _check_module(name, module, called)
                called[name] = given[0]
                made[id(output)] = name, output
            elif id(given[0]) in made and _can_be_merged(network.get_submodule(made[id(given[0])][0]), module):
                pairs.append((made[id(given[0])][0], name))

        return hook

    kinds = (*_WITH_WEIGHTS, *_NORMS)
    handles = [
        module.register_forward_hook(look(name))
        for name, module in network.named_modules()
        if isinstance(module, kinds)
    ]
    try:
        with torch.no_grad():
            network(image)
    finally:
        for handle in handles:
            handle.remove()
    # One that is run several times normalises what several modules made.
    norms = [norm for _, norm in pairs]
    name = next(iter(called), "")
    return _First(name, called.get(name, image)), [pair for pair in pairs if norms.count(pair[1]) == 1]


def _check_module(name: str, module: nn.Module, called: Mapping[str, Tensor]) -> None:
    if name in called:
        raise CannotExplain(
            f"The module {name!r} is run more than once in one pass, and the rules of relevance propagation know only "
            "one input of each; choose another method."
        )
    if "weight" not in dict(module.named_parameters(recurse=False)):
        raise CannotExplain(
            f"The weights of the module {name!r} are computed whenever it runs, so that rules can't change them; "
            "choose another method."
        )


def _can_be_merged(module: nn.Module, norm: nn.Module) -> bool:
    known = all(getattr(norm, key, None) is not None for key in ("weight", "bias", "running_mean", "running_var"))
    # The weights of grouped transposed convolutions are laid out otherwise than the merging takes for granted.
    return known and not (isinstance(module, nn.modules.conv._ConvTransposeNd) and module.groups > 1)  # noqa: SLF001


def _box(prediction: Prediction, first: _First) -> tuple[Tensor, Tensor]:
    """Return the lowest and highest value of each channel that comes into the first module with weights, 1×C×1×1."""
    axes = tuple(range(2, first.input.ndim))
    low, high = first.input.amin(axes, keepdim=True), first.input.amax(axes, keepdim=True)
    if torch.equal(first.input, prediction.kept_pass.input):
        preprocess = prediction.model.preprocess
        mean, std = (torch.as_tensor(value).reshape(1, -1, 1, 1).to(low) for value in (preprocess.mean, preprocess.std))
        low, high = torch.minimum(low, (0 - mean) / std), torch.maximum(high, (1 - mean) / std)
    return low, high


def _propagate(
    network: nn.Module,
    kept: ForwardPass,
    question: Question,
    layers: Sequence[str],
    *,
    rules: Any,
    mode: RelevanceMode,
) -> dict[str, Tensor] | None:
    """Return the relevance at each layer; None when the network gives other logits than were kept."""
    for module in network.modules():
        if isinstance(module, _WITH_WEIGHTS):
            module.forward = mode.module(module.forward)  # type: ignore[method-assign] # of a copy
    reading, leaf = kept.scores.reading, kept.input.detach().clone().requires_grad_()
    with torch.enable_grad(), rules.context(network), capturing(network, copy=None) as capture:
        with mode:
            # A clone, since a network may write over its input.
            capture.image = leaf.clone()
            scores = find_again(network(capture.image), reading)
        logits = read_tensor_again(scores, reading).detach()
        if (logits - kept.logits.detach()).abs().max() > _PRECISION * kept.logits.abs().max():
            return None
        outputs = [leaf if name == INPUT and name not in capture else capture[name].output for name in layers]
        shares = torch.autograd.grad(scores, outputs, _shares(question, scores, reading), allow_unused=True)
        return {
            name: _map_of(name, share, capture, kept.input_size) for name, share in zip(layers, shares, strict=True)
        }


def _shares(question: Question, scores: Tensor, reading: Reading) -> Tensor:
    """Return each number's share in the score: the number times the score's derivative by it."""
    leaf = scores.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(question.score(read_tensor_again(leaf, reading)).sum(), leaf)
    return leaf.detach() * gradient


def _map_of(name: str, share: Tensor | None, capture: Capture, input_size: tuple[int, int]) -> Tensor:
    captured = capture.get(name)
    if share is None:
        raise CannotExplain(f"No relevance reaches the layer {name!r}; choose another layer.")
    return (captured.to_map(share, input_size) if captured else share)[0].sum(dim=0).float()
