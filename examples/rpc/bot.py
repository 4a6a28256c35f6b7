#!/usr/bin/env python3
"""Three bots over `otr rpc`:

    bot.py echo SESSION              sends back what comes
    bot.py drop SESSION DIRECTORY    a dead drop: who asks for the name of a file there gets the file
    tail -f log | bot.py ship SESSION   ships each line of a log as a message

SESSION is one of `otr status` that has a postbox; begin it with `otr init` and `otr respond`. An
answer goes out before the question is acknowledged: after a kill in between, the question comes again,
and the answer is given twice rather than never."""

import base64
import os
import sys

from client import Otr, OtrError


def text(data):
    """The parameters of a message: as bytes, since quoting can make a text six times as long."""
    return {"base64": base64.b64encode(data).decode()}


def send(otr, session, **message):
    """Sends; a message that was taken while the postbox is away goes out with a later call."""
    try:
        otr.call("send", session=session, **message)
    except OtrError as error:
        if not error.taken:
            raise


def echo(otr, session):
    for message in otr.messages(session):
        send(otr, session, **text(b"echo: " + message.data))
        message.ack()


def drop(otr, session, directory):
    for message in otr.messages(session):
        name = message.data.decode(errors="replace").strip()
        # A name, and no path that leads out of the directory.
        path = os.path.join(os.path.abspath(directory), os.path.basename(name))
        if name == os.path.basename(name) and os.path.isfile(path):
            send(otr, session, file=path)
        else:
            there = ", ".join(sorted(os.listdir(directory)))
            send(otr, session, **text(f"no file {name[:100]!r} here; there are: {there}".encode()))
        message.ack()


def ship(otr, session):
    for line in sys.stdin.buffer:
        send(otr, session, **text(line))
    # What has waited for the postbox goes out now.
    otr.call("flush", session=session)


BOTS = {"echo": echo, "drop": drop, "ship": ship}

if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in BOTS:
        sys.exit(__doc__)
    try:
        with Otr() as otr:
            BOTS[sys.argv[1]](otr, *sys.argv[2:])
    except OtrError as error:
        print(f"bot: {error}", file=sys.stderr)
        sys.exit(error.code)
