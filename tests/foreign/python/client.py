#!/usr/bin/env python3
"""A client for a mosaic-fed instance with grpcio, written from docs/protocol.md and the .proto files alone.

The commands, what they print and the exit codes are in ../README.md. This file is the commands; keeping.py has the two that keep a
link as it should be kept, link.py what all of them share, wire.py what they stand on."""

import sys

sys.dont_write_bytecode = True  # nothing is written but below --state

import argparse
import hashlib
import json
import secrets
import time
from pathlib import Path

import grpc
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate
from google.protobuf.json_format import MessageToDict

import keeping
import wire
from link import BAD_INVITE, FAILED, NOT_BELIEVED, OCCUPIED, State, dial, held, names, of_key, rate, say, say_failure
from wire import NotBelieved

OPTIONAL = ("title", "body", "team", "project", "owner")


# ---- commands


def enroll(args):
    human = json.loads(Path(args.human).read_text())
    invite = wire.read_invite(human["invite"])
    found = hashlib.sha256(invite.root).hexdigest()
    expected = "".join(human["fingerprint"].split()).lower()
    say(
        "invited",
        instance_id=invite.instance_id,
        instance_name=invite.instance_name,
        grant_id=invite.grant_id,
        grant_name=invite.offer.grant_name,
        workspace=invite.offer.workspace,
        resources=list(invite.offer.resources),
        subject=invite.offer.subject,
        fingerprint=found,
        expires_at=invite.expires_at.ToJsonString(),
    )
    if found != expected:
        say("wrong_fingerprint", expected=expected, found=found)
        return BAD_INVITE

    state = State(args.state)
    root = load_der_x509_certificate(invite.root).public_bytes(Encoding.PEM)
    former = state.link()
    # Whoever can write an invite must not be able to move a link: a fresh one comes from the same instance, with the same root.
    same = {"grant_id": invite.grant_id, "instance_id": invite.instance_id, "root": root.decode()}
    if former and any(former[name] != value for name, value in same.items()):
        say("occupied", grant_id=former["grant_id"])
        return OCCUPIED
    own_id = state.own_id()
    key = ec.generate_private_key(ec.SECP256R1())
    nonce = secrets.token_bytes(32)
    with wire.dial(invite.enrol_addresses, invite.tls_name, root) as channel:
        answer, _ = wire.ask(
            wire.enrol_services.EnrolServiceStub(channel).Enroll,
            wire.enrol.EnrollRequest(
                token=invite.token,
                csr=wire.certificate_request(key),
                instance_id=own_id,
                instance_name=human["name"],
                words_nonce=nonce,
            ),
        )
    if answer.grant_id != invite.grant_id:
        raise NotBelieved("the answer is about another grant")
    wire.check_opening(answer.words_opening, invite)
    certificate = wire.check_certificate(answer.certificate, invite, own_id, key)
    state.keep(
        {
            "instance_id": invite.instance_id,
            "grant_id": invite.grant_id,
            "addresses": list(invite.addresses),
            "tls_name": invite.tls_name,
            "root": root.decode(),
            **of_key(certificate, key),
        }
    )
    say(
        "enrolled",
        grant_id=answer.grant_id,
        instance_id=own_id,
        certificate_not_after=answer.certificate_not_after.ToJsonString(),
    )


def connect(args):
    link = held(args)
    with dial(link) as channel:
        answer, request_id = keeping.open_with(channel, link, args.request_id)
    say(
        "connected",
        instance_id=answer.instance_id,
        instance_name=answer.instance_name,
        version=answer.version,
        capabilities=names(wire.types.Capability, answer.capabilities),
        max_rows=answer.max_rows,
        rate=rate(answer),
        certificate_not_after=answer.certificate_not_after.ToJsonString(),
        request_id=request_id,
    )


def ask_capabilities(channel, link, request_id=None):
    method = wire.query_services.QueryServiceStub(channel).Capabilities
    answer, request_id = wire.ask(method, wire.query.CapabilitiesRequest(), request_id)
    if answer.grant_id != link["grant_id"]:
        raise NotBelieved("the answer is about another grant")
    return answer, request_id


def capabilities(args):
    link = held(args)
    with dial(link) as channel:
        answer, request_id = ask_capabilities(channel, link, args.request_id)
    say(
        "capabilities",
        grant_id=answer.grant_id,
        grant_name=answer.grant_name,
        workspace=answer.workspace,
        resources={scope.resource: list(scope.fields) for scope in answer.resources},
        verbs=names(wire.types.Verb, answer.verbs),
        max_rows=answer.max_rows,
        rate=rate(answer),
        calls_left=answer.calls_left,
        not_after=answer.not_after.ToJsonString(),
        request_id=request_id,
    )


def check_health(channel, request_id=None):
    return wire.ask(wire.health_services.HealthStub(channel).Check, wire.health.HealthCheckRequest(), request_id)


def health(args):
    with dial(held(args)) as channel:
        answer, request_id = check_health(channel, args.request_id)
    say("health", status=status(answer), request_id=request_id)


def list_rows(args):
    pages = rows = 0
    last = None
    token = ""
    request_id = args.request_id
    with dial(held(args)) as channel:
        while True:
            request = wire.query.ListRequest(
                resource=args.kind, limit=args.limit, page_token=token, include_body=args.body
            )
            count, last, token = page(channel, request, request_id, last)
            pages, rows, request_id = pages + 1, rows + count, None
            if not (args.all and token):
                break
    say("end", pages=pages, rows=rows)


def page(channel, request, request_id, last):
    """Prints the rows of one List after the row `last`: how many there were, the last one, and the token of the next page."""
    call = wire.query_services.QueryServiceStub(channel).List(
        request, timeout=wire.CALL_SECONDS, metadata=wire.metadata(request_id)
    )
    rows = chunks = 0
    end = None
    for chunk in call:
        if end:
            raise NotBelieved("a chunk came after the end")
        chunks += 1
        if not chunk.items and not chunk.HasField("end"):
            raise NotBelieved("a chunk has no rows and is not the end")
        if not chunk.HasField("as_of"):
            raise NotBelieved("a chunk does not say when it was read")
        for item in chunk.items:
            rows += 1
            if rows > (request.limit or 10_000):
                raise NotBelieved("more rows than were asked for")
            place = check_row(item, request.resource)
            if last and place >= last:
                raise NotBelieved(f"row {item.id} is out of order")
            last = place
            say("row", **row(item))
        if chunk.HasField("end"):
            end = chunk.end
            as_of = chunk.as_of
    if end is None:
        raise NotBelieved("the list came without its end")
    if end.truncated != bool(end.next_page_token) or end.truncated and not rows:
        raise NotBelieved("the end of the list contradicts itself")
    say(
        "page",
        rows=rows,
        chunks=chunks,
        truncated=end.truncated,
        as_of=as_of.ToJsonString(),
        request_id=wire.came_back(call.initial_metadata()),
    )
    return rows, last, end.next_page_token


def get(args):
    with dial(held(args)) as channel:
        answer, request_id = wire.ask(
            wire.query_services.QueryServiceStub(channel).Get,
            wire.query.GetRequest(resource=args.kind, id=args.id),
            args.request_id,
        )
    check_row(answer.item, args.kind)
    if answer.item.id != args.id or not answer.HasField("as_of"):
        raise NotBelieved("another row came, or one without its time")
    say("row", **row(answer.item))
    say("got", as_of=answer.as_of.ToJsonString(), request_id=request_id)


def exhaust(args):
    link = held(args)
    calls = 0
    request_id = args.request_id
    with dial(link) as channel:
        try:
            while calls < args.at_most:
                ask_capabilities(channel, link, request_id)
                calls, request_id = calls + 1, None
            say("answered", calls=calls)
            return
        except grpc.RpcError as error:
            wait = wire.failure(error).get("retry_after_ms")
            if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED or wait is None:
                raise
            say("answered", calls=calls)
            say_failure(error)
        time.sleep(wait / 1000)
        say("waited", ms=wait)
        ask_capabilities(channel, link)
        say("answered", calls=1)


def watch(args):
    link = held(args)
    with dial(link) as channel:
        call = wire.health_services.HealthStub(channel).Watch(
            wire.health.HealthCheckRequest(), metadata=wire.metadata(args.request_id)
        )
        watching = False
        cut = {"code": "OK", "reason": None}
        try:
            for answer in call:
                if not watching:
                    say("watching", status=status(answer), request_id=wire.came_back(call.initial_metadata()))
                watching = True
        except grpc.RpcError as error:
            if not watching:
                raise
            cut = wire.failure(error)
        say("cut", code=cut["code"], reason=cut["reason"])
    with dial(link) as channel:
        try:
            check_health(channel)
        except grpc.RpcError as error:
            found = wire.failure(error)
            say("turned_away", code=found["code"], reason=found["reason"], detail=found["detail"])
            return 0
    say("let_in")
    return FAILED  # the connection broke, and the link stands


def disconnect(args):
    link = held(args)
    state = State(args.state)
    try:
        with dial(link) as channel:
            method = wire.connect_services.ConnectServiceStub(channel).Disconnect
            answer, request_id = wire.ask(method, wire.connect.DisconnectRequest(), args.request_id)
    except grpc.RpcError as error:
        # Whoever removes a link is rid of it even if nobody can be told. A refusal for the moment can be tried again.
        reason = wire.failure(error)["reason"]
        if reason in (None, "NOT_PERMITTED"):
            state.erase()
        if reason is None:
            print("The other side could not be told: a grant that still stands stays until it ends by itself.", file=sys.stderr)
        raise
    state.erase()
    say("disconnected", revoked_at=answer.revoked_at.ToJsonString(), request_id=request_id)


# ---- what answers say


def check_row(item, resource):
    """Where a row stands in the order of a list. Ids in the one spelling compare as their bytes do."""
    if item.resource != resource:
        raise NotBelieved(f"a row of {item.resource!r} came")
    if not wire.UUID.fullmatch(item.id) or not (item.HasField("created_at") and item.HasField("updated_at")):
        raise NotBelieved("a row has no id or no time")
    return item.created_at.seconds, item.created_at.nanos, item.id


def row(item):
    keys = {
        "id": item.id,
        "resource": item.resource,
        "created_at": item.created_at.ToJsonString(),
        "updated_at": item.updated_at.ToJsonString(),
    }
    keys |= {name: getattr(item, name) for name in OPTIONAL if item.HasField(name)}
    if item.tags:
        keys["tags"] = list(item.tags)
    if item.HasField("attributes"):
        keys["attributes"] = {name: whole(value) for name, value in MessageToDict(item.attributes).items()}
    return keys


def whole(value):
    return int(value) if isinstance(value, float) and value.is_integer() else value  # 3, not 3.0


def status(answer):
    return wire.health.HealthCheckResponse.ServingStatus.Name(answer.status)


# ---- the command line


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(1, f"{self.format_usage()}{message}\n")  # argparse's own 2 means something else here


def count(text):
    number = int(text)
    if not 0 <= number < 2**32:
        raise ValueError
    return number


def command_line():
    parser = Parser()
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name, run):
        one = commands.add_parser(name)
        one.set_defaults(run=run)
        one.add_argument("--state", required=True)
        if run is not enroll:
            one.add_argument("--request-id")
        return one

    command("enroll", enroll).add_argument("--human", required=True)
    command("connect", connect)
    command("capabilities", capabilities)
    command("health", health)
    one = command("list", list_rows)
    one.add_argument("kind")
    one.add_argument("--limit", type=count, default=0)
    one.add_argument("--body", action="store_true")
    one.add_argument("--all", action="store_true")
    one = command("get", get)
    one.add_argument("kind")
    one.add_argument("id")
    command("exhaust", exhaust).add_argument("--at-most", type=count, default=200)
    command("watch", watch)
    one = command("session", keeping.session)
    one.add_argument("kind")
    one.add_argument("--beats", type=count)
    command("renew", keeping.renew).add_argument("--unused", action="store_true")
    command("disconnect", disconnect)
    return parser.parse_args()


def main():
    args = command_line()
    try:
        return args.run(args)
    except wire.BadInvite as error:
        say("bad_invite", why=str(error))
        return BAD_INVITE
    except NotBelieved as error:
        say("not_believed", why=str(error))
        return NOT_BELIEVED
    except grpc.RpcError as error:
        return say_failure(error)


if __name__ == "__main__":
    sys.exit(main())
