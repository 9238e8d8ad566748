"""Prints the README of a package: readme.py LANGUAGE VERSION GO_MODULE FOLDER.

FOLDER contains the programs of docs/guides/clients.md, which `tests/sdk/page.py` extracts. The README has the same program, but the
program imports the package instead of generated files.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

README = """\
# signet-client

A client of Signet for {language}. Signet exchanges an email and a password for a signed JSON Web Token (JWT), and refreshes the token.
This package implements version {version} of the contract, [openapi.json](openapi.json). A service shows its contract at `/contract/`.

## Use

{install}
`AUTH_URL` is the URL of the service. `AUTH_EMAIL` and `AUTH_PASSWORD` are the credentials of an account.

{program}
{login}
The license is [MIT](LICENSE).
"""


@dataclass
class Package:
    language: str
    install: str
    program: str
    # Regular expressions for the lines of the program that import generated files, and the lines of the README.
    imports: dict[str, str]
    # Without a command, the README has the command of the page.
    login: str = ""


PACKAGES = {
    "python": Package("Python", "pip install ./signet_client-{version}-py3-none-any.whl", "login.py", {}),
    "typescript": Package(
        "TypeScript",
        "npm install ./signet-client-{version}.tgz",
        "login.mts",
        {
            r'^import createClient from "openapi-fetch";\nimport type \{ paths \} from "./signet.js";$': (
                'import createClient, { type paths } from "signet-client";'
            )
        },
        "# Node 22.18 or newer\nnode login.mts",
    ),
    "rust": Package(
        "Rust",
        "tar -xzf signet-client-{version}.crate",
        "src/main.rs",
        {
            r"^use types::(\{.*\});$": "use signet_client::{\n    Client, Error,\n    types::\\1,\n};",
            r"^progenitor::generate_api!.*\n\n": "",
        },
    ),
    "go": Package(
        "Go",
        "go mod init login\nGOPROXY=file://$PWD/go GONOSUMDB={module} go get {module}@v{version}",
        "main.go",
        {'"login/signet"': 'signet "{module}"'},
    ),
    "java": Package("Java", "# Installs org.openapitools:openapi-java-client:{version}\nmvn install", "Login.java", {}),
}


def main(name: str, version: str, module: str, folder: Path) -> None:
    package = PACKAGES[name]
    facts = {"version": version, "module": module}
    install = block("sh install", package.install.format(**facts))
    if name == "rust":
        crate = f'signet-client = {{ path = "signet-client-{version}" }}'
        # Only the runtime stays: the crate has the other dependencies.
        manifest = replaced(folder / "Cargo.toml", {r"^progenitor (.*\n)*(?=tokio )": crate + "\n"})
        install += "\n" + block("toml", manifest)
    program = replaced(folder / package.program, package.imports).replace("{module}", module)
    page_login = folder / f"{name}.login.sh"
    login = package.login or (page_login.read_text() if page_login.exists() else "")
    print(
        README.format(
            language=package.language,
            version=version,
            install=install,
            program=block(name, program),
            login=block("sh login", login) if login else "",
        ),
        end="",
    )


def replaced(path: Path, changes: dict[str, str]) -> str:
    """Returns a file of the page with changes. Every change must apply."""
    text = path.read_text()
    for old, new in changes.items():
        text, count = re.subn(old, new, text, flags=re.MULTILINE)
        if count != 1:
            sys.exit(f"{path.name} of the page must contain {old} once")
    return text


def block(kind: str, text: str) -> str:
    return f"```{kind}\n{text.rstrip()}\n```\n"


if __name__ == "__main__":
    main(*sys.argv[1:4], Path(sys.argv[4]))
