"""What a relay can do with a code: its number has three digits, so the relay tries them all, opens the
invite that lies there, and reads where the reply will be posted."""

import hashlib
import hmac
import struct

# What stands before the reply's token in the opened packet: length, version, key, salt.
REPLY_AT = 2 + 1 + 1 + 1216 + 32
INVITE = 1400


def hkdf(salt, key, info, count):
    secret = hmac.new(salt or b"\0" * 32, key, hashlib.sha256).digest()
    out, block, number = b"", b"", 1
    while len(out) < count:
        block = hmac.new(secret, block + info + bytes([number]), hashlib.sha256).digest()
        out += block
        number += 1
    return out[:count]


def token(number):
    """The token of a code's number."""
    return hkdf(b"", str(number).encode(), b"otr/1 nameplate", 32)


def address(token):
    return hashlib.sha256(b"otr/1 address" + token).digest()


def reply_address(number, packet):
    """Where the reply to the invite in this packet will be posted (24 hexadecimal digits, as in the
    logs); none if the packet is no invite."""
    key = hkdf(packet[32:64], token(number), b"otr/1 nameplate key", 32)
    stream = chacha20(key, 1, INVITE)
    plain = bytes(a ^ b for a, b in zip(packet[64:64 + INVITE], stream))
    return plain[REPLY_AT:REPLY_AT + 32].hex()[:24] if plain[2] == 1 else None


def chacha20(key, counter, count):
    """Stream of ChaCha20 with a nonce of zeros."""
    out = b""
    while len(out) < count:
        start = [*struct.unpack("<4I", b"expand 32-byte k"), *struct.unpack("<8I", key), counter, 0, 0, 0]
        state = start[:]
        for _ in range(10):
            for a, b, c, d in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                               (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
                quarter_round(state, a, b, c, d)
        out += struct.pack("<16I", *((x + y) & 0xffffffff for x, y in zip(state, start)))
        counter += 1
    return out[:count]


def quarter_round(state, a, b, c, d):
    for to, by, turned, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        state[to] = (state[to] + state[by]) & 0xffffffff
        mixed = state[turned] ^ state[to]
        state[turned] = ((mixed << bits) | (mixed >> (32 - bits))) & 0xffffffff
