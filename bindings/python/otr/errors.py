"""What goes wrong: a class for each exit code of the command line."""

from __future__ import annotations

from typing import Any


class OtrError(Exception):
    """A call failed."""

    #: The exit code that the command line would end with.
    code: int = 1
    #: Its name in `man otr`.
    name: str = "failed"

    def __init__(self, message: str, hint: str = "", taken: bool = False, file: str | None = None):
        super().__init__(f"{message}; {hint}" if hint else message)
        self.message, self.hint = message, hint
        #: The message is stored, goes out later, and must not be sent again.
        self.taken = taken
        #: The file that it is about, if any.
        self.file = file


class Failed(OtrError):
    """Input or output failed, or anything that has no class of its own."""

    code, name = 1, "failed"


class Usage(OtrError):
    """Wrong parameters."""

    code, name = 2, "usage"


class NoSession(OtrError):
    """There is no session of that name."""

    code, name = 3, "no_session"


class Refused(OtrError):
    """Nothing was accepted, and nothing has changed."""

    code, name = 4, "refused"


class NotAuthentic(OtrError):
    """The other side is not who it should be; the session was ended and wiped."""

    code, name = 5, "not_authentic"


class CutShort(OtrError):
    """A message ended before its end, or is missing."""

    code, name = 6, "cut_short"


class Closed(OtrError):
    """The other side has closed the session."""

    code, name = 7, "closed"


class NothingYet(OtrError):
    """Nothing came, or not in the time given."""

    code, name = 8, "nothing_yet"


class PostboxError(OtrError):
    """The postbox could not be reached, or gave a wrong answer."""

    code, name = 9, "postbox"


class Full(OtrError):
    """The postbox or a limit is full."""

    code, name = 10, "full"


class UnsafeState(OtrError):
    """The state is not in memory, not yours, readable by others, or damaged."""

    code, name = 11, "unsafe_state"


class Expired(OtrError):
    """The invite is too old."""

    code, name = 12, "expired"


class Exists(OtrError):
    """A session of that name is there already."""

    code, name = 13, "exists"


class NotReady(OtrError):
    """A step that must come first has not come yet."""

    code, name = 14, "not_ready"


class Busy(OtrError):
    """Another program holds the session."""

    code, name = 15, "busy"


_CLASSES = {kind.name: kind for kind in OtrError.__subclasses__()}


def of(error: dict[str, Any]) -> OtrError:
    """The error of an answer."""
    data = error.get("data", {})
    kind = _CLASSES.get(data.get("name", ""), Failed)
    return kind(error["message"], data.get("hint", ""), data.get("taken", False), data.get("file"))
