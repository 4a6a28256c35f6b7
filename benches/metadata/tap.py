#!/usr/bin/env python3
"""Stands before one or several real postboxes, and notes what their operators see: `log.jsonl`, a JSON object for
each event. Which end called, and which postbox, goes into the truth alone.

With --base it is a SOCKS proxy with a port for each end; with --sockets a Unix socket for each postbox, to which
ends connect directly: the system says which process has called, and its arguments name the session.

With --delays each SOCKS user costs a circuit (log-normal time to build) and has a latency of its own, as
through Tor; all times in the log are the relay's."""

import argparse
import asyncio
import base64
import functools
import json
import random
import socket
import struct
import time

import nameplate

# Addresses of the numbers that a code may have.
PLATES = {nameplate.address(nameplate.token(number)): number for number in range(100, 1000)}
# Bytes of a record in a request to discard, and in any other.
DISCARD, TOKEN = 96, 32
# How an address is written in the log: half of it.
SHOWN = 24
# Lead byte of a packet of one byte.
LEAD = 0xE9
READ = 65536


class Tap:
    def __init__(self, options):
        self.options, self.connections = options, 0
        self.log, self.truth = open(options.log, "w"), open(options.truth, "w")
        self.begin, self.random, self.circuits = time.time(), random.Random(options.seed), {}

    def note(self, connection, event, **more):
        at = round(time.time() - self.begin, 4)
        self.log.write(json.dumps({"t": at, "c": connection, "e": event, **more}) + "\n")
        self.log.flush()

    def circuit(self, user):
        """Seconds to build one, if this user has none yet, and its latency."""
        if not self.options.delays:
            return 0.0, 0.0
        if user in self.circuits and user is not None:
            return 0.0, self.circuits[user]
        build = self.random.lognormvariate(0.4, 0.5)
        self.circuits[user] = self.random.lognormvariate(-1.3, 0.4)
        return build, self.circuits[user]

    async def by_proxy(self, end, reader, writer):
        try:
            user, port = await greet(reader, writer)
            build, latency = self.circuit(user)
            if build or latency:
                await asyncio.sleep(build + latency)
            connection, there, back = await self.connect(end, port - self.options.port)
            await asyncio.sleep(latency)
            writer.write(b"\5\0\0\1\0\0\0\0\0\0")
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            writer.close()
            return
        await self.relay(connection, latency, reader, back, there, writer)

    async def directly(self, relay, reader, writer):
        try:
            connection, there, back = await self.connect(end_of(writer.get_extra_info("socket")), relay)
        except (OSError, ValueError):
            writer.close()
            return
        await self.relay(connection, 0.0, reader, back, there, writer)

    async def connect(self, end, relay):
        """One more connection, to that postbox."""
        self.connections += 1
        connection = self.connections
        self.truth.write(json.dumps({"c": connection, "conv": end // 2, "end": end, "relay": relay}) + "\n")
        self.truth.flush()
        self.note(connection, "open")
        return connection, *await asyncio.open_connection("127.0.0.1", self.options.port + relay)

    async def relay(self, connection, latency, reader, back, there, writer):
        asked = []
        requests = Messages(lambda *message: self.call(connection, asked, *message))
        answers = Messages(lambda *message: self.answer(connection, asked, *message))
        ways = [asyncio.create_task(self.copy(reader, back, latency, requests, True)),
                asyncio.create_task(self.copy(there, writer, latency, answers, False))]
        # The caller has gone, or the postbox has.
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        self.note(connection, "shut")
        for each in (writer, back):
            each.close()

    async def copy(self, reader, writer, latency, messages, up):
        """Copies what is read, later by the latency; the messages are those at the relay's side."""
        queue = asyncio.Queue()

        async def write():
            while True:
                due, some = await queue.get()
                await asyncio.sleep(max(0, due - time.monotonic()))
                if some and up:
                    messages.feed(some)
                if not some:
                    return
                writer.write(some)
                await writer.drain()
        writing = asyncio.create_task(write())
        try:
            some = True
            while some:
                some = await reader.read(READ)
                jitter = self.random.expovariate(1 / 0.015) if latency else 0
                await queue.put((time.monotonic() + latency + jitter, some))
                if some and not up:
                    messages.feed(some)
            await writing
        finally:
            writing.cancel()

    def call(self, connection, asked, head, body, size):
        path, _, query = head.split(b" ", 2)[1].decode().partition("?")
        kind = path.rsplit("/", 1)[1]
        query = dict(one.split("=") for one in query.split("&") if one)
        event = {"k": kind, "up": size, "w": int(query.get("wait", 0))}
        if kind == "post":
            event.update(named(packets(body)))
            for packet in packets(body):
                if packet[:32] in PLATES:
                    event.update(plate=PLATES[packet[:32]], blob=base64.b64encode(packet).decode())
        else:
            step = DISCARD if kind == "discard" else TOKEN
            records = [body[at:at + step] for at in range(0, len(body), step)]
            by_token = kind in ("collect", "discard")
            event["a"] = [(nameplate.address(one[:32]) if by_token else one).hex()[:SHOWN] for one in records]
        asked.append(kind)
        self.note(connection, "call", **event)

    def answer(self, connection, asked, head, body, size):
        kind = asked.pop(0) if asked else "?"
        event = {"k": kind, "st": int(head.split(b" ", 2)[1]), "dn": size}
        if kind == "collect" and event["st"] == 200:
            event.update(named(packets(body)))
        self.note(connection, "ans", **event)


async def greet(reader, writer):
    """SOCKS5 up to the address; the user's name, if there is one, and the port that is called."""
    _, count = await reader.readexactly(2)
    user = None
    if 2 in await reader.readexactly(count):
        writer.write(b"\5\2")
        await reader.readexactly(1)
        user = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        await reader.readexactly((await reader.readexactly(1))[0])
        writer.write(b"\1\0")
    else:
        writer.write(b"\5\0")
    kind = (await reader.readexactly(4))[3]
    size = {1: 4, 4: 16}.get(kind) or (await reader.readexactly(1))[0]
    await reader.readexactly(size)
    return user, int.from_bytes(await reader.readexactly(2), "big")


def end_of(caller):
    """The number of the session that the calling process has, eN."""
    pid, _, _ = struct.unpack("3i", caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    arguments = open(f"/proc/{pid}/cmdline", "rb").read().split(b"\0")
    return int(arguments[arguments.index(b"-s") + 1][1:])


def packets(body):
    out, at = [], 0
    while at < len(body):
        size = 1 << (body[at] - LEAD)
        out.append(body[at + 1:at + 1 + size])
        at += 1 + size
    return out


def named(some):
    return {"a": [packet[:32].hex()[:SHOWN] for packet in some], "s": [len(packet) for packet in some]}


class Messages:
    """Cuts a stream into HTTP/1.1 messages: head, body, bytes of both."""

    def __init__(self, done):
        self.rest, self.done = bytearray(), done

    def feed(self, some):
        self.rest += some
        while (end := self.rest.find(b"\r\n\r\n")) >= 0:
            head, begin = bytes(self.rest[:end]), end + 4
            low = head.lower()
            if head.startswith(b"HTTP/1.1 1"):
                del self.rest[:begin]
                continue
            if b"transfer-encoding: chunked" in low:
                body, end = self.chunks(begin)
                if body is None:
                    return
            else:
                at = low.find(b"content-length:")
                end = begin + (int(low[at + 15:].split(b"\r\n")[0]) if at >= 0 else 0)
                if len(self.rest) < end:
                    return
                body = bytes(self.rest[begin:end])
            del self.rest[:end]
            self.done(head, body, end)

    def chunks(self, at):
        body = b""
        while True:
            end = self.rest.find(b"\r\n", at)
            if end < 0:
                return None, at
            size = int(bytes(self.rest[at:end]).split(b";")[0], 16)
            at = end + 2
            if len(self.rest) < at + size + 2:
                return None, at
            body += bytes(self.rest[at:at + size])
            at += size + 2
            if size == 0:
                return body, at


async def main():
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, required=True, help="of the first postbox; the others have the next ones")
    options.add_argument("--base", type=int, help="the first port to listen on as a proxy")
    options.add_argument("--count", type=int, default=2, help="how many of them, one for each end")
    options.add_argument("--sockets", help="the Unix sockets to listen on, one for each postbox: PATH0, PATH1, …")
    options.add_argument("--postboxes", type=int, default=1)
    options.add_argument("--log", default="log.jsonl")
    options.add_argument("--truth", default="truth.jsonl")
    options.add_argument("--delays", action="store_true")
    options.add_argument("--seed", type=int, default=1)
    args = options.parse_args()
    tap = Tap(args)
    if args.sockets:
        for relay in range(args.postboxes):
            await asyncio.start_unix_server(functools.partial(tap.directly, relay), f"{args.sockets}{relay}", limit=1 << 21)
    else:
        for end in range(args.count):
            await asyncio.start_server(functools.partial(tap.by_proxy, end), "127.0.0.1", args.base + end, limit=1 << 21)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
