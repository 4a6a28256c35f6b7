#!/usr/bin/env python3
"""A slow second opinion on packets and on checks of a secret, from docs/protocol.md and the standard
library alone. (Argon2id, ristretto255, X25519 and ML-KEM are not in that: their results come in.)

One JSON object on standard input, one on standard output:
  {"do": "keys", "CK": hex, "HC": hex, "salt": hex}  the keys of one number
  {"do": "open", "CK": hex, "HC": hex, "packet": hex} the keys, and what the packet holds
  {"do": "verify", "run": {…}}                        sid, ISK and MACs, from what a run exchanged
Bytes are hex. Anything that does not fit is an error (exit 1).
"""
import hashlib
import hmac
import json
import struct
import sys


def sha256(data):
    return hashlib.sha256(data).digest()


def expand(prk, info, length):
    """HKDF-SHA-256, expand alone (RFC 5869, 2.3)."""
    out, block, index = b"", b"", 1
    while len(out) < length:
        block = hmac.new(prk, block + info + bytes([index]), "sha256").digest()
        out, index = out + block, index + 1
    return out[:length]


def hkdf(salt, ikm, info, length):
    return expand(hmac.new(salt or bytes(32), ikm, "sha256").digest(), info, length)


def chacha20_block(key, counter, nonce):
    """RFC 8439, 2.3."""
    start = struct.unpack("<16I", b"expand 32-byte k" + key + struct.pack("<I", counter) + nonce)
    x = list(start)

    def quarter(a, b, c, d):
        for p, q, r, shift in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[p] = (x[p] + x[q]) & 0xFFFFFFFF
            y = x[r] ^ x[p]
            x[r] = ((y << shift) | (y >> (32 - shift))) & 0xFFFFFFFF

    for _ in range(10):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(x, start)))


def poly1305(key, data):
    """RFC 8439, 2.5."""
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for i in range(0, len(data), 16):
        total = (total + int.from_bytes(data[i : i + 16] + b"\x01", "little")) * r % (2**130 - 5)
    return ((total + int.from_bytes(key[16:], "little")) & (2**128 - 1)).to_bytes(16, "little")


def aead_open(key, ad, sealed, nonce=bytes(12)):
    """RFC 8439, 2.8."""
    text, tag = sealed[:-16], sealed[-16:]
    padded = [part + bytes(-len(part) % 16) for part in (ad, text)]
    lengths = struct.pack("<QQ", len(ad), len(text))
    one_time = chacha20_block(key, 0, nonce)[:32]
    if not hmac.compare_digest(tag, poly1305(one_time, b"".join(padded) + lengths)):
        raise ValueError("the tag does not fit")
    stream = b"".join(chacha20_block(key, 1 + i, nonce) for i in range((len(text) + 63) // 64))
    return bytes(a ^ b for a, b in zip(text, stream))


def check_own_primitives():
    """RFC 8439, 2.8.2, and RFC 5869, A.1: this file's own arithmetic."""
    key = bytes(range(0x80, 0xA0))
    nonce = bytes.fromhex("070000004041424344454647")
    ad = bytes.fromhex("50515253c0c1c2c3c4c5c6c7")
    sealed = bytes.fromhex(
        "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
        "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
        "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
        "3ff4def08e4b7a9de576d26586cec64b6116"
        "1ae10b594f09e26a7e902ecbd0600691"
    )
    text = aead_open(key, ad, sealed, nonce)
    assert text.startswith(b"Ladies and Gentlemen of the class of '99"), text
    okm = hkdf(bytes(range(13)), b"\x0b" * 22, bytes(range(0xF0, 0xFA)), 42)
    assert okm.hex().startswith("3cb25f25faacd57a90434f64d0362f2a"), okm.hex()


def number_keys(chain_key, header_chain_key):
    okm = expand(chain_key, b"otr/1 chain", 64)
    headers = expand(header_chain_key, b"otr/1 header chain", 96)
    return {"MK": okm[32:], "HK": headers[32:64], "token": headers[64:]}


def packet_keys(keys, salt):
    body_key = hkdf(salt, keys["MK"], b"otr/1 body", 32)
    return {
        "salt_key": expand(keys["MK"], b"otr/1 salt", 32),
        "header_key": hkdf(salt, keys["HK"], b"otr/1 header", 32),
        "body_key": body_key,
        "poly1305_key": chacha20_block(body_key, 0, bytes(12))[:32],
        "address": sha256(b"otr/1 address" + keys["token"]),
    }


def read_frames(body):
    frames, at = [], 0
    while at < len(body):
        kind = body[at]
        if kind == 0:
            if any(body[at:]):
                raise ValueError("not only zeros behind the last frame")
            break
        (length,) = struct.unpack(">I", body[at + 1 : at + 5])
        field = body[at + 5 : at + 5 + length]
        if len(field) != length:
            raise ValueError("a frame runs past the end")
        frame = {"type": kind, "length": length}
        if kind == 1:
            message, offset, flags = struct.unpack(">QQB", field[:17])
            text = field[17:]
            frame.update(message=message, offset=offset, end=flags == 1)
            frame.update(text_length=len(text), text_sha256=sha256(text).hex())
        frames.append(frame)
        at += 5 + length
    return frames


def prefixed(field):
    """A field behind its length in LEB128 (draft-irtf-cfrg-cpace-21, prepend_len)."""
    length, out = len(field), b""
    while length >= 0x80:
        out, length = out + bytes([0x80 | length & 0x7F]), length >> 7
    return out + bytes([length]) + field


def verify(run):
    """docs/protocol.md, 9.3."""
    value = {name: bytes.fromhex(run[name]) for name in
             ("th_of_chain", "SASK", "starter_share", "answerer_share", "K_point")}
    starter, answerer = (b"\0", b"\1") if run["starter"] == "I" else (b"\1", b"\0")
    info = b"otr/1 verify" + starter + struct.pack(">I", run["attempt"])
    sid = hkdf(value["th_of_chain"], value["SASK"], info, 32)
    fields = [b"CPaceRistretto255_ISK", sid, value["K_point"],
              value["starter_share"], starter + run["question"].encode(),
              value["answerer_share"], answerer]
    isk = hashlib.sha512(b"".join(map(prefixed, fields))).digest()
    key = hkdf(sid, isk, b"otr/1 verify mac", 32)
    return {
        "sid": sid, "ISK": isk, "K": key,
        "mac_answerer": hmac.new(key, b"otr/1 answerer", "sha256").digest(),
        "mac_starter": hmac.new(key, b"otr/1 starter", "sha256").digest(),
    }


def main():
    check_own_primitives()
    asked = json.load(sys.stdin)
    if asked["do"] == "verify":
        json.dump({name: value.hex() for name, value in verify(asked["run"]).items()}, sys.stdout)
        return
    keys = number_keys(bytes.fromhex(asked["CK"]), bytes.fromhex(asked["HC"]))
    answer = {}
    if asked["do"] == "keys":
        keys.update(packet_keys(keys, bytes.fromhex(asked["salt"])))
    elif asked["do"] == "open":
        packet = bytes.fromhex(asked["packet"])
        if len(packet) not in [1 << k for k in range(12, 21)]:
            raise ValueError("no size of a packet")
        keys.update(packet_keys(keys, packet[32:64]))
        if packet[:32] != keys["address"]:
            raise ValueError("another address")
        header = aead_open(keys["header_key"], packet[:64], packet[64 : 64 + 2308 + 16])
        body = aead_open(keys["body_key"], packet[: 64 + 2324], packet[64 + 2324 :])
        answer["header_sha256"] = sha256(header).hex()
        answer["previous_length"] = int.from_bytes(header[-4:], "big")
        answer["frames"] = read_frames(body)
    else:
        raise ValueError("do what?")
    answer.update({name: value.hex() for name, value in keys.items()})
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
