"""Everything of the protocol that is bytes: the messages, the calls, what a refusal says, the invite, the certificate.

The .proto files are compiled in memory when this is imported, so nothing is written. health.proto and refusal.proto stand for
two packages that the requirements do not have."""

import base64
import binascii
import hashlib
import queue
import re
import socket
import ssl
import sys
import time
import uuid
from datetime import datetime, timezone
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.protobuf.message import DecodeError

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE.parent), str(HERE.parents[2] / "proto" / "proto")]
enrol, enrol_services = grpc.protos_and_services("mosaic/federation/v1/enrol.proto")
connect, connect_services = grpc.protos_and_services("mosaic/federation/v1/connect.proto")
query, query_services = grpc.protos_and_services("mosaic/federation/v1/query.proto")
types = grpc.protos("mosaic/federation/v1/types.proto")
health, health_services = grpc.protos_and_services("health.proto")
refusal = grpc.protos("refusal.proto")

DOMAIN = "mosaic.federation.v1"
DIAL_SECONDS = 3
CALL_SECONDS = 10
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class BadInvite(Exception):
    """The string is no whole, usable invite."""


class NotBelieved(Exception):
    """The other side said what cannot be."""


# ---- connections and calls


def dial(addresses, tls_name, root, key=None, certificate=None):
    """A channel to the first address that answers. Of the last one the channel is given back even if it did not: the call that
    follows fails at once, with the library's words for why."""
    # Chain, name and time are the library's to check, against the invite's root alone. It does not show the certificate's URI.
    credentials = grpc.ssl_channel_credentials(root, key, certificate)
    options = [
        ("grpc.ssl_target_name_override", tls_name),
        ("grpc.enable_retries", 0),  # an invite is good once, and nothing here is asked twice
        ("grpc.enable_http_proxy", 0),  # the addresses of the invite and no others
        ("grpc.use_local_subchannel_pool", 1),  # a new dial is a new connection
    ]
    for address in addresses:
        channel = grpc.secure_channel("dns:///" + address, credentials, options)
        if is_up(channel) or address == addresses[-1]:
            return channel
        channel.close()


REFUSALS = ("CERTIFICATE_REVOKED", "CERTIFICATE_EXPIRED", "UNKNOWN_CA", "BAD_CERTIFICATE", "ACCESS_DENIED")


def is_refused(addresses, tls_name, root, held):
    """Whether the other side answers the certificate in the file `held`, which has its key too, with an alert: grpcio shows none. A
    connection that merely broke is no refusal."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=root)
    context.load_cert_chain(held)
    context.set_alpn_protocols(["h2"])
    for address in addresses:
        host, _, port = address.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), DIAL_SECONDS) as plain:
                with context.wrap_socket(plain, server_hostname=tls_name) as bare:
                    bare.recv(1)  # our handshake is over before the other side has judged us
                    return False
        except ssl.SSLError as error:
            if (error.reason or "").endswith(REFUSALS):
                return True
        except OSError:
            pass
    return False


def is_up(channel):
    states = queue.SimpleQueue()
    listen = states.put
    channel.subscribe(listen, try_to_connect=True)
    try:
        give_up = time.monotonic() + DIAL_SECONDS
        while True:
            state = states.get(timeout=max(0, give_up - time.monotonic()))
            if state is grpc.ChannelConnectivity.READY:
                return True
            if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                return False
    except queue.Empty:
        return False
    finally:
        channel.unsubscribe(listen)


def metadata(request_id=None):
    return [("x-request-id", request_id or str(uuid.uuid4()))]


def ask(method, request, request_id=None):
    """One call with one answer: the answer, and the request id that came back."""
    answer, call = method.with_call(request, timeout=CALL_SECONDS, metadata=metadata(request_id))
    return answer, came_back(call.initial_metadata())


def came_back(*blocks):
    """The request id in the metadata of an answer."""
    for block in blocks:
        for name, value in block or ():
            if name == "x-request-id":
                return value
    return None


def failure(error):
    """What a gRPC error says, with `reason` None if it came without one of this protocol's."""
    found = {"code": error.code().name, "reason": None, "detail": error.details()}
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    if details is None:
        return found
    try:
        for one in refusal.Status.FromString(details).details:
            info, retry, bad = refusal.ErrorInfo(), refusal.RetryInfo(), refusal.BadRequest()
            if one.Unpack(info) and info.domain == DOMAIN:
                found |= {"reason": info.reason, "domain": info.domain}
            elif one.Unpack(retry):
                nanos = retry.retry_delay.ToNanoseconds()
                found["retry_after_ms"] = -(-nanos // 1_000_000)  # rounded up: too early is another refusal
            elif one.Unpack(bad):
                found["violations"] = [{"field": v.field, "description": v.description} for v in bad.field_violations]
    except DecodeError:
        pass  # details that are no message give no reason
    return found


# ---- the invite


def read_invite(pasted):
    text = "".join(pasted.split())  # mail programs break the line
    if len(text) > 64 * 1024:
        raise BadInvite("longer than 64 KiB")
    if not text.startswith("mfi1."):
        raise BadInvite("does not begin with mfi1.")
    encoded = text[5:]
    try:
        data = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadInvite(f"is not whole: {error}; ask for the whole line again") from None
    # Python takes + and / as well, and padding: only what would be written the same way is in order.
    if base64.urlsafe_b64encode(data).decode().rstrip("=") != encoded:
        raise BadInvite("has characters that no invite has, or is not whole: ask for the whole line again")
    message, check = data[:-4], data[-4:]
    if hashlib.sha256(message).digest()[:4] != check:
        raise BadInvite("characters are missing or changed: ask for the whole line again")
    try:
        invite = enrol.Invite.FromString(message)
        x509.load_der_x509_certificate(invite.root)
    except DecodeError:
        raise BadInvite("holds no Invite") from None
    except ValueError:
        raise BadInvite("its root is no certificate") from None
    for name, good in {
        "token": re.fullmatch(r"[0-9a-f]{64}", invite.token),
        "addresses": are_addresses(invite.addresses),
        "enrol_addresses": are_addresses(invite.enrol_addresses),
        "instance_id": UUID.fullmatch(invite.instance_id),
        "grant_id": UUID.fullmatch(invite.grant_id),
        "tls_name": invite.tls_name == invite.instance_id + ".mosaic-fed.internal",
        "offer": invite.HasField("offer"),
        "expires_at": invite.HasField("expires_at"),
    }.items():
        if not good:
            raise BadInvite(f"its {name} is not in order")
    return invite


def are_addresses(addresses):
    def is_one(address):
        host, _, port = address.rpartition(":")
        return re.fullmatch(r"\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+", host) and port.isdecimal() and 0 < int(port) < 65536

    return 1 <= len(addresses) <= 16 and all(is_one(address) for address in addresses)


# ---- the certificate


def certificate_request(key):
    """PKCS #10 with an empty subject and no attributes: it says nothing but the key."""
    return x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, SHA256()).public_bytes(Encoding.DER)


def check_opening(opening, invite):
    """What the sharing side adds to the four words must be what its invite binds it to."""
    if hashlib.sha256(b"mosaic-fed words commitment 1\0" + opening).digest() != invite.words_commitment:
        raise NotBelieved("what was added to the words is not what the invite binds to")


def check_certificate(der, invite, own_id, key):
    try:
        certificate = x509.load_der_x509_certificate(der)
        certificate.verify_directly_issued_by(x509.load_der_x509_certificate(invite.root))
        names = list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
        grant = certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1")).value.value
    except InvalidSignature:
        raise NotBelieved("the certificate is not signed by the invite's root") from None
    except (ValueError, TypeError, x509.ExtensionNotFound) as error:
        raise NotBelieved(f"the certificate is not in form: {error}") from None
    whose = f"spiffe://{invite.tls_name}/instance/{own_id}"
    if not certificate.not_valid_before_utc <= datetime.now(timezone.utc) <= certificate.not_valid_after_utc:
        raise NotBelieved("the certificate is not valid now")
    if spki(certificate.public_key()) != spki(key.public_key()):
        raise NotBelieved("the certificate is for another key")
    if names != [x509.UniformResourceIdentifier(whose)]:
        raise NotBelieved("the certificate is for another instance")
    if grant != b"\x0c\x24" + invite.grant_id.encode():  # UTF8String, 36 bytes
        raise NotBelieved("the certificate is for another grant")
    return certificate


def spki(key):
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
