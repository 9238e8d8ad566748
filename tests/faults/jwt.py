"""Verifies and decodes tokens, independently of the code under test."""

import base64
import hashlib
import hmac
import json

from service import SECRET


def decode(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def claims(token):
    """Returns the claims of a token. Raises ValueError if the token is malformed or not signed with the secret of the tests."""
    head, body, signature = token.split(".")
    signed = hmac.digest(SECRET.encode(), f"{head}.{body}".encode(), hashlib.sha256)
    if not hmac.compare_digest(decode(signature), signed):
        raise ValueError("the signature of the token is invalid")
    return json.loads(decode(body))
