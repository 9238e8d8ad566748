"""Runs every check, then every planted fault, and prints a line for each. Started by `./run`."""

import json
import sys
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory

import consumers
import exchanges
import proxy
import tools
import workflows
from planted import IN_RESPONSES, IN_DOCUMENT, IN_FILES, Check
from target import DOCUMENT, Target, generated, service

sys.path.insert(0, str(Path(__file__).parent.parent))
from findings import finds, finds_nothing  # noqa: E402

CHECKS: list[Check] = [
    tools.openapi_spec_validator,
    tools.redocly,
    tools.spectral,
    exchanges.example_pairs,
    exchanges.obtain_then_refresh,
    exchanges.media_types,
    exchanges.refusals,
    tools.specmatic,
    tools.schemathesis,
]
# Checks of the files that are generated with the document.
CHECKS_OF_FILES: list[Check] = [
    workflows.arazzo_lint,
    workflows.workflows,
    workflows.workflows_of_states,
    workflows.workflow_with_retries,
    consumers.login_of_page,
    consumers.postman,
    consumers.bruno,
    consumers.mock,
]
# Generated requests per operation: for the check of the service, and for a planted fault.
EXAMPLES, FEW_EXAMPLES = 300, 10


def main() -> int:
    proven = {check for _, check, _ in [*IN_RESPONSES, *IN_DOCUMENT, *IN_FILES]}
    assert proven == {*CHECKS, *CHECKS_OF_FILES}, "each check needs a planted fault"
    passed = []
    with service() as address, generated() as files:
        target = Target(DOCUMENT, address, EXAMPLES)
        for check in CHECKS:
            passed.append(finds_nothing(check, target))
        for check in CHECKS_OF_FILES:
            passed.append(finds_nothing(check, Target(files, address, FEW_EXAMPLES)))

        # The proxy itself must not cause findings.
        with proxy.proxy(address, proxy.no_fault) as through:
            target = Target(DOCUMENT, through, FEW_EXAMPLES)
            for check in dict.fromkeys(check for _, check, _ in IN_RESPONSES):
                passed.append(finds_nothing(check, target, "through the proxy"))
        for fault, check, kind in IN_RESPONSES:
            with proxy.proxy(address, fault) as through:
                target = Target(DOCUMENT, through, FEW_EXAMPLES)
                passed.append(finds(check, target, fault, kind))
        for change, check, kind in IN_DOCUMENT:
            with TemporaryDirectory() as folder:
                target = Target(Path(folder, "openapi.json"), address, FEW_EXAMPLES)
                document = json.loads(DOCUMENT.read_text())
                change(document)
                target.path.write_text(json.dumps(document))
                passed.append(finds(check, target, change, kind))
        for alter, check, kind in IN_FILES:
            with TemporaryDirectory() as folder:
                copytree(files.parent, folder, dirs_exist_ok=True)
                alter(Path(folder))
                target = Target(Path(folder, files.name), address, FEW_EXAMPLES)
                passed.append(finds(check, target, alter, kind))
    print(f"{passed.count(True)} passed, {passed.count(False)} failed")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
