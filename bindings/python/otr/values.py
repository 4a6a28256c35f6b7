"""What calls give, and what is told."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Any


_PLAIN = re.compile(r'[^\x00-\x09\x0b-\x1f"\\\ud800-\udfff]*')


@dataclass(frozen=True)
class Sent:
    """What became of packets: they are posted, or the program has to carry them."""

    posted: bool
    packets: list[str]
    keys: list[str]


@dataclass(frozen=True)
class Received:
    """What packets have come to that the program has carried."""

    messages: int
    refused: int
    held: int
    opened: bool
    closed: bool


@dataclass(frozen=True)
class Event:
    """Something that happened in a session, such as `opened` or `verify`."""

    event: str
    details: dict[str, Any]


@dataclass(frozen=True)
class Part:
    """A part of a message; a short message is one part, with offset 0 and end."""

    subscription: int
    session: str
    #: The number of the message, from 0.
    number: int
    offset: int
    end: bool
    #: How the other side was checked: empty if nobody has.
    authenticated: tuple[str, ...]
    #: The file that holds the message, if it came into one.
    file: str | None
    _inline: bytes

    @property
    def data(self) -> bytes:
        """Its bytes."""
        if self.file is None:
            return self._inline
        with open(self.file, "rb") as file:
            return file.read()

    @property
    def text(self) -> str:
        """Its text, if it is UTF-8."""
        return self.data.decode()

    @property
    def place(self) -> dict[str, int]:
        """The parameters with which it is acknowledged."""
        return {"subscription": self.subscription, "message": self.number, "offset": self.offset}


def part(params: dict[str, Any]) -> dict[str, Any]:
    """The fields of a part that was told."""
    text = params.get("text")
    inline = base64.b64decode(params.get("base64", "")) if text is None else text.encode()
    return {
        "subscription": params["subscription"],
        "session": params["session"],
        "number": params["message"],
        "offset": params["offset"],
        "end": params["end"],
        "authenticated": tuple(params["authenticated"]),
        "file": params.get("file"),
        "_inline": inline,
    }


def body(message: str | bytes) -> dict[str, Any]:
    """The parameters of a message."""
    # What would grow by being quoted goes as bytes.
    if isinstance(message, str) and _PLAIN.fullmatch(message):
        return {"text": message}
    data = message.encode() if isinstance(message, str) else message
    return {"base64": base64.b64encode(data).decode()}


def given(**params: Any) -> dict[str, Any]:
    """The parameters that are given."""
    return {name: value for name, value in params.items() if value is not None and value is not False}
