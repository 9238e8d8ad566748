"""Planted faults, each with the check that must find it, and the kind that the check must report. A fault changes a text of the kit."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import checks
from kit import Kit

Check = Callable[[Kit], Iterator[str]]


def change(kit: Kit, part: str, old: str, new: str) -> Kit:
    text = getattr(kit, part)
    assert old in text, f"{part} has no {old}"
    return replace(kit, **{part: text.replace(old, new)})


def renamed_metric_in_the_rules(kit: Kit) -> Kit:
    return change(kit, "rules", "signet_log_lines_lost_total", "signet_lost_log_lines_total")


def renamed_metric_in_the_dashboard(kit: Kit) -> Kit:
    return change(kit, "dashboard", "signet_hash_queue_depth", "signet_hash_queue_length")


def renamed_metric_in_the_service(kit: Kit) -> Kit:
    return change(kit, "metrics", "signet_hash_wait_seconds", "signet_hash_queue_seconds")


def renamed_label(kit: Kit) -> Kit:
    return change(kit, "metrics", "operation=", "path=")


def renamed_label_of_a_group(kit: Kit) -> Kit:
    return change(kit, "dashboard", "by (version)", "by (release)")


def renamed_value(kit: Kit) -> Kit:
    return change(kit, "metrics", 'reason="database"', 'reason="storage"')


def undocumented_status(kit: Kit) -> Kit:
    return change(kit, "rules", 'status="500"', 'status="502"')


def new_metric(kit: Kit) -> Kit:
    return replace(kit, reference=kit.reference + "| `signet_new_total` | counter | | New |\n")


def metric_with_the_wrong_suffix(kit: Kit) -> Kit:
    return change(kit, "metrics", "signet_log_lines_lost_total", "signet_log_lines_lost")


def broken_rule(kit: Kit) -> Kit:
    return change(kit, "rules", "for: 1m", "for: soon")


def broken_receiver(kit: Kit) -> Kit:
    return change(kit, "guide", "      scrape_configs:", "      scrape_config:")


def exporter_without_a_definition(kit: Kit) -> Kit:
    return change(kit, "guide", "exporters: [otlp]", "exporters: [otlphttp]")


def other_threshold(kit: Kit) -> Kit:
    return change(kit, "rules", "> 0.01", "> 0.5")


def alert_without_a_quiet_case(kit: Kit) -> Kit:
    return change(kit, "tests", "{alertname: SignetLogLinesLost", "{alertname: SignetOther")


def other_summary(kit: Kit) -> Kit:
    return change(kit, "rules", "summary: Log lines are lost", "summary: Lines of the log are lost")


def renamed_section(kit: Kit) -> Kit:
    return change(kit, "guide", "### SignetOverloaded\n", "### SignetBusy\n")


def wrong_runbook(kit: Kit) -> Kit:
    return change(kit, "rules", "#signetoverloaded", "#signetbusy")


def alert_without_a_severity(kit: Kit) -> Kit:
    return change(kit, "rules", "severity: critical", "team: users")


def threshold_between_bounds(kit: Kit) -> Kit:
    return change(kit, "rules", "wait_seconds_bucket[5m])) > 1", "wait_seconds_bucket[5m])) > 1.5")


def threshold_without_a_rule(kit: Kit) -> Kit:
    return change(kit, "dashboard", '"value": 1209600', '"value": 604800')


def misspelled_option(kit: Kit) -> Kit:
    return change(kit, "dashboard", '"drawStyle": "line"', '"drawStyle": "lines"')


def other_indentation(kit: Kit) -> Kit:
    return change(kit, "dashboard", "\n  ", "\n    ")


def rate_without_a_unit(kit: Kit) -> Kit:
    return change(kit, "dashboard", '"unit": "cps"', '"unit": "none"')


def hidden_version(kit: Kit) -> Kit:
    return change(kit, "dashboard", '"value_and_name"', '"auto"')


def query_of_all_replicas(kit: Kit) -> Kit:
    return change(kit, "dashboard", 'signet_hash_queue_depth{instance=~\\"$instance\\"}', "signet_hash_queue_depth")


def query_that_fails(kit: Kit) -> Kit:
    return change(kit, "dashboard", "min(signet_tls", "minimum(signet_tls")


def query_without_data(kit: Kit) -> Kit:
    return change(kit, "dashboard", 'operation=\\"obtainToken\\"', 'operation=\\"logIn\\"')


def other_job(kit: Kit) -> Kit:
    return change(kit, "rules", 'job="signet-readyz"', 'job="signet-ready"')


FAULTS: list[tuple[Callable[[Kit], Kit], Check, str]] = [
    (broken_rule, checks.promtool_check_rules, "rules"),
    (broken_receiver, checks.promtool_check_config, "configuration"),
    (exporter_without_a_definition, checks.promtool_check_config, "collector"),
    (other_threshold, checks.promtool_test_rules, "test"),
    (alert_without_a_quiet_case, checks.every_alert_is_tested, "cases"),
    (metric_with_the_wrong_suffix, checks.promtool_check_metrics, "metrics"),
    (other_summary, checks.guide_is_current, "guide"),
    (renamed_section, checks.guide_is_current, "section"),
    (wrong_runbook, checks.guide_is_current, "runbook"),
    (alert_without_a_severity, checks.guide_is_current, "annotations"),
    (renamed_metric_in_the_rules, checks.every_metric_exists, "name"),
    (renamed_metric_in_the_dashboard, checks.every_metric_exists, "name"),
    (renamed_metric_in_the_service, checks.every_metric_exists, "name"),
    (renamed_label, checks.every_metric_exists, "label"),
    (renamed_label_of_a_group, checks.every_metric_exists, "label"),
    (renamed_value, checks.every_metric_exists, "value"),
    (undocumented_status, checks.every_metric_exists, "value"),
    (new_metric, checks.every_metric_is_used, "unused"),
    (threshold_between_bounds, checks.thresholds_agree, "bucket"),
    (threshold_without_a_rule, checks.thresholds_agree, "threshold"),
    (misspelled_option, checks.dashboard_has_the_types_of_grafana, "schema"),
    (other_indentation, checks.dashboard_has_the_types_of_grafana, "format"),
    (rate_without_a_unit, checks.panels_show_units_names_and_replicas, "unit"),
    (hidden_version, checks.panels_show_units_names_and_replicas, "hidden"),
    (query_of_all_replicas, checks.panels_show_units_names_and_replicas, "replica"),
    (query_that_fails, checks.prometheus_answers_every_query, "query"),
    (query_without_data, checks.prometheus_answers_every_query, "no data"),
    (other_job, checks.prometheus_answers_every_query, "no data"),
]
