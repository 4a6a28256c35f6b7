"""What a relay, or a watcher at its door, has seen of otr conversations: connections with their calls,
read from a log of `tap.py` or `simulate.py`. Beside it, the truth, which no linker reads."""

import base64
import collections
import json

from nameplate import reply_address

# How many addresses of a call are kept that nobody posted at.
NEAR = 16


class Call:
    """One request over a connection, and its answer."""

    def __init__(self, at, kind, wait=0, addresses=(), sizes=(), up=0):
        self.at, self.kind, self.wait = at, kind, wait
        self.addresses, self.sizes, self.up = addresses, sizes, up
        self.answered, self.status, self.down = None, 0, 0
        self.found, self.found_sizes = [], []

    def has_found(self):
        return self.kind == "collect" and self.status == 200 and self.answered is not None


class Connection:
    """One connection to the relay."""

    def __init__(self, number, opened):
        self.number, self.opened, self.shut, self.calls = number, opened, None, []

    def posts(self):
        """Whether it is on the sending side of its addresses."""
        return any(call.kind in ("post", "gone", "revealed") for call in self.calls)


class Plate:
    """A packet that was posted under the address of a code's number."""

    def __init__(self, at, connection, address, reply):
        self.at, self.connection, self.address = at, connection, address
        # Where the reply will be posted; none if it is no invite.
        self.reply = reply


def load(path):
    """The connections of a log by number, and the packets of codes in it."""
    connections, plates = {}, []
    for line in open(path):
        event = json.loads(line)
        connection = connections.get(event["c"])
        if connection is None:
            connection = connections[event["c"]] = Connection(event["c"], event["t"])
        if event["e"] == "call":
            call = Call(event["t"], event["k"], event.get("w", 0), event["a"], event.get("s", []), event["up"])
            connection.calls.append(call)
            if "plate" in event:
                # A simulated one says what is in it.
                reply = event.get("reply") or reply_address(event["plate"], base64.b64decode(event["blob"]))
                plates.append(Plate(event["t"], event["c"], event["a"][0], reply))
        elif event["e"] == "ans":
            answer(connection, event)
        elif event["e"] == "shut":
            connection.shut = event["t"]
    connections = {number: one for number, one in connections.items() if one.calls}
    forget_far_numbers(connections)
    return connections, plates


def forget_far_numbers(connections):
    """A client that asks for all addresses in one call names thousands that come to nothing. Of each call only those
    stay that were posted at, and the first ones: what the connection links is linked by them."""
    calls = [call for one in connections.values() for call in one.calls]
    posted = {address for call in calls if call.kind == "post" for address in call.addresses}
    for call in calls:
        call.addresses = [one for at, one in enumerate(call.addresses) if at < NEAR or one in posted]


def answer(connection, event):
    for call in connection.calls:
        if call.answered is None:
            call.answered, call.status, call.down = event["t"], event["st"], event["dn"]
            call.found, call.found_sizes = event.get("a", []), event.get("s", [])
            return


def load_truth(path):
    """Connection → (conversation, end)."""
    return {one["c"]: (one["conv"], one["end"]) for one in map(json.loads, open(path))}


def load_both(folder, pairs=None, until=None):
    """The connections, plates and truth of a folder; as if only `pairs` conversations had been there,
    or the log had ended at a time."""
    truth = load_truth(f"{folder}/truth.jsonl")
    if pairs:
        keep = sorted({conversation for conversation, _ in truth.values()})[:pairs]
        truth = {number: one for number, one in truth.items() if one[0] in keep}
    path = f"{folder}/log.jsonl"
    if until is not None:
        path = cut(path, until)
    connections, plates = load(path)
    connections = {number: one for number, one in connections.items() if number in truth}
    return connections, [plate for plate in plates if plate.connection in truth], truth


def cut(path, until):
    """A copy of the log that ends earlier: at the end of a run all processes die at once."""
    shorter = path.replace("log.jsonl", "cut.jsonl")
    with open(shorter, "w") as out:
        out.writelines(line for line in open(path) if json.loads(line)["t"] < until)
    return shorter


def at_the_door(connections):
    """The same for a watcher who sees sizes and times under TLS: kinds from sizes, and invented
    addresses, from who gets what when."""
    seen, posts = {}, []
    for connection in connections.values():
        blurred = Connection(connection.number, connection.opened)
        blurred.shut = connection.shut
        blurred.calls = [blur(call) for call in connection.calls]
        for call in blurred.calls:
            if call.kind == "post":
                posts.append(Posted(call, blurred.number))
            else:
                call.addresses = [f"u{blurred.number}"]
        seen[blurred.number] = blurred
    posts.sort(key=lambda post: post.call.at)
    gets = sorted((call.answered, call.at, call.found_sizes[0], one.number)
                  for one in seen.values() for call in one.calls if call.has_found())
    name_posts(posts, gets)
    return seen


class Posted:
    """A post at the door, and the connection that seems to have got its packet."""

    def __init__(self, call, connection):
        self.call, self.connection, self.size, self.to = call, connection, call.sizes[0], None


def blur(call):
    out = Call(call.at, "collect", up=call.up)
    out.answered, out.down, out.addresses = call.answered, call.down, []
    if call.up >= 4096:
        out.kind, out.sizes = "post", [power_of_two(call.up)]
    elif call.down < 4096 and call.up >= 190:
        out.kind = "discard"
    out.status = 200 if call.down >= 4096 else 204
    out.found_sizes = [power_of_two(call.down)] if out.status == 200 else []
    out.wait = -1 if out.status == 200 else round((call.answered or call.at) - call.at)
    return out


def power_of_two(size):
    return 1 << (size.bit_length() - 1)


def name_posts(posts, gets):
    """Gives a post the name of the connection that got as much at the same moment; later ones only
    where nothing else of that size lies there."""
    pairs, late = [], []
    for got, asked, size, connection in gets:
        now = [(abs(got - post.call.at), at, connection) for at, post in enumerate(posts)
               if post.size == size and post.connection != connection
               and asked < post.call.at <= got + 0.002 and got - post.call.at < 0.25]
        if now:
            pairs += now
        else:
            late.append((got, size, connection))
    taken = set()
    for _, at, connection in sorted(pairs):
        if posts[at].to is None and connection not in taken:
            posts[at].to = connection
            taken.add(connection)
    for got, size, connection in late:
        free = [post for post in posts if post.call.at < got and post.to is None and post.size == size]
        if connection not in taken and len(free) == 1:
            free[0].to = connection
            taken.add(connection)
    for at, post in enumerate(posts):
        post.call.addresses = [f"u{post.to}"] if post.to else [f"p{at}"]


def of_relays(connections, truth, folder, relays):
    """What some of several relays see together, of a simulated log."""
    seen = {one["c"] for one in map(json.loads, open(f"{folder}/truth.jsonl")) if one["relay"] in relays}
    return ({number: one for number, one in connections.items() if number in seen},
            {number: one for number, one in truth.items() if number in seen})


def without_searches(connections, truth):
    """Without those that asked once, for nothing, for what nobody named before or after: a client searches for numbers
    far ahead. They are linked to nothing, and to count them would make all others look better hidden."""
    named = collections.Counter(name for one in connections.values() for name in names(one))
    kept = {number: one for number, one in connections.items()
            if any(named[name] > 1 for name in names(one)) or any(call.kind != "collect" or call.wait or call.has_found()
                                                                  for call in one.calls)}
    return kept, {number: one for number, one in truth.items() if number in kept}


def names(connection):
    return {name for call in connection.calls for name in call.addresses}
