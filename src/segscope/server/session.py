"""What all visitors of a server share: the model, its images and its predictions."""

from __future__ import annotations

import asyncio
import copy
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from fastapi import Request
from numpy.typing import NDArray
from PIL import Image

from ..attribution import Attribution, Cost
from ..cache import PredictionCache
from ..errors import CannotExplain
from ..methods import find_method
from ..model import SegmentationModel
from ..prediction import Prediction
from ..windows import Cut
from .answers import Answer, Answers, key_of
from .gallery import Gallery, GalleryImage
from .kept import KeptBytes
from .origin import Origin
from .pictures import corner, encode_shown, encode_small
from .questions import explain, renew
from .reasons import encode_reasons
from .sameness import Sameness
from .schemas import AttributionRequest, ReasonsRequest, TableRequest
from .statistics import Statistics
from .summary import Summary, summarize
from .tables import encode_table
from .work import LONG_AT_ONCE, Tell, Work

__all__ = ["DEFAULT_MEMORY", "Session"]

DEFAULT_MEMORY = 2 * 2**30
"""Bytes that predictions, answers, tables and what is being computed may take together."""

# A quarter of it is for the batches of long work, smaller parts for its answers and for tables; predictions have the
# rest.
_BATCHES = 1 / 4
_ANSWERS = 1 / 32
_TABLES = 1 / 8

_KEPT_SUMMARIES = 100_000

Result = TypeVar("Result")


class Session:
    """One model over one gallery, with the most recent predictions kept.

    All but :attr:`work` blocks: routes call it by :meth:`Work.on_network` or :meth:`Work.on_pictures`.

    Parameters
    ----------
    model : SegmentationModel
        The network that answers.
    gallery : Gallery
        The images.
    memory : int
        Bytes that kept predictions, answers and tables, and batches of passes may take together. The batches' part
        bounds how many passes a method runs at once, but it is always one at least.
    origin : Origin, optional
        Where model and images come from; they came as objects otherwise.

    Raises
    ------
    InvalidInput
        When the bound isn't positive.
    """

    def __init__(
        self, model: SegmentationModel, gallery: Gallery, *, memory: int = DEFAULT_MEMORY, origin: Origin | None = None
    ) -> None:
        batches, answers, tables = (max(0, int(memory * part)) for part in (_BATCHES, _ANSWERS, _TABLES))
        self.predictions = PredictionCache(memory - batches - answers - tables)
        self.answers = Answers(answers)
        self.tables = KeptBytes(tables)
        # A copy, which shares the network: the model that came is its owner's.
        self.model = copy.copy(model)
        self.model.memory = min(model.memory, batches // LONG_AT_ONCE)
        self.gallery = gallery
        self.origin = origin or Origin()
        self.work = Work()
        self.sameness = Sameness()
        self.statistics = Statistics(self.model, gallery, self.work, self.measure)
        self._predicting: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._summaries: OrderedDict[tuple[str, str], Summary] = OrderedDict()
        self._lock = threading.Lock()

    async def ready(self, request: Request, image: GalleryImage, *, name: str | None) -> None:
        """Predict an image that the network sees in windows, since that takes long, unless it is kept.

        Parameters
        ----------
        request : Request
            Whose answer needs it.
        image : GalleryImage
            The image.
        name : str, optional
            Under which the visitor asks how far it is.

        Raises
        ------
        SegscopeError
            As :meth:`segscope.SegmentationModel.predict` and :meth:`Work.at_length` do.
        """
        if self.windows(image) == 1:
            return
        key = (image.id, image.version)
        # Others who need it wait here, where they hold neither the network nor a thread.
        async with self._predicting.setdefault(key, asyncio.Lock()):
            if key not in self.predictions:
                await self.work.at_length(
                    request, lambda tell: self.predictions.get(key, lambda: self._predict(image, tell)), name=name
                )

    def windows(self, image: GalleryImage) -> int:
        """Return in how many windows the network sees an image; where it is more than one, all takes long."""
        cut = self._cut(image)
        return 1 if cut is None else len(cut.windows)

    def _cut(self, image: GalleryImage) -> Cut | None:
        return self.model.cut((image.height, image.width))

    def prediction(self, image: GalleryImage) -> Prediction:
        """Return the prediction of an image, made now if it isn't kept.

        Parameters
        ----------
        image : GalleryImage
            The image.

        Returns
        -------
        Prediction
            Of that image.

        Raises
        ------
        SegscopeError
            As :meth:`segscope.SegmentationModel.predict` does.
        """
        return self.predictions.get((image.id, image.version), lambda: self._predict(image))

    async def answer(
        self,
        request: Request,
        image: GalleryImage,
        question: AttributionRequest,
        read: Callable[[Attribution], Result],
        *,
        name: str | None,
    ) -> Result:
        """Answer a question where the network runs, quickly or at length.

        Parameters
        ----------
        request : Request
            Whose answer it is.
        image : GalleryImage
            The image.
        question : AttributionRequest
            The question.
        read : callable
            Takes what is wanted from the attribution, where the network runs.
        name : str, optional
            Under which the visitor asks how far the answer is, where it takes long.

        Returns
        -------
        Result
            What was taken.

        Raises
        ------
        SegscopeError
            As :meth:`segscope.Prediction.explain` and :meth:`Work.at_length` do.
        """

        def find(tell: Tell | None = None) -> Result:
            return read(self._explain(image, question, tell))

        if self._is_quick(image, question) or key_of(image, question) in self.answers:
            return await self.work.on_network(request, find)
        return await self.work.at_length(request, find, name=name)

    def _explain(self, image: GalleryImage, question: AttributionRequest, tell: Tell | None) -> Attribution:
        """Return the attribution; what takes long is computed once as long as its answer is kept."""
        prediction = self.prediction(image)
        if self._is_quick(image, question):
            return explain(prediction, image, question)
        key = key_of(image, question)
        known = self.answers.find(key)
        if known is not None:
            return renew(prediction, image, question, known)
        attribution = explain(prediction, image, question, progress=tell)
        # What others took meanwhile isn't its cost.
        seconds = attribution.cost.seconds - (tell.waited if tell else 0.0)
        attribution.cost = Cost(max(0.0, seconds), attribution.cost.passes)
        self.answers.keep(key, Answer(attribution.layer, attribution.map, attribution.cost, attribution.measures))
        return attribution

    def _is_quick(self, image: GalleryImage, question: AttributionRequest) -> bool:
        return find_method(question.method).quick and self.windows(image) == 1

    async def table(self, request: Request, image: GalleryImage, question: TableRequest, *, name: str | None) -> bytes:
        """Return what answers every question at a layer, worked out now if it isn't kept.

        Parameters
        ----------
        request : Request
            Whose answer it is.
        image : GalleryImage
            The image.
        question : TableRequest
            The layer and the method.
        name : str, optional
            Under which the visitor asks how far it is.

        Returns
        -------
        bytes
            As :func:`encode_table` gives it.

        Raises
        ------
        SegscopeError
            As :func:`encode_table` and :meth:`Work.at_length` do.
        """
        key = (image.id, image.version, question.layer, question.method)

        def make(tell: Tell) -> bytes:
            return encode_table(self.prediction(image), question.layer, question.method, tell)

        return await self._kept_or_made(request, key, make, name)

    async def reasons(
        self, request: Request, image: GalleryImage, question: ReasonsRequest, *, name: str | None
    ) -> bytes:
        """Return the map of reasons, worked out now if it isn't kept.

        Parameters
        ----------
        request, image, name
            As for :meth:`table`.
        question : ReasonsRequest
            The layer and the number of groups.

        Returns
        -------
        bytes
            As :func:`encode_reasons` gives it.

        Raises
        ------
        SegscopeError
            As :func:`encode_reasons` and :meth:`Work.at_length` do.
        """
        key = (image.id, image.version, question.layer, question.clusters)

        def make(tell: Tell) -> bytes:
            return encode_reasons(self.prediction(image), question.layer, question.clusters, tell)

        return await self._kept_or_made(request, key, make, name)

    async def _kept_or_made(
        self, request: Request, key: Hashable, make: Callable[[Tell], bytes], name: str | None
    ) -> bytes:
        kept = self.tables.find(key)
        if kept is not None:
            return kept

        def make_and_keep(tell: Tell) -> bytes:
            content = make(tell)
            self.tables.keep(key, content)
            return content

        return await self.work.at_length(request, make_and_keep, name=name)

    def picture(self, image: GalleryImage, bands: Sequence[int] | None) -> tuple[bytes, str]:
        """Return an image for display, and its media type.

        Parameters
        ----------
        image : GalleryImage
            The image.
        bands : sequence of int or None
            The bands to show; as the model says otherwise.

        Returns
        -------
        data : bytes
            The file.
        kind : str
            ``image/png`` or ``image/jpeg``.

        Raises
        ------
        SegscopeError
            When the image can't be read, or has no such bands.
        """
        if bands is None and self.model.shown_bands is None:
            return self.gallery.picture(image)
        return encode_shown(self.model.picture(self._read(image), bands=bands))

    def thumbnail(self, image: GalleryImage) -> bytes:
        """Return a small JPEG of an image, in the bands that the model says.

        Parameters
        ----------
        image : GalleryImage
            The image.

        Returns
        -------
        bytes
            The file.

        Raises
        ------
        SegscopeError
            When the image can't be read, or has no such bands.
        """
        if self.model.shown_bands is None:
            return self.gallery.thumbnail(image)
        return encode_small(self.model.picture(self._read(image)))

    def summary(self, image: GalleryImage) -> Summary:
        """Return what a prediction says in numbers; kept longer than the prediction itself.

        Parameters
        ----------
        image : GalleryImage
            The image.

        Returns
        -------
        Summary
            Of that image.

        Raises
        ------
        SegscopeError
            As :meth:`segscope.SegmentationModel.predict` does.
        """
        key = (image.id, image.version)
        with self._lock:
            found = self._summaries.get(key)
        if found is None:
            found = summarize(self.prediction(image))
            with self._lock:
                self._summaries[key] = found
                if len(self._summaries) > _KEPT_SUMMARIES:
                    self._summaries.popitem(last=False)
        return found

    def measure(self, image: GalleryImage) -> Summary:
        """Return what a prediction of the files of now says in numbers, without keeping it.

        Parameters
        ----------
        image : GalleryImage
            The image.

        Returns
        -------
        Summary
            Of that image.

        Raises
        ------
        CannotExplain
            When the network sees it in windows, which takes too long to be done unasked.
        SegscopeError
            As :meth:`segscope.SegmentationModel.predict` does.
        """
        if self.windows(image) > 1:
            raise CannotExplain(
                f"The network sees this image in {self.windows(image)} windows, which takes too long to be done in the "
                "background; open it."
            )
        with self._predict(image) as prediction:
            return summarize(prediction)

    def begin(self) -> None:
        """Predict the first image before anyone asks for it: the page opens with it."""
        images = self.gallery.images()
        if images and self.windows(images[0]) == 1:
            self.work.ahead(lambda: self.summary(images[0]))

    def learn_classes(self) -> None:
        """Predict the first image where the model was given without class names, which the network alone knows."""
        images = self.gallery.images()
        if not self.model.classes and images:
            cut = self._cut(images[0])
            if cut is None:
                self.prediction(images[0])
            else:
                # Its first window tells as much, and takes less time.
                self.model.predict(corner(self._read(images[0]), cut.size)).close()

    def close(self) -> None:
        """Drop what waits, and give back the memory of the predictions."""
        self.statistics.close()
        self.work.close()
        self.predictions.clear()

    def _predict(self, image: GalleryImage, tell: Tell | None = None) -> Prediction:
        return self.model.predict(self._read(image), truth=self.gallery.truth(image), progress=tell)

    def _read(self, image: GalleryImage) -> Image.Image | NDArray[Any]:
        return self.gallery.read(image, channels=self.model.bands)
