"""What the commands share: what is printed, what is kept of a link, and how it is dialled."""

import json
import os
import sys
import uuid
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import wire

BAD_INVITE = OCCUPIED = 2
REFUSED, FAILED, NOT_BELIEVED = 3, 4, 5


def say(event, **keys):
    print(json.dumps({"event": event, **keys}), flush=True)


def say_failure(error):
    found = wire.failure(error)
    if found["reason"] is None:
        say("failed", code=found["code"], detail=found["detail"])
        return FAILED
    if found["reason"] == "NOT_PERMITTED":
        print("The link is over: ask its owner for a new invite.", file=sys.stderr)
    say(
        "refused",
        code=found["code"],
        reason=found["reason"],
        domain=found["domain"],
        message=found["detail"],
        retry_after_ms=found.get("retry_after_ms"),
        violations=found.get("violations", []),
        # A refusal has one block of headers, which gRPC calls trailers.
        request_id=wire.came_back(error.initial_metadata(), error.trailing_metadata()),
    )
    return REFUSED


class State:
    """A directory with this side's id, for ever, and one link."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.link_file = self.directory / "link.json"

    def own_id(self):
        file = self.directory / "instance-id"
        if not file.exists():
            self.write(file, str(uuid.uuid4()))
        return file.read_text()

    def link(self):
        return json.loads(self.link_file.read_text()) if self.link_file.exists() else None

    def keep(self, link):
        self.write(self.link_file, json.dumps(link))

    def erase(self):
        self.link_file.unlink(missing_ok=True)

    def is_refused(self, link, held):
        """Whether the other side refuses a certificate of the link. Its key is in a file of its own for that moment."""
        file = self.directory / "shown.pem"
        self.write(file, held["certificate"] + held["key"])
        try:
            return wire.is_refused(link["addresses"], link["tls_name"], link["root"], file)
        finally:
            file.unlink()

    def write(self, file, text):
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        part.unlink(missing_ok=True)
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(text)
        part.rename(file)  # whole or not at all: there is no second key


def dial(link):
    """A connection with the certificate that was given last: one that waits to be used is in force from here on."""
    held = link.get("next", link)
    key, certificate = held["key"].encode(), held["certificate"].encode()
    return wire.dial(link["addresses"], link["tls_name"], link["root"].encode(), key, certificate)


def of_key(certificate, key):
    """Both as they are kept."""
    return {
        "certificate": certificate.public_bytes(Encoding.PEM).decode(),
        "key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    }


def held(args):
    """The link. A certificate that was kept and is refused by now, since another one was given, is none: the present one is as good as it
    was."""
    state = State(args.state)
    link = state.link()
    if link is None:
        sys.exit(f"there is no link in {args.state}")
    if "next" in link and state.is_refused(link, link["next"]):
        print("The certificate that was kept to be used next is refused; the present one goes on.", file=sys.stderr)
        del link["next"]
    return link


def rate(answer):
    return {"per_minute": answer.rate.per_minute, "burst": answer.rate.burst}


def names(enum, values):
    return [enum.Name(value) for value in values if value in enum.values()]  # unknown ones are of a newer version
