"""For asyncio."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from . import errors
from .values import Event, Part, Received, Sent, body, given, part

#: Longer than any line that otr rpc writes.
_LINE = 8 << 20
#: The longest line that it reads.
_CALL = 4 << 20
ENDED = "otr rpc has ended"
NOT_BEGUN = ("otr rpc has not been started", "begin with 'with Otr() as otr:'")


@dataclass(frozen=True)
class AsyncMessage(Part):
    """A message, or a part of a long one. `async with` acknowledges it when the block ends well."""

    _otr: AsyncOtr = field(repr=False, kw_only=True)

    async def ack(self) -> None:
        """It is in its final place. When this returns, that is stored."""
        await self._otr.call("ack", **self.place)

    async def __aenter__(self) -> AsyncMessage:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            await self.ack()


class AsyncOtr:
    """`otr rpc`, started with these options, or the one that listens at `socket`."""

    def __init__(
        self, *options: str, socket: str | os.PathLike[str] | None = None, program: str = "otr"
    ) -> None:
        self._options, self._socket, self._program = options, socket, program
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._told: dict[str, asyncio.Queue[dict[str, Any] | None]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._ended = False

    async def __aenter__(self) -> AsyncOtr:
        if self._socket is None:
            pipe = asyncio.subprocess.PIPE
            self._process = await asyncio.create_subprocess_exec(
                self._program, "rpc", *self._options, stdin=pipe, stdout=pipe, limit=_LINE
            )
            assert self._process.stdin is not None and self._process.stdout is not None
            self._out, lines = self._process.stdin, self._process.stdout
        else:
            lines, self._out = await asyncio.open_unix_connection(self._socket, limit=_LINE)
        self._reading = asyncio.create_task(self._read(lines))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends `otr rpc`, or this connection: what was not acknowledged comes again."""
        self._out.close()
        if self._process is not None:
            await self._process.wait()
        if self._reading is not None:
            await self._reading

    async def _read(self, lines: asyncio.StreamReader) -> None:
        try:
            while line := await lines.readline():
                told = json.loads(line)
                if "method" in told:
                    if queue := self._told.get(told["params"].get("tag", "")):
                        queue.put_nowait(told)
                elif not (answer := self._answers.pop(told["id"])).done():
                    answer.set_result(told)
        finally:
            self._ended = True
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_result({"error": {"message": ENDED}})
            for queue in self._told.values():
                queue.put_nowait(None)

    def _begin(self) -> tuple[str, asyncio.Queue[dict[str, Any] | None]]:
        """A new tag, and what is told under it."""
        tag, queue = str(next(self._ids)), asyncio.Queue[dict[str, Any] | None]()
        self._told[tag] = queue
        return tag, queue

    async def call(self, method: str, **params: Any) -> Any:
        """Calls a method of docs/rpc.md; its result."""
        if self._reading is None:
            raise errors.Usage(*NOT_BEGUN)
        if self._ended:
            raise errors.Failed(ENDED)
        number = next(self._ids)
        call = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        line = json.dumps(call, ensure_ascii=False).encode()
        if len(line) > _CALL:
            raise errors.Usage("the call has more than 4 MiB", "send what is long as a file")
        answer = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        self._out.write(line + b"\n")
        try:
            await self._out.drain()
        except ConnectionError as error:
            raise errors.Failed(ENDED) from error
        told = await answer
        if "error" in told:
            raise errors.of(told["error"])
        return told["result"]

    def session(self, name: str) -> AsyncSession:
        """The session of this name, which need not be there yet."""
        return AsyncSession(self, name)

    async def sessions(self) -> list[str]:
        """The names of the sessions."""
        names: list[str] = (await self.call("sessions"))["sessions"]
        return names


class AsyncSession:
    """One session."""

    def __init__(self, otr: AsyncOtr, name: str) -> None:
        self.otr, self.name = otr, name

    async def _call(self, method: str, **params: Any) -> Any:
        return await self.otr.call(method, session=self.name, **given(**params))

    async def _sent(self, method: str, **params: Any) -> Sent:
        return Sent(**await self._call(method, **params))

    async def init(
        self,
        *,
        postbox: str | None = None,
        code: bool = False,
        secret: str | None = None,
        expires: int | None = None,
        anew: bool = False,
    ) -> str:
        """Begins it; the invite for the other person, or with `code` a code."""
        made = await self._call(
            "init", postbox=postbox, code=code, secret=secret, expires=expires, anew=anew
        )
        begun: str = made["code" if code else "invite"]
        return begun

    async def respond(
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
        told = await self._call(
            "respond", invite=invite, code=code, secret=secret, postbox=postbox, yes=yes, anew=anew
        )
        reply: str | None = told.get("reply")
        return reply

    async def accept(self, reply: str | None = None, *, wait: int | None = None) -> bool:
        """Takes the reply; whether both have shown that they know a secret."""
        secret: bool = (await self._call("accept", reply=reply, wait=wait))["secret"]
        return secret

    async def send(
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
        return await self._sent(
            "send",
            **body(message),
            confirm=confirm,
            wait=wait,
            hold=hold,
            later=later,
            by_hand=by_hand,
            retry=retry,
        )

    async def send_file(
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
        file = os.path.abspath(path)
        return await self._sent(
            "send", file=file, confirm=confirm, wait=wait, hold=hold, by_hand=by_hand, retry=retry
        )

    async def flush(self, *, by_hand: bool = False, retry: int | None = None) -> Sent:
        """Hands out the packets that wait."""
        return await self._sent("flush", by_hand=by_hand, retry=retry)

    async def resend(self, *, by_hand: bool = False, retry: int | None = None) -> Sent:
        """Hands out the last short message once more."""
        return await self._sent("resend", by_hand=by_hand, retry=retry)

    async def messages(
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
    ) -> AsyncGenerator[AsyncMessage, None]:
        """What comes, until the other side closes or as the options say. `event` hears the rest. With `cover`
        packets are posted that say nothing, so many seconds apart, in the mean unless `constant`."""
        directory = None if files is None else os.path.abspath(files)
        tag, told = self.otr._begin()
        number, ended = None, False
        try:
            begun = await self._call(
                "subscribe",
                credit=credit,
                count=count,
                until=until,
                wait=wait,
                cover=cover,
                constant=constant,
                files=directory,
                tag=tag,
            )
            number = begun["subscription"]
            while (line := await told.get()) is not None:
                params = line["params"]
                if line["method"] == "message":
                    yield AsyncMessage(**part(params), _otr=self.otr)
                elif line["method"] == "event":
                    if event is not None:
                        event(Event(params["event"], params))
                else:
                    ended = True
                    if "error" in params:
                        raise errors.of(params["error"])
                    return
            raise errors.Failed(ENDED)
        finally:
            self.otr._told.pop(tag, None)
            if number is not None and not ended and not self.otr._ended:
                await self.otr.call("unsubscribe", subscription=number)

    async def receive(
        self,
        packets: str,
        take: Callable[[AsyncMessage], Awaitable[None]],
        *,
        end: bool = False,
    ) -> Received:
        """Takes packets that the program has carried, and the reply. `take` puts each message into its
        place; if it raises, the message is not acknowledged, and comes when the packets are given again."""
        tag, told = self.otr._begin()
        call = asyncio.ensure_future(self._call("receive", packets=packets, end=end, tag=tag))
        call.add_done_callback(lambda _: told.put_nowait(None))
        try:
            while (line := await told.get()) is not None:
                if line["method"] == "message":
                    message = AsyncMessage(**part(line["params"]), _otr=self.otr)
                    try:
                        await take(message)
                    except BaseException:
                        await self.otr.call("unsubscribe", subscription=message.subscription)
                        raise
                    await message.ack()
            return Received(**await call)
        finally:
            self.otr._told.pop(tag, None)
            call.cancel()

    async def expect(self, count: int = 1) -> list[str]:
        """For a program that calls a postbox itself: the tokens under which it can collect what comes next,
        each a line of that call. What it collects is for `receive`."""
        tokens: list[str] = (await self._call("expect", count=count))["tokens"]
        return tokens

    async def spent(self, discarded: Sequence[str] = ()) -> list[str]:
        """For the same: what the postbox may discard by now, each a line of that call. It comes again until
        it was given as `discarded`."""
        told = await self._call("expect.spent", discarded=list(discarded))
        records: list[str] = told["records"]
        return records

    async def words(self) -> list[str]:
        """The four words that the two people compare by voice."""
        words: list[str] = (await self._call("words"))["words"]
        return words

    async def words_same(self) -> None:
        """Records that the other person has these words."""
        await self._call("words.same")

    async def words_differ(self, *, by_hand: bool = False, retry: int | None = None) -> Sent:
        """The other person has other words: ends the session."""
        return await self._sent("words.differ", by_hand=by_hand, retry=retry)

    async def ask(self, secret: str, question: str = "", *, by_hand: bool = False) -> Sent:
        """Asks whether the other side knows a secret; the result comes as an event."""
        return await self._sent("verify.ask", secret=secret, question=question, by_hand=by_hand)

    async def answer(self, secret: str, *, by_hand: bool = False) -> Sent:
        """Answers the other side's question."""
        return await self._sent("verify.answer", secret=secret, by_hand=by_hand)

    async def status(self, *, ask: bool = False) -> dict[str, Any]:
        """How far it has come, as `otr status --json` says it."""
        status: dict[str, Any] = (await self._call("status", ask=ask))["sessions"][0]
        return status

    async def close(
        self, *, silent: bool = False, by_hand: bool = False, retry: int | None = None
    ) -> Sent:
        """Ends it: wipes it, whatever happens, and tells the other side."""
        return await self._sent("close", silent=silent, by_hand=by_hand, retry=retry)

    async def export(self, passphrase: str | None = None) -> str:
        """Its line for `import_`; it is frozen here."""
        line: str = (await self._call("export", passphrase=passphrase))["line"]
        return line

    async def export_forget(self) -> None:
        """Wipes it here, after the import has worked."""
        await self._call("export.forget")

    async def export_undo(self) -> None:
        """Uses it here again; then the line must never be used."""
        await self._call("export.undo")

    async def import_(self, line: str, passphrase: str | None = None) -> None:
        """Goes on here with a session that was exported elsewhere."""
        await self._call("import", line=line, passphrase=passphrase)
