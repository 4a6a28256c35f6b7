"""Two ends that use the Python package: one blocks, one is of asyncio. The postbox's URL is the argument."""

import asyncio
import sys
import threading
import urllib.request
from importlib import resources

import otr
from otr import AsyncOtr, Otr

POSTBOX = sys.argv[1]
LONG = bytes(range(256)) * 8192
events = []


async def echo(invite):
    """Answers an invite, sends back what comes until the end, and gives a file."""
    async with AsyncOtr() as program:
        bob = program.session("b")
        assert await bob.respond(invite, yes=True) is None
        async for message in bob.messages(files="."):
            async with message:
                if message.file is not None:
                    await bob.send_file(message.file)
                else:
                    await bob.send(f"echo: {message.text}")


def by_postbox(program):
    alice = program.session("a")
    thread = threading.Thread(target=asyncio.run, args=(echo(alice.init(postbox=POSTBOX)),))
    thread.start()
    assert alice.accept() is False
    assert alice.send("hello", confirm=True, wait=60).posted
    with next(came := alice.messages(event=events.append)) as message:
        assert message.text == "echo: hello" and message.end and message.authenticated == ()
    came.close()
    # Quoted in JSON it is six times as long.
    with open("controls", "wb") as file:
        file.write(b"\x01" * 1_000_000)
    alice.send_file("controls")
    with next(came := alice.messages()) as message:
        assert message.data == b"echo: " + b"\x01" * 1_000_000
    came.close()
    try:
        alice.send("x" * (5 << 20))
    except otr.Usage:
        pass
    else:
        sys.exit("it was too long")
    # The subscription has ended with its generator: there can be another one. What is not taken
    # well comes again.
    alice.send("again", hold=0)
    for _ in range(2):
        try:
            for message in alice.messages():
                with message:
                    assert message.data == b"echo: again"
                    raise KeyError
        except KeyError:
            pass
    assert [message.ack() for message in alice.messages(count=1)] == [None]
    with open("long", "wb") as file:
        file.write(LONG)
    alice.send_file("long")
    whole = b""
    for part in alice.messages(count=1):
        assert part.offset == len(whole)
        whole += part.data
        part.ack()
    assert whole == LONG
    try:
        next(alice.messages(cover=60, constant=True))
    except otr.Usage as error:
        assert "would hide nothing" in str(error)
    else:
        sys.exit("it would hide nothing")
    assert not alice.send("later", later=True).posted
    with next(came := alice.messages()) as message:
        assert message.text == "echo: later"
    came.close()
    assert len(alice.words()) == 4
    alice.words_same()
    assert alice.status()["authenticated"] == ["words"]
    assert sorted(program.sessions()) == ["a", "b"]
    assert alice.close().posted
    thread.join()


def calls(path, lines):
    """A call of the postbox, by the program itself."""
    return urllib.request.urlopen(f"{POSTBOX}/v1/{path}", "\n".join(lines).encode()).read().decode()


def by_own_calls(carol, dave):
    """The program calls the postbox itself, of which the session does not know."""
    tokens = dave.expect(2)
    assert len(tokens) >= 2 and dave.expect(2) == tokens
    calls("post", carol.send("by the postbox").packets)
    heard = []
    dave.receive(calls("collect", tokens), lambda message: heard.append(message.text))
    assert heard == ["by the postbox"]
    records = dave.spent()
    assert records and dave.spent() == records
    calls("discard", records)
    assert dave.spent(records) == [] and calls("collect", tokens) == ""


def by_hand(program):
    """The program carries the packets itself."""
    carol, dave = program.session("c"), program.session("d")
    reply = dave.respond(carol.init(secret="a word"), secret="a word")
    assert carol.accept(reply) is True
    sent = carol.send(b"\x00\xff")
    assert not sent.posted
    heard = []

    def fails(message):
        raise KeyError(message.data)

    try:
        dave.receive(sent.packets[0], fails)
    except KeyError:
        pass
    else:
        sys.exit("it was taken")
    came = dave.receive(sent.packets[0], lambda message: heard.append(message.data))
    assert heard == [b"\x00\xff"] and came.messages == 1 and came.refused == 0
    by_own_calls(carol, dave)
    line = dave.export("a passphrase")
    try:
        dave.words()
    except otr.NotReady as error:
        assert error.code == 14 and error.name == "not_ready" and error.hint
    else:
        sys.exit("it is frozen")
    program.session("e").import_(line, "a passphrase")
    dave.export_forget()


with Otr() as program:
    by_postbox(program)
    by_hand(program)
    for error, call in [
        (otr.NoSession, lambda: program.session("nobody").send("hello")),
        (otr.Usage, lambda: program.call("send", nonsense=1)),
        (otr.Exists, lambda: program.session("c").init()),
    ]:
        try:
            call()
        except error:
            pass
        else:
            sys.exit(f"{error} was expected")


def fails(error, call):
    try:
        call()
    except error as failed:
        return str(failed)
    sys.exit(f"{error} was expected")


# Before it is entered, and after: an error at once, and no call that waits for ever.
assert "with Otr()" in fails(otr.Usage, lambda: Otr().session("c").send("hello"))
assert "with Otr()" in fails(otr.Usage, lambda: asyncio.run(AsyncOtr().session("c").send("hello")))
assert fails(otr.Failed, lambda: program.session("c").send("hello")) == "otr rpc has ended"
assert resources.files("otr").joinpath("py.typed").is_file()
print("all of it")
