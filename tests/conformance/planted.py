"""Planted faults, each with the check that must find it, and the kind that the check must report.

The proxy plants a fault in the responses. Faults in the document, and in all generated files, are
changes of a copy.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import consumers
import exchanges
import proxy
import tools
import workflows
from target import JSON, Target

Check = Callable[[Target], Iterator[str]]
Document = dict[str, Any]

# Some checks of schemathesis do not apply: no operation requires authentication or a header, or
# creates a resource that can be deleted.
IN_RESPONSES: list[tuple[proxy.Fault, Check, str]] = [
    (proxy.wrong_content_type, tools.schemathesis, "content_type_conformance"),
    (proxy.undocumented_status, tools.schemathesis, "status_code_conformance"),
    (proxy.wrong_field_type, tools.schemathesis, "response_schema_conformance"),
    (proxy.no_allow, tools.schemathesis, "unsupported_method"),
    (proxy.undocumented_method, tools.schemathesis, "unsupported_method"),
    (proxy.wrong_allow, tools.schemathesis, "allow_header_conformance"),
    (proxy.fails_on_odd_input, tools.schemathesis, "not_a_server_error"),
    (proxy.redirect, tools.schemathesis, "status_code_conformance"),
    (proxy.dropped_header, tools.schemathesis, "response_headers_conformance"),
    (proxy.accepts_anything, tools.schemathesis, "negative_data_rejection"),
    (proxy.undocumented_status, tools.specmatic, "R0002"),
    (proxy.wrong_field_type, tools.specmatic, "R1001"),
    (proxy.other_message, exchanges.example_pairs, "body"),
    (proxy.redirect, exchanges.example_pairs, "undocumented"),
    (proxy.wrong_content_type, exchanges.example_pairs, "content type"),
    (proxy.wrong_field_type, exchanges.obtain_then_refresh, "schema"),
    (proxy.another_user, exchanges.obtain_then_refresh, "session"),
    (proxy.any_media_type, exchanges.media_types, "status"),
    (proxy.no_size_limit, exchanges.refusals, "status"),
    (proxy.dropped_header, exchanges.refusals, "header"),
]


def obtain(document: Document) -> Document:
    return document["paths"]["/v1/auth/jwt/obtain/"]["post"]


def unknown_type(document: Document) -> None:
    document["components"]["schemas"]["Token"]["properties"]["token"]["type"] = "text"


def response_without_description(document: Document) -> None:
    del obtain(document)["responses"]["400"]["description"]


def same_id_twice(document: Document) -> None:
    obtain(document)["operationId"] = "refreshToken"


def no_id(document: Document) -> None:
    del obtain(document)["operationId"]


def no_error(document: Document) -> None:
    responses = obtain(document)["responses"]
    for status in [status for status in responses if status.startswith("4")]:
        del responses[status]


def wrong_example(document: Document) -> None:
    answer = obtain(document)["responses"]["400"]["content"][JSON]
    answer["examples"] = {"wrong": {"value": {"detail": 1}}}


def unused_schema(document: Document) -> None:
    document["components"]["schemas"]["Unused"] = {"type": "object"}


def no_contact(document: Document) -> None:
    document["info"].pop("contact", None)


def undeclared_tag(document: Document) -> None:
    document["tags"] = []


IN_DOCUMENT: list[tuple[Callable[[Document], None], Check, str]] = [
    (unknown_type, tools.openapi_spec_validator, "OpenAPIValidationError"),
    (response_without_description, tools.openapi_spec_validator, "OpenAPIValidationError"),
    (same_id_twice, tools.openapi_spec_validator, "DuplicateOperationIDError"),
    (no_id, tools.redocly, "operation-operationId"),
    (no_error, tools.redocly, "operation-4xx-response"),
    (wrong_example, tools.redocly, "no-invalid-media-type-examples"),
    (no_contact, tools.spectral, "info-contact"),
    (undeclared_tag, tools.spectral, "operation-tag-defined"),
    (unused_schema, tools.spectral, "oas3-unused-component"),
]


def replace(folder: Path, old: str, new: str) -> None:
    for path in folder.rglob("*.*"):
        if path.is_file():
            path.write_text(path.read_text().replace(old, new))


def changed_example(folder: Path) -> None:
    replace(folder, "Unable to log in", "Cannot log in")


def changed_path(folder: Path) -> None:
    replace(folder, "/v1/", "/v2/")


def no_tests(folder: Path) -> None:
    replace(folder, '"listen": "test"', '"listen": "other"')
    replace(folder, "type: tests", "type: other")


def no_step_id(folder: Path) -> None:
    replace(folder, "stepId:", "step:")


def no_retry(folder: Path) -> None:
    replace(folder, "type: retry", "type: end")


IN_FILES: list[tuple[Callable[[Path], None], Check, str]] = [
    (no_step_id, workflows.arazzo_lint, "struct"),
    (changed_example, workflows.workflows, "success criteria check"),
    (changed_path, workflows.workflows, "success criteria check"),
    (changed_path, workflows.workflows_of_states, "success criteria check"),
    (no_retry, workflows.workflow_with_retries, "success criteria check"),
    (changed_path, consumers.login_of_page, "exit"),
    (changed_example, consumers.postman, "body"),
    (changed_path, consumers.postman, "status"),
    (no_tests, consumers.postman, "tests"),
    (changed_example, consumers.bruno, "body"),
    (changed_path, consumers.bruno, "status"),
    (no_tests, consumers.bruno, "tests"),
    (changed_example, consumers.mock, "body"),
    (changed_path, consumers.mock, "status"),
]
