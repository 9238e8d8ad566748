"""Faults that are planted in a copy of the files, each with the check that must find it, and what it must call it."""

from collections.abc import Callable

import agree
import lint
import tried
from target import Check, Target


def root(target: Target) -> None:
    target.edit("Dockerfile", "USER 65532:65532", "USER root")


def writable_root(target: Target) -> None:
    target.edit("kubernetes/deployment.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false")


def misspelt_key(target: Target) -> None:
    target.edit("compose.yaml", "mem_limit: 1g", "mem_limits: 1g")


def missing_manifest(target: Target) -> None:
    target.edit("kubernetes/kustomization.yaml", "service.yaml", "services.yaml")


def misspelt_probe(target: Target) -> None:
    target.edit("kubernetes/deployment.yaml", "livenessProbe:", "livenesProbe:")


def unknown_option(target: Target) -> None:
    target.edit("haproxy.cfg", "option forwardfor", "option forwarded-for")


def smaller_base(target: Target) -> None:
    target.edit("Dockerfile", "cc-debian12", "base-debian12")


def unknown_setting(target: Target) -> None:
    target.edit("compose.yaml", "SIGNET_STOP_DELAY:", "SIGNET_COLOUR: blue\n  SIGNET_STOP_DELAY:")


def bad_setting(target: Target) -> None:
    target.edit("kubernetes/kustomization.yaml", "SIGNET_STOP_DELAY=10", "SIGNET_STOP_DELAY=soon")


def early_kill(target: Target) -> None:
    target.edit("kubernetes/deployment.yaml", "terminationGracePeriodSeconds: 60", "terminationGracePeriodSeconds: 30")


def all_capabilities(target: Target) -> None:
    target.edit("compose.yaml", "cap_drop: [ALL]", "cap_drop: []")


def forgotten_folder(target: Target) -> None:
    target.edit("Dockerfile.dockerignore", "!migration\n", "")


def let_in_folder(target: Target) -> None:
    target.edit("Dockerfile.dockerignore", "!src\n", "!src\n!packaging\n")


def other_secret(target: Target) -> None:
    other = "{<<: *signet, environment: {<<: *settings, SIGNET_JWT_SECRET_FILE: /run/secrets/pgpass}}"
    target.edit("compose.yaml", "signet-two: *signet", f"signet-two: {other}")


def untrusted_proxy(target: Target) -> None:
    target.edit("compose.yaml", "SIGNET_TRUSTED_PROXIES: &proxy 10.83.0.2", "SIGNET_TRUSTED_PROXIES: 10.83.0.3")
    target.edit("compose.yaml", "ipv4_address: *proxy", "ipv4_address: 10.83.0.2")


def believed_header(target: Target) -> None:
    target.edit("haproxy.cfg", "option forwardfor", "option forwardfor if-none")


def believed_id(target: Target) -> None:
    target.edit("haproxy.cfg", "    http-request set-header X-Request-Id %[uuid()]\n", "")


def believed_trace(target: Target) -> None:
    target.edit("haproxy.cfg", "    http-request del-header traceparent\n", "")


def no_patience(target: Target) -> None:
    target.edit("compose.yaml", 'SIGNET_STOP_DELAY: "5"', 'SIGNET_STOP_DELAY: "0"')
    target.edit("haproxy.cfg", "retries 3", "retries 0")


def probe_of_nothing(target: Target) -> None:
    target.edit("kubernetes/deployment.yaml", "path: /readyz", "path: /ready")


def probe_of_clients_port(target: Target) -> None:
    target.edit("kubernetes/deployment.yaml", "path: /healthz, port: admin", "path: /healthz, port: http")


def misspelt_option(target: Target) -> None:
    target.edit("compose.yaml", "--quiet", "--quite")


def good_placeholder(target: Target) -> None:
    target.edit("kubernetes/secret.example.yaml", "jwt: too short", f"jwt: {'change-me-' * 4}")


FAULTS: list[tuple[Callable[[Target], None], Check, str]] = [
    (root, lint.hadolint, "DL3002"),
    (writable_root, lint.checkov, "CKV_K8S_22"),
    (misspelt_key, lint.compose_schema, "compose-spec"),
    (missing_manifest, lint.kustomization, "kustomize"),
    (misspelt_probe, lint.kubernetes_schema, "Kubernetes"),
    (unknown_option, lint.haproxy_config, "haproxy"),
    (smaller_base, agree.image_has_the_libraries, "library"),
    (unknown_setting, agree.settings_are_known, "setting"),
    (bad_setting, agree.settings_are_known, "setting"),
    (early_kill, agree.a_stop_has_time, "stop"),
    (all_capabilities, agree.compose_is_hardened, "hardening"),
    (forgotten_folder, agree.build_has_its_files, "context"),
    (let_in_folder, agree.build_has_its_files, "context"),
    (other_secret, tried.token_of_one_refreshes_at_the_other, "refresh"),
    (untrusted_proxy, tried.clients_address_arrives, "address"),
    (believed_header, tried.clients_address_arrives, "address"),
    (believed_id, tried.clients_address_arrives, "request id"),
    (believed_trace, tried.clients_address_arrives, "trace"),
    (no_patience, tried.stop_of_one_loses_no_request, "lost"),
    (probe_of_nothing, tried.probes_are_answered, "readinessProbe"),
    (probe_of_clients_port, tried.probes_are_answered, "livenessProbe"),
    (misspelt_option, tried.database_is_healthy, "health"),
    (good_placeholder, tried.placeholders_are_refused, "placeholder"),
]
