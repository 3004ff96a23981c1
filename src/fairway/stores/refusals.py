"""Errors of object storage, told as sentences: what was refused, where, and the next thing to try.

A server's own words may hold parts of a request, such as the text that was signed, so only its code is repeated. Knows the
errors of the library `obstore`, and nothing about what is stored.
"""

import re

from fairway.spec.errors import StorageError
from fairway.spec.objects import ObjectPlace


class StoreUnreachable(StorageError):
    """The error for object storage that does not answer, or is not there now. The same request may succeed later."""


class BucketGone(StoreUnreachable):
    """The error for a bucket that is not there. It may come back with everything in it."""


_CODE = re.compile(r"<Code>([A-Za-z0-9._-]{1,60})</Code>|\"code\"\s*:\s*\"?([A-Za-z0-9._-]{1,60})")
_STATUS = re.compile(r"status code: (\d{3})")
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted", "specified bucket does not exist")
_CLOCK = ("RequestTimeTooSkewed", "RequestExpired")
_KEYS = (
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidToken",
    "ExpiredToken",
    "AuthenticationFailed",
    "InvalidSecurity",
    "NoAuthenticationInformation",
)
_REGION = (
    "AuthorizationHeaderMalformed",
    "PermanentRedirect",
    "IllegalLocationConstraint",
    "without LOCATION",
)
_TLS = ("certificate", "UnknownIssuer", "InvalidCertificate", "HandshakeFailure", "tls handshake")
_NO_CREDENTIALS = ("169.254.169.254", "metadata.google.internal", "169.254.170.2")
_MISSING = re.compile(
    r"Missing|MissingAccount|Account must be specified|NoSuchKey configured|not set", re.IGNORECASE
)


def explain(error: BaseException, doing: str, place: ObjectPlace) -> StorageError:
    """Return the error for a person. `doing` follows the word "while", such as "storing an artifact"."""
    text = str(error)
    code = next((one or other for one, other in _CODE.findall(text)), "")
    found = _STATUS.search(text)
    status = int(found[1]) if found else 0
    where = f"{place.name}, met while {doing}"
    for words, hint, kind in (
        _of_bucket(text, place),
        _of_caller(text, place),
        _of_rights(text, code, status, type(error).__name__),
        _of_way(text, status, place),
    ):
        if words:
            return kind(f"{words}: {where}", hint=hint)
    said = code or (f"status {status}" if status else type(error).__name__)
    return StorageError(
        f"object storage refused a request ({said}): {where}",
        hint="look for that code in the documentation of the store, and try it with `fairway doctor`",
    )


_Told = tuple[str, str, type[StorageError]]
_NOTHING: _Told = ("", "", StorageError)


def _of_bucket(text: str, place: ObjectPlace) -> _Told:
    if any(word in text for word in _NO_BUCKET):
        what = "container" if place.kind == "az" else "bucket"
        return f"there is no {what} {place.bucket}", f"make the {what}, or name another one", BucketGone
    return _NOTHING


def _of_caller(text: str, place: ObjectPlace) -> _Told:
    if any(word in text for word in _CLOCK):
        return (
            "the clock of this machine differs too much from that of the store",
            "set the clock of the node: `timedatectl set-ntp true`",
            StoreUnreachable,
        )
    if any(word in text for word in _REGION):
        return (
            f"the bucket {place.bucket} is in another region",
            "name its region: `--store 's3://BUCKET/PREFIX?region=REGION'`, or set AWS_REGION in the Secret",
            StorageError,
        )
    if any(word in text for word in _NO_CREDENTIALS):
        return (
            "there are no credentials for the store",
            "give the control plane an identity with `--store-identity`, or name a Secret with `--store-secret NAME`",
            StorageError,
        )
    return _NOTHING


def _of_rights(text: str, code: str, status: int, kind: str) -> _Told:
    if any(word in text for word in _KEYS) or status == 401 or kind == "UnauthenticatedError":
        return (
            f"the store does not accept the credentials ({code or status or 'unauthenticated'})",
            "look at the identity or the Secret of the installation; a key may have been replaced",
            StorageError,
        )
    if status == 403 or kind == "PermissionDeniedError":
        return (
            f"the credentials have no right to do this ({code or 'status 403'})",
            "the identity needs to list the bucket, and to read, write and delete objects below the prefix",
            StorageError,
        )
    return _NOTHING


def _of_way(text: str, status: int, place: ObjectPlace) -> _Told:
    at = place.options.get("endpoint") or "the store"
    if any(word in text for word in _TLS):
        return (
            f"the certificate of {at} is not trusted",
            "use a certificate of an authority that this image knows, or an endpoint with one",
            StoreUnreachable,
        )
    if status in (408, 425, 429) or (status >= 500 and status != 501):
        return f"{at} is busy or failing (status {status})", "try again in a minute", StoreUnreachable
    if "dns error" in text or "lookup address" in text:
        return f"the name of {at} is not known", "see if the endpoint is written right", StoreUnreachable
    if any(
        word in text
        for word in ("error sending request", "HTTP error", "timed out", "operation timed out", "connection")
    ):
        return (
            f"{at} does not answer",
            "see if it runs, and if a firewall or a NetworkPolicy lets the control plane reach it",
            StoreUnreachable,
        )
    return _NOTHING
