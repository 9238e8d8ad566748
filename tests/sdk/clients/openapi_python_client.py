"""Runs the client of openapi-python-client. Prints a line for each check that passes."""

import os

from signet_client import Client
from signet_client.api.authentication import obtain_token, refresh_token
from signet_client.models import ObtainError, ObtainRequest, RefreshError, RefreshRequest, Token, TokenType

EMAIL, PASSWORD = os.environ["AUTH_EMAIL"], os.environ["AUTH_PASSWORD"]
client = Client(os.environ["AUTH_URL"])


def accepted(token):
    assert isinstance(token, Token), token
    assert (token.type_, token.expires_in, token.token.count(".")) == (TokenType.JWT, 3600, 2), token
    return token.token


def rejected(operation, body):
    response = operation.sync_detailed(client=client, body=body)
    assert response.status_code == 400, response
    return response.parsed


token = accepted(obtain_token.sync(client=client, body=ObtainRequest(EMAIL, PASSWORD)))
print("obtain gives a token")

accepted(refresh_token.sync(client=client, body=RefreshRequest(token)))
print("refresh gives a token")


# The constructors require every field. These subclasses omit a field from the request.
class NoPassword(ObtainRequest):
    def to_dict(self):
        return {"email": self.email}


class NoToken(RefreshRequest):
    def to_dict(self):
        return {}


error = rejected(obtain_token, NoPassword(EMAIL, PASSWORD))
assert error == ObtainError(password=["This field is required."]), error
print("a missing password gives the typed 400")

error = rejected(refresh_token, NoToken(token))
assert error == RefreshError(token=["This field is required."]), error
print("a missing token gives the typed 400")

error = rejected(obtain_token, ObtainRequest(EMAIL, "not the password"))
assert error == ObtainError(non_field_errors=["Unable to log in with provided credentials."]), error
print("a wrong password gives the typed 400")

error = rejected(refresh_token, RefreshRequest("not a token"))
assert error == RefreshError(non_field_errors=["Error decoding signature."]), error
print("a bad token gives the typed 400")
