"""The target of the checks: the files for operators, and the metrics of a running service."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RULES = ROOT / "packaging/prometheus/signet.rules.yaml"
TESTS = HERE / "rules.test.yaml"
DASHBOARD = ROOT / "packaging/grafana/signet.json"
GUIDE = ROOT / "docs/guides/monitoring.md"
REFERENCE = ROOT / "docs/reference/metrics.md"

SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? \S+$", re.M)
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Query:
    """A PromQL expression, and where it is from."""

    origin: str
    expression: str


@dataclass(frozen=True)
class Kit:
    """The texts of the files, so that a planted fault is the change of a text."""

    rules: str
    tests: str
    dashboard: str
    guide: str
    reference: str
    # The classic text of /metrics.
    metrics: str
    # The URL of a Prometheus that reads /metrics.
    prometheus: str

    @cached_property
    def alerts(self) -> list[dict[str, Any]]:
        return yaml.safe_load(self.rules)["groups"][0]["rules"]

    @cached_property
    def panels(self) -> list[dict[str, Any]]:
        return [panel for panel in json.loads(self.dashboard)["panels"] if panel["type"] != "row"]

    @property
    def rule_queries(self) -> Iterator[Query]:
        for alert in self.alerts:
            yield Query(alert["alert"], alert["expr"])

    @property
    def dashboard_queries(self) -> Iterator[Query]:
        """The queries of the panels with all replicas selected, and of the variables."""
        for panel in self.panels:
            for target in panel["targets"]:
                expression = target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
                yield Query(panel["title"], expression)
        for variable in json.loads(self.dashboard)["templating"]["list"]:
            if variable["type"] == "query":
                metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]).groups()
                yield Query(f"the variable {variable['name']}", f"count by ({label}) ({metric})")

    @cached_property
    def series(self) -> dict[str, dict[str, set[str]]]:
        """The values of each label of each metric of the service."""
        series: dict[str, dict[str, set[str]]] = {}
        for name, labels in SAMPLE.findall(self.metrics):
            values = series.setdefault(name, {})
            for label, value in LABEL.findall(labels):
                values.setdefault(label, set()).add(value)
        return series

    @cached_property
    def documented(self) -> set[str]:
        return set(re.findall(r"^\| `(\w+)`", self.reference, re.M))

    def block(self, file: str) -> str:
        """Returns the code block of the guide whose first line is a comment with this file name."""
        return re.search(rf"^```yaml\n# {re.escape(file)}\n(.*?)^```$", self.guide, re.M | re.S)[1]
