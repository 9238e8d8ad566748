"""The checks. Each check takes the kit, and yields findings as `kind: text`."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import promql_parser as promql
import yaml

from kit import HERE, RULES, Kit, Query

# Documented metrics that neither the rules nor the dashboard use.
UNUSED: set[str] = set()
# Prometheus adds these labels to all metrics of a target.
TARGET_LABELS = {"instance", "job"}
# Metrics of Prometheus and of the blackbox exporter.
FOREIGN = {"up", "probe_success"}
# SignetReplicaNotReady compares the label `instance` of a probe with the label of the replica, so the configuration of the guide must make them equal.
PROBES = Query("the labels of probes", 'probe_success{job="signet-readyz"} and on (instance) up{job="signet"}')
INSTALLED = "file:///usr/share/doc/signet/docs/guides/monitoring.md"


def promtool(*arguments: str | Path, **options: object) -> str:
    """Returns the output of a promtool that failed, else an empty string."""
    done = subprocess.run(["promtool", *arguments], text=True, capture_output=True, **options)
    return (done.stdout + done.stderr).strip() if done.returncode else ""


def promtool_check_rules(kit: Kit) -> Iterator[str]:
    with TemporaryDirectory() as folder:
        rules = Path(folder, RULES.name)
        rules.write_text(kit.rules)
        if failed := promtool("check", "rules", "--lint-fatal", rules):
            yield f"rules: {failed}"


def promtool_check_config(kit: Kit) -> Iterator[str]:
    """Checks the configurations of the guide. The collector's receiver contains a configuration of Prometheus."""
    parts = yaml.safe_load(kit.block("otel-collector.yaml"))
    for pipeline in parts["service"]["pipelines"].values():
        for kind, names in pipeline.items():
            for name in set(names) - parts.get(kind, {}).keys():
                yield f"collector: the {kind} {name} are not defined"
    collector = parts["receivers"]["prometheus"]["config"]
    prometheus = kit.block("prometheus.yml").replace("/usr/share/signet/prometheus", str(RULES.parent))
    for name, text in {"prometheus.yml": prometheus, "otel-collector.yaml": yaml.safe_dump(collector)}.items():
        with TemporaryDirectory() as folder:
            file = Path(folder, name)
            file.write_text(text)
            if failed := promtool("check", "config", file):
                yield f"configuration: {failed}"


def promtool_test_rules(kit: Kit) -> Iterator[str]:
    with TemporaryDirectory() as folder:
        rules, tests = Path(folder, RULES.name), Path(folder, "test.yaml")
        rules.write_text(kit.rules)
        tests.write_text(kit.tests.replace("../../packaging/prometheus", folder))
        if failed := promtool("test", "rules", tests):
            yield f"test: {failed}"


def every_alert_is_tested(kit: Kit) -> Iterator[str]:
    """Each alert needs a case in which it fires, and a case in which it is quiet."""
    cases = [case for test in yaml.safe_load(kit.tests)["tests"] for case in test["alert_rule_test"]]
    for alert in kit.alerts:
        fires = {bool(case["exp_alerts"]) for case in cases if case["alertname"] == alert["alert"]}
        if len(fires) < 2:
            yield f"cases: {alert['alert']} has no case in which it {'is quiet' if fires == {True} else 'fires'}"


def promtool_check_metrics(kit: Kit) -> Iterator[str]:
    """Checks the classic text of /metrics, and its style."""
    if failed := promtool("check", "metrics", input=kit.metrics):
        yield f"metrics: {failed}"


def guide_is_current(kit: Kit) -> Iterator[str]:
    for alert in kit.alerts:
        if not {"summary", "description"} <= alert["annotations"].keys() or "severity" not in alert["labels"]:
            yield f"annotations: {alert['alert']} lacks a severity, a summary or a description"
            return
    if kit.guide != derived(kit):
        yield "guide: the table or a condition differs from the rules; run `tests/monitoring/run update`"
    sections = set(re.findall(r"^### (Signet\w+)$", kit.guide, re.M))
    alerts = {alert["alert"] for alert in kit.alerts}
    for name in sections ^ alerts:
        yield f"section: {name} has no section, or is not an alert"
    for alert in kit.alerts:
        url = alert["annotations"]["runbook_url"]
        if url != f"{INSTALLED}#{alert['alert'].lower()}":
            yield f"runbook: {url} is not the section of {alert['alert']}"


def derived(kit: Kit) -> str:
    """Returns the guide with the table and the conditions of the rules."""
    table = "| alert | severity | after | meaning |\n|---|---|---|---|\n"
    guide = kit.guide
    for alert in kit.alerts:
        name, after = alert["alert"], alert.get("for", "0m")
        table += f"| [{name}](#{name.lower()}) | {alert['labels']['severity']} | {after} | {alert['annotations']['summary']} |\n"
        condition = f"### {name}\n\n```promql\n{alert['expr']}\n```\n"
        guide = re.sub(rf"### {name}\n\n```promql\n.*?```\n", lambda _, text=condition: text, guide, flags=re.S)
    return re.sub(
        r"(?<=<!-- alerts -->\n).*?(?=<!-- end of alerts -->)", lambda _: f"\n{table}\n", guide, flags=re.S
    )


def every_metric_exists(kit: Kit) -> Iterator[str]:
    """Compares the names, labels and values of all queries with /metrics."""
    for query in [*kit.rule_queries, *kit.dashboard_queries]:
        labels: set[str] = set()
        for selector in selectors(query):
            if selector.name not in kit.series and selector.name not in FOREIGN:
                yield f"name: {query.origin}: /metrics has no {selector.name}"
                continue
            values = kit.series.get(selector.name, {})
            labels |= values.keys()
            for matcher in selector.matchers.matchers:
                if matcher.name in TARGET_LABELS:
                    continue
                known = values.get(matcher.name, set())
                if matcher.name not in values:
                    yield f"label: {query.origin}: {selector.name} has no label {matcher.name}"
                for value in matcher.value.split("|"):
                    if not any(re.fullmatch(value, other) for other in known):
                        yield f"value: {query.origin}: {selector.name} has no {matcher.name}={value!r}"
        for name in grouping(query) - labels - TARGET_LABELS:
            yield f"label: {query.origin}: no metric has the label {name}"


def every_metric_is_used(kit: Kit) -> Iterator[str]:
    queries = [*kit.rule_queries, *kit.dashboard_queries]
    used = {selector.name for query in queries for selector in selectors(query)} - FOREIGN
    used = {re.sub(r"_(bucket|sum|count)$", "", name) for name in used}
    for name in kit.documented ^ (used | UNUSED):
        yield f"unused: {name} is only documented, or only used; see UNUSED"
    for name in used & UNUSED:
        yield f"unused: {name} is used, so remove it from UNUSED"


def thresholds_agree(kit: Kit) -> Iterator[str]:
    """A threshold of a quantile must be a bound of the histogram, and a threshold of the dashboard must be the threshold of a rule."""
    limits: dict[str, set[float]] = {}
    for query in kit.rule_queries:
        for node in nodes(query):
            if not (isinstance(node, promql.BinaryExpr) and str(node.op) in ("<", ">")):
                continue
            names = {selector.name for selector in selectors(Query(query.origin, str(node.lhs)))}
            limit = float(ask(kit, Query(query.origin, str(node.rhs)))["data"]["result"][1])
            for name in names:
                limits.setdefault(name, set()).add(limit)
                bounds = {float(bound) for bound in kit.series.get(name, {}).get("le", ())}
                if bounds and limit not in bounds:
                    yield f"bucket: {query.origin}: {limit} s is not a bound of {name}"
    for panel in kit.panels:
        shown = {step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]} - {None}
        names = {selector.name for query in kit.dashboard_queries if query.origin == panel["title"] for selector in selectors(query)}
        for limit in shown - set().union(*(limits.get(name, set()) for name in names)):
            yield f"threshold: {panel['title']}: no rule has the threshold {limit}"


def dashboard_has_the_types_of_grafana(kit: Kit) -> Iterator[str]:
    if kit.dashboard != json.dumps(json.loads(kit.dashboard), indent=2, ensure_ascii=False) + "\n":
        yield "format: the dashboard should be indented by two spaces"
    generated = HERE / "generated"
    generated.mkdir(exist_ok=True)
    text = f"import type {{ SignetDashboard }} from '../schema.ts';\nexport const dashboard: SignetDashboard = {kit.dashboard}"
    (generated / "dashboard.ts").write_text(text)
    done = subprocess.run(["node_modules/.bin/tsc"], cwd=HERE, text=True, capture_output=True)
    if done.returncode:
        yield f"schema: {done.stdout}"


def panels_show_units_names_and_replicas(kit: Kit) -> Iterator[str]:
    """Grafana draws no legend for a single number, so the panel must show the name beside the number."""
    for panel in kit.panels:
        unit = panel["fieldConfig"]["defaults"]["unit"]
        if ("per second" in panel["description"]) != (unit in ("reqps", "cps")):
            yield f"unit: {panel['title']}: the description and the unit {unit} disagree"
        named = any("{{" in target["legendFormat"] for target in panel["targets"])
        if panel["type"] == "stat" and named and panel["options"]["textMode"] != "value_and_name":
            yield f"hidden: {panel['title']} does not show the name of its value"
        for target in panel["targets"]:
            query = Query(panel["title"], target["expr"].replace("$__rate_interval", "1m"))
            if any('instance=~"$instance"' not in str(selector) for selector in selectors(query)):
                yield f"replica: {panel['title']} has a query that ignores the variable Replica"


def prometheus_answers_every_query(kit: Kit) -> Iterator[str]:
    """Runs the queries in the Prometheus. A query of the dashboard must return data. A rule needs no data, but its jobs must exist."""
    foreign = [
        Query(query.origin, str(selector))
        for query in kit.rule_queries
        for selector in selectors(query)
        if selector.name in FOREIGN
    ]
    with_data = {*kit.dashboard_queries, *foreign, PROBES}
    for query in with_data | {*kit.rule_queries}:
        answer = ask(kit, query)
        if answer["status"] != "success":
            yield f"query: {query.origin}: {answer['error']}"
        elif query in with_data and not answer["data"]["result"]:
            yield f"no data: {query.origin}: {query.expression}"


def ask(kit: Kit, query: Query) -> dict[str, Any]:
    try:
        with urlopen(f"{kit.prometheus}/api/v1/query?{urlencode({'query': query.expression})}", timeout=10) as response:
            return json.load(response)
    except HTTPError as error:
        return json.load(error)


def nodes(query: Query) -> list[promql.Expr]:
    found: list[promql.Expr] = []
    promql.walk(promql.parse(query.expression), found.append)
    return found


def selectors(query: Query) -> list[promql.VectorSelector]:
    found = [getattr(node, "vector_selector", node) for node in nodes(query)]
    return [node for node in found if isinstance(node, promql.VectorSelector)]


def grouping(query: Query) -> set[str]:
    """Returns the labels of `by (…)`."""
    modifiers = [node.modifier for node in nodes(query) if isinstance(node, promql.AggregateExpr)]
    return {label for modifier in modifiers if modifier for label in modifier.labels}
