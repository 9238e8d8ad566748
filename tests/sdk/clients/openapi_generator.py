"""Runs the Python client of openapi-generator. Prints a line for each check that passes."""

import os

from signet_openapi import ApiClient, AuthenticationApi, Configuration
from signet_openapi.exceptions import BadRequestException
from signet_openapi.models import ObtainError, ObtainRequest, RefreshError, RefreshRequest, Token

EMAIL, PASSWORD = os.environ["AUTH_EMAIL"], os.environ["AUTH_PASSWORD"]
api = AuthenticationApi(ApiClient(Configuration(host=os.environ["AUTH_URL"])))


def accepted(token):
    assert isinstance(token, Token), token
    assert (token.type, token.expires_in, token.token.count(".")) == ("JWT", 3600, 2), token
    return token.token


def rejected(operation, body):
    try:
        answer = operation(body)
    except BadRequestException as rejection:
        # A dictionary, because a model silently ignores unknown fields.
        return type(rejection.data), rejection.data.to_dict()
    raise AssertionError(answer)


token = accepted(api.obtain_token(ObtainRequest(email=EMAIL, password=PASSWORD)))
print("obtain gives a token")

accepted(api.refresh_token(RefreshRequest(token=token)))
print("refresh gives a token")

# The constructor requires every field. `model_construct` skips the validation.
error = rejected(api.obtain_token, ObtainRequest.model_construct(email=EMAIL))
assert error == (ObtainError, {"password": ["This field is required."]}), error
print("a missing password gives the typed 400")

error = rejected(api.refresh_token, RefreshRequest.model_construct())
assert error == (RefreshError, {"token": ["This field is required."]}), error
print("a missing token gives the typed 400")

error = rejected(api.obtain_token, ObtainRequest(email=EMAIL, password="not the password"))
assert error == (ObtainError, {"non_field_errors": ["Unable to log in with provided credentials."]}), error
print("a wrong password gives the typed 400")

error = rejected(api.refresh_token, RefreshRequest(token="not a token"))
assert error == (RefreshError, {"non_field_errors": ["Error decoding signature."]}), error
print("a bad token gives the typed 400")
