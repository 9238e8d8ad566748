"""Lints the container files, and starts the binary with the environment, the user, the secrets and the read-only root of a manifest.

The tests build no image and start no container. The replica runs in namespaces of this machine, with a local PostgreSQL.
"""

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml

FOLDER = Path(__file__).resolve().parent
GUIDE = FOLDER.parent.parent / "docs/guides/containers.md"
REPOSITORY = FOLDER.parent.parent
sys.path.append(str(REPOSITORY / "tests"))
import postgres  # noqa: E402

SIGNET = os.environ["SIGNET"]
TOOLS = Path(sys.executable).parent
# The oldest and the newest Kubernetes that the manifests support.
KUBERNETES = ["1.30", "1.37"]
DOCKERFILE = (FOLDER / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SECRET = yaml.safe_load((FOLDER / "kubernetes/secret.example.yaml").read_text())
# The environment and the user of the image.
IMAGE = {"PATH": "/usr/local/bin:/usr/bin:/bin"} | dict(re.findall(r"(SIGNET_\w+)=(\S+)", DOCKERFILE))
[USER] = re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE)
# Debian packages with libraries in the base image distroless/cc.
DISTROLESS_CC = {"libc6", "libssl3", "gcc-12-base", "libgcc-s1", "libgomp1", "libstdc++6"}
# Default time for the requests in flight, and then for the admin listener, in seconds.
STOP_TIMEOUT, ADMIN_STOP = 30, 3
PASSWORD = "a password of the database"
SECRETS = {"jwt": "0123456789abcdef" * 4, "jwt-previous": "", "pgpass": f"postgres:5432:signet:signet:{PASSWORD}"}


def run(*command):
    return subprocess.run(list(map(str, command)), text=True, capture_output=True)


@pytest.fixture(scope="module")
def manifests():
    """The objects that `kubectl apply -k` sends, by kind."""
    rendered = run("kubectl", "kustomize", FOLDER / "kubernetes")
    assert rendered.returncode == 0, rendered.stderr
    return {one["kind"]: one for one in yaml.safe_load_all(rendered.stdout)}


def pod(manifests):
    return manifests["Deployment"]["spec"]["template"]["spec"]


def compose_replica():
    """The environment, the user, the mounted files and the time to stop of a replica in compose.yaml."""
    service = COMPOSE["services"]["signet-one"]
    files = {f"/run/secrets/{name}": SECRETS[name] for name in service["secrets"]}
    return IMAGE | service["environment"], service.get("user", USER), files, service["stop_grace_period"]


def kubernetes_replica(manifests, secret):
    """The same properties of a replica in the Deployment."""
    spec = pod(manifests)
    [container] = spec["containers"]
    context = spec["securityContext"]
    environment = IMAGE | manifests["ConfigMap"]["data"]
    for variable in container["env"]:
        environment[variable["name"]] = secret[variable["valueFrom"]["secretKeyRef"]["key"]]
    [mount], [volume] = container["volumeMounts"], spec["volumes"]
    assert mount["name"] == volume["name"] and volume["secret"]["secretName"] == SECRET["metadata"]["name"]
    files = {f"{mount['mountPath']}/{item['path']}": secret[item["key"]] for item in volume["secret"]["items"]}
    user = f"{context['runAsUser']}:{context['runAsGroup']}"
    return environment, user, files, f"{spec['terminationGracePeriodSeconds']}s"


# Mounts the secrets and the names of the database, makes the root read-only, and drops every privilege.
ENTER = """
mount -t tmpfs -o mode=755 tmpfs /run
cp -a "$0/secrets" /run/secrets
mount --bind "$0/hosts" /etc/hosts
mount -o remount,bind,ro /
exec setpriv --reuid="$1" --regid="$2" --clear-groups --no-new-privs --bounding-set=-all -- "$3" serve
"""


@contextmanager
def replica(folder, environment, user, files, _stop_time):
    """Starts the service as its manifest describes, and yields the process."""
    uid, gid = map(int, user.split(":"))
    (folder / "secrets").mkdir()
    for path, content in files.items():
        assert Path(path).parent == Path("/run/secrets")
        file = folder / "secrets" / Path(path).name
        file.write_text(content)
        file.chmod(0o400)
        os.chown(file, uid, gid)
    (folder / "hosts").write_text(f"127.0.0.1 localhost {urlsplit(environment['SIGNET_DATABASE_URL']).hostname}\n")
    # The user of the image can read this copy, but possibly not the folder of the build.
    binary = shutil.copy(SIGNET, "/usr/local/bin/signet-under-test")
    command = ["unshare", "--mount", "sh", "-ec", ENTER, folder, str(uid), str(gid), binary]
    process = subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        os.remove(binary)


def get(port, path):
    """The status of a response, or None if no process listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except ConnectionRefusedError:
        return None
    finally:
        connection.close()


def wait_until_ready(process, port, path):
    while get(port, path) != 200:
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)


@pytest.fixture
def database(monkeypatch):
    """PostgreSQL on its usual port, where the role of the service needs its password."""
    monkeypatch.setattr(postgres, "free_port", lambda: 5432)
    server = postgres.Postgres(user="postgres")
    try:
        (server.data / "pg_hba.conf").write_text("host all postgres all trust\nhost signet signet all scram-sha-256\n")
        server.sql("SELECT pg_reload_conf()")
        server.sql(f"CREATE ROLE signet LOGIN PASSWORD '{PASSWORD}'")
        server.sql("CREATE DATABASE signet OWNER signet")
        yield server
    finally:
        server.close()


def test_dockerfile():
    lint = run(TOOLS / "hadolint", FOLDER / "Dockerfile")
    assert lint.returncode == 0, lint.stdout


def test_image_has_the_libraries_of_the_binary():
    assert "FROM gcr.io/distroless/cc-debian12" in DOCKERFILE
    for library in re.findall(r"(\S+) => /", run("ldd", SIGNET).stdout):
        packages = set(re.findall(r"^([^:\s]+)", run("dpkg-query", "--search", f"*/{library}").stdout, re.MULTILINE))
        assert packages & DISTROLESS_CC, library


def test_build_context():
    """The context has the sources of the build, and no secret. Cargo lists the sources in a `.d` file next to the binary."""
    patterns = [line for line in (FOLDER / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] not in ("", "#")]

    def is_ignored(path):
        matching = [one for one in patterns if any(fnmatch(str(part), one.removeprefix("!")) for part in [path, *path.parents])]
        return bool(matching) and not matching[-1].startswith("!")

    sources = [Path(path) for path in Path(f"{SIGNET}.d").read_text().partition(": ")[2].split()]
    sources = [path.relative_to(REPOSITORY) for path in sources if path.is_relative_to(REPOSITORY)]
    assert sources, "the binary was built in another repository"
    for path in [*sources, *map(Path, ["Cargo.lock", ".cargo/config.toml", "packaging/build", "tools/contract-diff/Cargo.toml"])]:
        assert not is_ignored(path), path
    for path in ["data/signet.db", "packaging/containers/secrets/jwt", ".git/config", "target/release/signet"]:
        assert is_ignored(Path(path)), path


def test_compose():
    lint = run(TOOLS / "check-jsonschema", "--builtin-schema=vendor.compose-spec", FOLDER / "compose.yaml")
    assert lint.returncode == 0, lint.stdout
    if run("docker", "compose", "version").returncode == 0:
        config = run("docker", "compose", "-f", FOLDER / "compose.yaml", "config", "--quiet")
        assert config.returncode == 0, config.stderr


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes(manifests, version):
    for one in [*manifests.values(), SECRET]:
        kubernetes_validate.validate(one, version, strict=True)


def test_haproxy(tmp_path):
    # The names of the replicas exist only in the network of Compose.
    config = re.sub(r"\b(signet-one|signet-two)\b(?=:)", "127.0.0.1", (FOLDER / "haproxy.cfg").read_text())
    (tmp_path / "haproxy.cfg").write_text(config)
    lint = run("haproxy", "-c", "-dW", "-f", tmp_path / "haproxy.cfg")
    assert lint.returncode == 0, lint.stderr


def test_replica_of_compose(tmp_path, database):
    environment, *_, stop_time = started = compose_replica()
    assert_stops_in_time(environment, stop_time)
    with replica(tmp_path, *started) as process:
        wait_until_ready(process, 9000, "/readyz")
        assert get(8000, "/openapi.json") == 200
        process.terminate()
        assert process.wait(60) == 0, process.stdout.read()


def test_replica_of_kubernetes(tmp_path, database, manifests):
    secret = SECRETS | {"database-password": PASSWORD}
    environment, *_, stop_time = started = kubernetes_replica(manifests, secret)
    assert_stops_in_time(environment, stop_time)
    [container] = pod(manifests)["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    probes = [container[name]["httpGet"] for name in ["startupProbe", "livenessProbe", "readinessProbe"]]
    with replica(tmp_path, *started) as process:
        for probe in probes:
            wait_until_ready(process, ports[probe["port"]], probe["path"])
        annotations = manifests["Deployment"]["spec"]["template"]["metadata"]["annotations"]
        assert get(int(annotations["prometheus.io/port"]), annotations["prometheus.io/path"]) == 200
        [port] = manifests["Service"]["spec"]["ports"]
        assert get(ports[port["targetPort"]], "/openapi.json") == 200
        process.terminate()
        assert process.wait(60) == 0, process.stdout.read()


def assert_stops_in_time(environment, stop_time):
    needed = int(environment["SIGNET_STOP_DELAY"]) + STOP_TIMEOUT + ADMIN_STOP
    assert int(stop_time.removesuffix("s")) >= needed


def test_service_rejects_the_example_secret(tmp_path, manifests):
    with replica(tmp_path, *kubernetes_replica(manifests, SECRET["stringData"])) as process:
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 2 and "too short" in output


def test_command_of_the_guide_creates_the_secret(tmp_path):
    [command] = re.findall(r"^kubectl .* create secret (?:.*\\\n)*.*$", GUIDE.read_text(), re.MULTILINE)
    (tmp_path / "password").write_text(PASSWORD)
    made = subprocess.run(
        ["bash", "-c", f"{command} --dry-run=client --output=json"], cwd=tmp_path, capture_output=True, check=True
    )
    assert set(json.loads(made.stdout)["data"]) == set(SECRET["stringData"])
