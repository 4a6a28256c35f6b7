#!/usr/bin/env python3
"""A client of `otr rpc` in the standard library alone: import it, or see bot.py for what it does.

    with Otr() as otr:                                  # or Otr(socket="/run/user/1000/otr.sock")
        otr.call("send", session="bob", text="hello")
        for message in otr.messages("bob"):
            print(message.text)
            message.ack()                               # from here on it never comes again

Calls may be made from several threads. A failed one raises `OtrError`, whose `name` is the name of the
exit code in `man otr`."""

import base64
import itertools
import json
import queue
import socket as sockets
import subprocess
import threading


class OtrError(Exception):
    """A call failed. `taken`: the message is stored, goes out later, and must not be sent again."""

    def __init__(self, error):
        data = error.get("data", {})
        self.code, self.name = data.get("code", 1), data.get("name", "failed")
        self.hint, self.taken = data.get("hint", ""), data.get("taken", False)
        super().__init__("; ".join(filter(None, [error["message"], self.hint])))


class Message:
    """A part of a message; a short message is one part, with `offset` 0 and `end` True."""

    def __init__(self, otr, params):
        self._otr, self.params = otr, params
        self.number, self.offset, self.end = params["message"], params["offset"], params["end"]
        self.authenticated, self.file = params["authenticated"], params.get("file")

    @property
    def data(self):
        if self.file is not None:
            with open(self.file, "rb") as file:
                return file.read()
        text = self.params.get("text")
        return base64.b64decode(self.params["base64"]) if text is None else text.encode()

    @property
    def text(self):
        return self.data.decode()

    def ack(self):
        """It is in its final place. When this returns, that is stored."""
        self._otr.call("ack", subscription=self.params["subscription"], message=self.number,
                       offset=self.offset)


class Otr:
    """`otr rpc`, started with these options, or the one that listens at `socket`."""

    def __init__(self, *options, socket=None, program="otr"):
        if socket is None:
            self._process = subprocess.Popen([program, "rpc", *options], stdin=subprocess.PIPE,
                                             stdout=subprocess.PIPE)
            self._out, lines = self._process.stdin, self._process.stdout
        else:
            self._process, self._socket = None, sockets.socket(sockets.AF_UNIX)
            self._socket.connect(socket)
            self._out, lines = self._socket.makefile("wb"), self._socket.makefile("rb")
        self._ids, self._lock, self._writing = itertools.count(1), threading.Lock(), threading.Lock()
        self._answers, self._subscriptions = {}, {}
        threading.Thread(target=self._read, args=(lines,), daemon=True).start()

    def _read(self, lines):
        for line in lines:
            told = json.loads(line)
            if "method" in told:
                self._queue(told["params"]["subscription"]).put(told)
            else:
                self._answer(told["id"]).put(told)
        # It has ended: nobody waits any longer.
        with self._lock:
            waiting = [*self._answers.values(), *self._subscriptions.values()]
        for one in waiting:
            one.put(None)

    def _queue(self, subscription):
        with self._lock:
            return self._subscriptions.setdefault(subscription, queue.SimpleQueue())

    def _answer(self, number):
        with self._lock:
            return self._answers.setdefault(number, queue.SimpleQueue())

    def call(self, method, **params):
        """Calls a method; its result."""
        number = next(self._ids)
        line = json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        if len(line) > 4 << 20:
            raise OtrError({"message": "a call of more than 4 MiB: send a file"})
        answers = self._answer(number)
        with self._writing:
            self._out.write(line.encode() + b"\n")
            self._out.flush()
        answer = answers.get()
        with self._lock:
            del self._answers[number]
        if answer is None:
            raise OtrError({"message": "otr rpc has ended"})
        if "error" in answer:
            raise OtrError(answer["error"])
        return answer["result"]

    def messages(self, session, **options):
        """What comes, until the other side closes or as the options of `subscribe` say. Everything
        else that is told of the session goes to `options["event"]`, if it is there."""
        event = options.pop("event", lambda told: None)
        number = self.call("subscribe", session=session, **options)["subscription"]
        told = self._queue(number)
        while (next_one := told.get()) is not None:
            params = next_one["params"]
            if next_one["method"] == "message":
                yield Message(self, params)
            elif next_one["method"] == "event":
                event(params)
            elif "error" in params:
                raise OtrError(params["error"])
            else:
                return

    def close(self):
        """Ends `otr rpc`, or this connection to it: what was not acknowledged comes again."""
        if self._process is None:
            self._socket.shutdown(sockets.SHUT_RDWR)
        else:
            self._out.close()
            self._process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
