"""Verifies a proof of an audit entry (C2SP tlog-proof) with the log's public key and nothing else: no library, no network, no database.

Written from docs/audit.md, RFC 8032, RFC 9162 section 2.1.3.2 and the C2SP pages on notes, checkpoints and proofs, and from
nothing that the product is made of.

    python3 proof.py FILE KEY     KEY: Ed25519, 64 hex digits

Prints `entry N of M` and ends with 0, or prints why not and ends with 1.
"""

import base64
import datetime
import hashlib
import json
import sys


class Bad(Exception):
    pass


# Ed25519 (RFC 8032 section 5.1): the curve -x^2 + y^2 = 1 + d x^2 y^2 over the integers modulo P.
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


def recovered(y, sign):
    """The x that belongs to y, with this last bit."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    root = pow(square, (P + 3) // 8, P)
    if (root * root - square) % P:
        root = root * pow(2, (P - 1) // 4, P) % P
    if (root * root - square) % P or (root == 0 and sign):
        raise Bad("no point of the curve")
    return P - root if root % 2 != sign else root


def point(encoded):
    number = int.from_bytes(encoded, "little")
    y = number % 2**255
    if y >= P:
        raise Bad("no point of the curve")
    return recovered(y, number >> 255), y


def plus(one, other):
    (a, b), (c, d) = one, other
    product = D * a * b * c * d % P
    x = (a * d + b * c) * pow(1 + product, -1, P) % P
    return x, (b * d + a * c) * pow(1 - product, -1, P) % P


def times(number, of):
    total = (0, 1)
    while number:
        if number & 1:
            total = plus(total, of)
        of, number = plus(of, of), number >> 1
    return total


BASE_Y = 4 * pow(5, -1, P) % P
BASE = recovered(BASE_Y, 0), BASE_Y


def is_signed(key, text, signature):
    if len(signature) != 64:
        return False
    first, scalar = signature[:32], int.from_bytes(signature[32:], "little")
    if scalar >= ORDER:
        return False
    challenge = int.from_bytes(hashlib.sha512(first + key + text).digest(), "little") % ORDER
    return times(scalar, BASE) == plus(point(first), times(challenge, point(key)))


def micros(text):
    """Microseconds since 1970 of a time as JSON has it."""
    if not text.endswith("Z"):
        raise Bad("a time that is not UTC")
    whole, _, part = text[:-1].partition(".")
    seconds = datetime.datetime.fromisoformat(whole + "+00:00") - datetime.datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    return (seconds.days * 86400 + seconds.seconds) * 1_000_000 + int((part + "000000")[:6])


FIELDS = (
    "sequence time stage ending about request address grant peer subject resource query reason note rows bytes latency_us".split()
)


def entry_hash(entry):
    text = b"mosaic-fed audit entry 1\0" + bytes.fromhex(entry["previous"])
    for name in FIELDS:
        value = entry[name]
        if value is None:
            text += b"\xff\xff\xff\xff"
            continue
        field = str(micros(value) if name == "time" else value).encode()
        text += len(field).to_bytes(4, "big") + field
    return hashlib.sha256(text).digest()


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def root_from(leaf, index, size, path):
    if index >= size:
        raise Bad("the entry is behind the log's end")
    at, last, root = index, size - 1, leaf
    for beside in path:
        if last == 0:
            raise Bad("too many hashes")
        if at & 1 or at == last:
            root = node(beside, root)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            root = node(root, beside)
        at, last = at >> 1, last >> 1
    if last:
        raise Bad("too few hashes")
    return root


def decoded(text):
    decoded = base64.b64decode(text, validate=True)
    if base64.b64encode(decoded).decode() != text:
        raise Bad("base64 in another form")
    return decoded


def number(text):
    if str(int(text)) != text:
        raise Bad("a number in another form")
    return int(text)


def verify(text, key):
    head, _, note = text.partition("\n\n")
    body, _, signatures = note.rpartition("\n\n")
    body += "\n"
    lines = head.split("\n")
    if lines[0] != "c2sp.org/tlog-proof@v1" or not lines[1].startswith("extra ") or not lines[2].startswith("index "):
        raise Bad("no proof of an entry")
    entry, index = json.loads(decoded(lines[1][6:])), number(lines[2][6:])
    path = [decoded(line) for line in lines[3:]]
    origin, size, root = body.split("\n")[:3]
    size, root = number(size), decoded(root)
    if set(entry) != {*FIELDS, "previous", "hash"}:
        raise Bad("an entry with other fields")
    if entry_hash(entry).hex() != entry["hash"]:
        raise Bad("the entry was altered")
    if entry["sequence"] != index + 1:
        raise Bad("the entry is of another place")
    leaf = hashlib.sha256(b"\0" + bytes.fromhex(entry["hash"])).digest()
    if root_from(leaf, index, size, path) != root:
        raise Bad("the hashes do not lead to the root")
    key_id = hashlib.sha256(origin.encode() + b"\n\x01" + key).digest()[:4]
    signed = False
    for line in signatures.splitlines():
        dash, name, signature = line.split(" ")
        signature = decoded(signature)
        if dash == "\u2014" and name == origin and signature[:4] == key_id:
            if not is_signed(key, body.encode(), signature[4:]):
                raise Bad("the signature does not verify")
            signed = True
    if not signed:
        raise Bad("not signed by this key")
    return entry["sequence"], size


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip().splitlines()[5].strip())
    try:
        with open(sys.argv[1], encoding="utf-8") as file:
            print("entry %d of %d" % verify(file.read(), bytes.fromhex(sys.argv[2])))
    except (Bad, OSError, ValueError, KeyError, TypeError, IndexError) as bad:
        sys.exit(f"{type(bad).__name__}: {bad}")
