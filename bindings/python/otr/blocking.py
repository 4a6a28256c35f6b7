"""Without asyncio: the same methods, which block."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TypeVar

from . import errors
from .aio import ENDED, NOT_BEGUN, AsyncMessage, AsyncOtr, AsyncSession
from .values import Event, Part, Received, Sent

T = TypeVar("T")


@dataclass(frozen=True)
class Message(Part):
    """A message, or a part of a long one. `with` acknowledges it when the block ends well."""

    _otr: Otr = field(repr=False, kw_only=True)

    def ack(self) -> None:
        """It is in its final place. When this returns, that is stored."""
        self._otr.call("ack", **self.place)

    def __enter__(self) -> Message:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.ack()


class Otr:
    """`otr rpc`, started with these options, or the one that listens at `socket`. Its methods may be
    called from several threads."""

    def __init__(
        self, *options: str, socket: str | os.PathLike[str] | None = None, program: str = "otr"
    ) -> None:
        self._otr = AsyncOtr(*options, socket=socket, program=program)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        if not self._thread.is_alive():
            work.close()
            raise errors.Failed(ENDED) if self._loop.is_closed() else errors.Usage(*NOT_BEGUN)
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def __enter__(self) -> Otr:
        self._thread.start()
        try:
            self._run(self._otr.__aenter__())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends `otr rpc`, or this connection: what was not acknowledged comes again."""
        if self._thread.is_alive():
            self._run(self._otr.close())
            self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def call(self, method: str, **params: Any) -> Any:
        """Calls a method of docs/rpc.md; its result."""
        return self._run(self._otr.call(method, **params))

    def session(self, name: str) -> Session:
        """The session of this name, which need not be there yet."""
        return Session(self, self._otr.session(name))

    def sessions(self) -> list[str]:
        """The names of the sessions."""
        return self._run(self._otr.sessions())


class Session:
    """One session."""

    def __init__(self, otr: Otr, session: AsyncSession) -> None:
        self.otr, self.name, self._session = otr, session.name, session

    def init(
        self,
        *,
        postbox: str | None = None,
        code: bool = False,
        secret: str | None = None,
        expires: int | None = None,
        anew: bool = False,
    ) -> str:
        """Begins it; the invite for the other person, or with `code` a code."""
        return self.otr._run(
            self._session.init(
                postbox=postbox, code=code, secret=secret, expires=expires, anew=anew
            )
        )

    def respond(
        self,
        invite: str | None = None,
        *,
        code: str | None = None,
        secret: str | None = None,
        postbox: str | None = None,
        yes: bool = False,
        anew: bool = False,
    ) -> str | None:
        """Answers an invite or a code; the reply, or `None` if that is posted."""
        return self.otr._run(
            self._session.respond(
                invite, code=code, secret=secret, postbox=postbox, yes=yes, anew=anew
            )
        )

    def accept(self, reply: str | None = None, *, wait: int | None = None) -> bool:
        """Takes the reply; whether both have shown that they know a secret."""
        return self.otr._run(self._session.accept(reply, wait=wait))

    def send(
        self,
        message: str | bytes,
        *,
        confirm: bool = False,
        wait: int | None = None,
        hold: int | None = None,
        later: bool = False,
        by_hand: bool = False,
        retry: int | None = None,
    ) -> Sent:
        """Sends one message, of up to 3 MiB. With `confirm` it waits until the other side has opened it; with
        `hold` it is posted at a random moment within so many seconds; with `later` it is left in the session."""
        return self.otr._run(
            self._session.send(
                message,
                confirm=confirm,
                wait=wait,
                hold=hold,
                later=later,
                by_hand=by_hand,
                retry=retry,
            )
        )

    def send_file(
        self,
        path: str | os.PathLike[str],
        *,
        confirm: bool = False,
        wait: int | None = None,
        hold: int | None = None,
        by_hand: bool = False,
        retry: int | None = None,
    ) -> Sent:
        """Sends a file, of any length, as one message."""
        return self.otr._run(
            self._session.send_file(
                path, confirm=confirm, wait=wait, hold=hold, by_hand=by_hand, retry=retry
            )
        )

    def flush(self, *, by_hand: bool = False, retry: int | None = None) -> Sent:
        """Hands out the packets that wait."""
        return self.otr._run(self._session.flush(by_hand=by_hand, retry=retry))

    def resend(self, *, by_hand: bool = False, retry: int | None = None) -> Sent:
        """Hands out the last short message once more."""
        return self.otr._run(self._session.resend(by_hand=by_hand, retry=retry))

    def messages(
        self,
        *,
        credit: int | None = None,
        count: int | None = None,
        until: str | None = None,
        wait: int | None = None,
        cover: int | None = None,
        constant: bool = False,
        files: str | os.PathLike[str] | None = None,
        event: Callable[[Event], None] | None = None,
    ) -> Iterator[Message]:
        """What comes, until the other side closes or as the options say. `event` hears the rest, in
        another thread. With `cover` packets are posted that say nothing, so many seconds apart, in the
        mean unless `constant`."""
        coming = self._session.messages(
            credit=credit,
            count=count,
            until=until,
            wait=wait,
            cover=cover,
            constant=constant,
            files=files,
            event=event,
        )

        async def following() -> AsyncMessage | None:
            return await anext(coming, None)

        async def over() -> None:
            await coming.aclose()

        try:
            while (message := self.otr._run(following())) is not None:
                yield self._blocking(message)
        finally:
            self.otr._run(over())

    def _blocking(self, message: AsyncMessage) -> Message:
        return Message(
            subscription=message.subscription,
            session=message.session,
            number=message.number,
            offset=message.offset,
            end=message.end,
            authenticated=message.authenticated,
            file=message.file,
            _inline=message._inline,
            _otr=self.otr,
        )

    def receive(
        self, packets: str, take: Callable[[Message], None], *, end: bool = False
    ) -> Received:
        """Takes packets that the program has carried, and the reply. `take`, in another thread, puts
        each message into its place; if it raises, the message is not acknowledged, and comes when the
        packets are given again."""

        async def taken(message: AsyncMessage) -> None:
            await asyncio.to_thread(take, self._blocking(message))

        return self.otr._run(self._session.receive(packets, taken, end=end))

    def expect(self, count: int = 1) -> list[str]:
        """For a program that calls a postbox itself: the tokens under which it can collect what comes next,
        each a line of that call. What it collects is for `receive`."""
        return self.otr._run(self._session.expect(count))

    def spent(self, discarded: Sequence[str] = ()) -> list[str]:
        """For the same: what the postbox may discard by now, each a line of that call. It comes again until
        it was given as `discarded`."""
        return self.otr._run(self._session.spent(discarded))

    def words(self) -> list[str]:
        """The four words that the two people compare by voice."""
        return self.otr._run(self._session.words())

    def words_same(self) -> None:
        """Records that the other person has these words."""
        self.otr._run(self._session.words_same())

    def words_differ(self, *, by_hand: bool = False, retry: int | None = None) -> Sent:
        """The other person has other words: ends the session."""
        return self.otr._run(self._session.words_differ(by_hand=by_hand, retry=retry))

    def ask(self, secret: str, question: str = "", *, by_hand: bool = False) -> Sent:
        """Asks whether the other side knows a secret; the result comes as an event."""
        return self.otr._run(self._session.ask(secret, question, by_hand=by_hand))

    def answer(self, secret: str, *, by_hand: bool = False) -> Sent:
        """Answers the other side's question."""
        return self.otr._run(self._session.answer(secret, by_hand=by_hand))

    def status(self, *, ask: bool = False) -> dict[str, Any]:
        """How far it has come, as `otr status --json` says it."""
        return self.otr._run(self._session.status(ask=ask))

    def close(
        self, *, silent: bool = False, by_hand: bool = False, retry: int | None = None
    ) -> Sent:
        """Ends it: wipes it, whatever happens, and tells the other side."""
        return self.otr._run(self._session.close(silent=silent, by_hand=by_hand, retry=retry))

    def export(self, passphrase: str | None = None) -> str:
        """Its line for `import_`; it is frozen here."""
        return self.otr._run(self._session.export(passphrase))

    def export_forget(self) -> None:
        """Wipes it here, after the import has worked."""
        self.otr._run(self._session.export_forget())

    def export_undo(self) -> None:
        """Uses it here again; then the line must never be used."""
        self.otr._run(self._session.export_undo())

    def import_(self, line: str, passphrase: str | None = None) -> None:
        """Goes on here with a session that was exported elsewhere."""
        self.otr._run(self._session.import_(line, passphrase))
