"""The numbers of all images together."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from ..schemas import ImageFailure, ImageStatistics, StatisticsOverview, StatisticsPause
from ..statistics import Overview
from ..store import Row
from .shared import SessionOf

__all__ = ["router"]

router = APIRouter(tags=["images"])

_DIGITS = 6


@router.get("/statistics", summary="Where the network works, and where it doesn't", response_model=StatisticsOverview)
async def get_statistics(
    request: Request,
    session: SessionOf,
    *,
    since: Annotated[str, Query(description="The mark of an earlier answer: only what is new is told.")] = "",
    again: Annotated[bool, Query(description="Look whether files have changed since they were measured.")] = False,
) -> Response:
    """Return what is known by now of every image; the first call has the rest worked out in the background."""

    def answer() -> Response:
        return _encode(session.statistics.overview(since, again=again))

    return await session.work.on_pictures(request, answer)


@router.put("/statistics", summary="Let the work in the background rest, or go on", response_model=StatisticsOverview)
async def put_statistics(request: Request, session: SessionOf, body: StatisticsPause) -> Response:
    """Stop working out numbers, for all visitors, or go on where it was stopped; nothing found is lost."""

    def answer() -> Response:
        if body.paused:
            session.statistics.pause()
        else:
            session.statistics.resume()
        return _encode(session.statistics.overview())

    return await session.work.on_pictures(request, answer)


def _encode(overview: Overview) -> Response:
    """Write the answer here, since FastAPI would check each of its many rows once more, where all visitors wait."""
    found = overview.news.found
    body = StatisticsOverview(
        total=overview.total,
        done=overview.done,
        failed=overview.failed,
        running=overview.running,
        paused=overview.paused,
        mark=overview.news.mark,
        whole=overview.news.whole,
        rows=[_describe(image, finding.row) for image, finding in found if finding.row is not None],
        failures=[ImageFailure(id=image, message=finding.problem) for image, finding in found if finding.row is None],
    )
    return Response(body.model_dump_json(), media_type="application/json")


def _describe(image: str, row: Row) -> ImageStatistics:
    known = [iou for iou in row.iou or () if iou is not None]
    return ImageStatistics(
        id=image,
        confidence=round(row.confidence, _DIGITS),
        shares=_rounded(row.shares),
        iou=None if row.iou is None else [None if iou is None else round(iou, _DIGITS) for iou in row.iou],
        mean_iou=round(sum(known) / len(known), _DIGITS) if known else None,
        true_shares=None if row.true_shares is None else _rounded(row.true_shares),
    )


def _rounded(values: list[float]) -> list[float]:
    return [round(value, _DIGITS) for value in values]
