"""Off-the-record conversations for Python programs, over `otr rpc`.

`Otr` blocks, `AsyncOtr` is for asyncio; both have the same methods."""

from .aio import AsyncMessage, AsyncOtr, AsyncSession
from .blocking import Message, Otr, Session
from .errors import (
    Busy,
    Closed,
    CutShort,
    Exists,
    Expired,
    Failed,
    Full,
    NoSession,
    NotAuthentic,
    NothingYet,
    NotReady,
    OtrError,
    PostboxError,
    Refused,
    UnsafeState,
    Usage,
)
from .values import Event, Received, Sent

__all__ = [
    "AsyncMessage",
    "AsyncOtr",
    "AsyncSession",
    "Busy",
    "Closed",
    "CutShort",
    "Event",
    "Exists",
    "Expired",
    "Failed",
    "Full",
    "Message",
    "NoSession",
    "NotAuthentic",
    "NotReady",
    "NothingYet",
    "Otr",
    "OtrError",
    "PostboxError",
    "Received",
    "Refused",
    "Sent",
    "Session",
    "UnsafeState",
    "Usage",
]
