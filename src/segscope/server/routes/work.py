"""How far work is that takes long."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from ..schemas import WorkProgress
from .shared import WORK_PATTERN, SessionOf

__all__ = ["router"]

router = APIRouter(tags=["attributions"])


@router.get("/work/{work_name}", summary="How far an answer is that takes long")
async def get_work(
    session: SessionOf,
    work_name: Annotated[str, Path(pattern=WORK_PATTERN, description="As it was sent in X-Segscope-Work.")],
) -> WorkProgress:
    """Return the share that is done; the work goes on for as long as its request waits, and ends with it."""
    work = session.work
    long = work.progress(work_name)
    if long is None:
        return WorkProgress(state="unknown", share=0, ahead=0)
    return WorkProgress(state="running" if long.begun else "waiting", share=long.share, ahead=work.ahead_of(long))
