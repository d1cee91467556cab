"""What keeps a link: the control session, over which the other side tells of the grant's changes and its end, and the renewal of
the certificate."""

import queue
import threading
import time
from types import SimpleNamespace

import grpc
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate
from google.protobuf.timestamp_pb2 import Timestamp

import wire
from link import FAILED, State, dial, held, names, of_key, rate, say
from wire import NotBelieved

SILENCE_SECONDS = 45


def open_with(channel, link, request_id=None):
    """The opening exchange: who is there, and that it is who it should be."""
    answer, request_id = wire.ask(
        wire.connect_services.ConnectServiceStub(channel).Connect,
        wire.connect.ConnectRequest(version_min=1, version_max=1),
        request_id,
    )
    if answer.instance_id != link["instance_id"]:
        raise NotBelieved("another instance answered")
    if answer.version != 1:
        raise NotBelieved(f"version {answer.version} was not offered")
    return answer, request_id


# ---- the control session


class Conversation:
    """The stream of a session. What comes is put into a queue, so that waiting for it and saying something go together."""

    def __init__(self, channel, request_id):
        self.words, self.news = queue.SimpleQueue(), queue.SimpleQueue()
        session = wire.connect_services.ConnectServiceStub(channel).Session
        # No deadline: it stands for as long as the link is in use. The words end with None, and with them the session.
        self.call = session(iter(self.words.get, None), metadata=wire.metadata(request_id))
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        try:
            for word in self.call:
                self.news.put(word)
            self.news.put(None)
        except grpc.RpcError as error:
            self.news.put(error)

    def beat(self):
        now = Timestamp()
        now.GetCurrentTime()
        self.words.put(wire.connect.SessionRequest(heartbeat=wire.connect.Heartbeat(time=now)))

    def acknowledge(self, generation):
        self.words.put(wire.connect.SessionRequest(acknowledged=wire.connect.Acknowledged(generation=generation)))
        say("acknowledged", generation=generation)

    def next(self, seconds):
        """The next word; None when the stream has ended in order. queue.Empty where nothing came in time."""
        word = self.news.get(timeout=max(0, seconds))
        if isinstance(word, grpc.RpcError):
            raise word
        return word


class Shown:
    """What is shown of a link, all of it in memory: the rows of one page, and a call that stays open."""

    def __init__(self, channel, kind):
        call = wire.query_services.QueryServiceStub(channel).List(
            wire.query.ListRequest(resource=kind), timeout=wire.CALL_SECONDS, metadata=wire.metadata()
        )
        self.rows = [item for chunk in call for item in chunk.items]
        self.call = wire.health_services.HealthStub(channel).Watch(
            wire.health.HealthCheckRequest(), metadata=wire.metadata()
        )

    def forget(self):
        count = len(self.rows)
        self.rows.clear()
        say("dropped", rows=count)

    def end(self):
        self.call.cancel()
        self.forget()


def session(args):
    with dial(held(args)) as channel:
        shown = Shown(channel, args.kind)
        talk = Conversation(channel, args.request_id)
        talk.beat()
        try:
            return converse(talk, shown, args.beats)
        finally:
            talk.words.put(None)


def converse(talk, shown, beats):
    try:
        first = talk.next(wire.CALL_SECONDS)
    except queue.Empty:
        raise NotBelieved("the session began without a word") from None
    if first is None or not first.HasField("welcome"):
        raise NotBelieved("the session began without a welcome")
    welcome = first.welcome
    say(
        "begun",
        session=welcome.session,
        generation=welcome.generation,
        heartbeat_seconds=welcome.heartbeat_seconds,
        lease_seconds=welcome.lease_seconds,
        rows=len(shown.rows),
        request_id=wire.came_back(talk.call.initial_metadata()),
        **terms(welcome.terms),
    )
    try:
        ended = follow(talk, shown, welcome.heartbeat_seconds, beats)
        code = {"code": "OK", "reason": None}
    except queue.Empty:
        ended, code = None, {"code": "DEADLINE_EXCEEDED", "reason": None}
    except grpc.RpcError as error:
        ended, code = None, wire.failure(error)
    if ended is None:
        # Nobody would tell of the grant's end any more: 60 s at most, and here at once.
        shown.end()
        say("lost", code=code["code"], reason=code["reason"])
        return FAILED
    talk.acknowledge(ended)
    say("over", **cut(talk))


def follow(talk, shown, every, beats):
    """Until the end is told: its generation, once nothing is shown any more. None where the stream ends before. With `beats`
    nothing is said any more after so many, and the other side's patience is tried."""
    said = 1
    beat_at = time.monotonic() + every
    silent_at = time.monotonic() + SILENCE_SECONDS
    while True:
        mute = beats is not None and said >= beats
        until = silent_at + SILENCE_SECONDS if mute else min(beat_at, silent_at)
        try:
            word = talk.next(until - time.monotonic())
        except queue.Empty:
            if time.monotonic() >= silent_at:
                raise
            talk.beat()
            said, beat_at = said + 1, beat_at + every
            continue
        if word is None:
            return None
        silent_at = time.monotonic() + SILENCE_SECONDS
        what = word.WhichOneof("said")
        if what == "heartbeat":
            heard(word.heartbeat)
        elif what == "notice" and word.notice.HasField("ended"):
            say("ended", generation=word.notice.generation, at=word.notice.ended.at.ToJsonString())
            shown.end()
            return word.notice.generation
        elif what == "notice":
            say("changed", generation=word.notice.generation, **terms(word.notice.changed))
            shown.forget()
            talk.acknowledge(word.notice.generation)


def heard(answer):
    """The other side's clock less ours, halfway between question and answer."""
    now = time.time_ns()
    offset = answer.time.ToNanoseconds() - (answer.answers.ToNanoseconds() + now) // 2
    say("heard", time=answer.time.ToJsonString(), offset_ms=offset // 1_000_000)


def cut(talk):
    """How the stream ended after the last word."""
    try:
        while talk.next(wire.CALL_SECONDS) is not None:
            pass
    except queue.Empty:
        return {"code": "DEADLINE_EXCEEDED", "reason": None}
    except grpc.RpcError as error:
        found = wire.failure(error)
        return {"code": found["code"], "reason": found["reason"]}
    return {"code": "OK", "reason": None}


def terms(told):
    return {
        "capabilities": names(wire.types.Capability, told.capabilities),
        "max_rows": told.max_rows,
        "rate": rate(told),
        "not_after": told.not_after.ToJsonString(),
    }


# ---- renewal


def renew(args):
    state, link = State(args.state), held(args)
    if "next" not in link:
        link["next"] = further(link, state.own_id(), args.request_id)
        state.keep(link)  # before it is used: what is used and not kept is lost in a crash, and the link with it
        if args.unused:
            return
    with dial(link) as channel:
        answer, request_id = open_with(channel, link)  # the first use puts it in force
    link |= link.pop("next")
    state.keep(link)
    say("renewed", certificate_not_after=answer.certificate_not_after.ToJsonString(), request_id=request_id)


def further(link, own_id, request_id):
    """A further certificate of the link's grant, for a new key."""
    key = ec.generate_private_key(ec.SECP256R1())
    with dial(link) as channel:
        answer, request_id = wire.ask(
            wire.connect_services.ConnectServiceStub(channel).Renew,
            wire.connect.RenewRequest(csr=wire.certificate_request(key)),
            request_id,
        )
    root = load_pem_x509_certificate(link["root"].encode()).public_bytes(Encoding.DER)
    whose = SimpleNamespace(root=root, tls_name=link["tls_name"], grant_id=link["grant_id"])
    certificate = wire.check_certificate(answer.certificate, whose, own_id, key)
    say("given", certificate_not_after=answer.certificate_not_after.ToJsonString(), request_id=request_id)
    return of_key(certificate, key)
