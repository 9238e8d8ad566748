# Sourced by the setups of the suites that use tools from outside, in the folder of the suite.
# What is there already stays: a second run needs no network.

# want COMMAND PACKAGE...: installs Debian's packages where the command is missing.
want() {
    if ! command -v "$1" >/dev/null; then
        apt-get update -q
        apt-get install -qy --no-install-recommends "${@:2}"
    fi
}

# python_packages [REQUIREMENTS FOLDER [PYTHON]]: makes a folder, .venv, from a list that names every package,
# requirements.txt. Each folder keeps the list that it was made from.
python_packages() {
    local list=${1:-requirements.txt} folder=${2:-.venv} python=${3:-python3}
    want "$python" "$python"
    # Debian's own Python comes without it.
    "$python" -c 'import ensurepip' 2>/dev/null || apt-get install -qy --no-install-recommends "$python-venv"
    if ! cmp -s "$list" "$folder/requirements.txt"; then
        rm -rf "$folder"
        "$python" -m venv "$folder"
        "$folder/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$list"
        cp "$list" "$folder/requirements.txt"
    fi
}

# Makes node_modules from package-lock.json.
node_packages() {
    want npm nodejs npm
    if ! cmp -s package-lock.json node_modules/package-lock.json; then
        npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
        cp package-lock.json node_modules
    fi
}

# Debian's PostgreSQL, unless there is one. The tests start a server of their own: Debian's needs none.
postgres_server() {
    if ! command -v initdb >/dev/null && ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then
        mkdir -p /etc/postgresql-common/createcluster.d
        echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/signet.conf
        apt-get update -q
        apt-get install -qy --no-install-recommends postgresql
    fi
}

# cargo_tool NAME@VERSION [FLAG...]: builds a tool of crates.io into the target folder.
cargo_tool() {
    local here tools
    here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
    tools=${CARGO_TARGET_DIR:-$here/../target}/tools
    if [ "$(cat "$tools/${1%@*}.version" 2>/dev/null)" != "$1" ]; then
        cargo install --quiet --locked --root "$tools" "$@"
        echo "$1" >"$tools/${1%@*}.version"
    fi
}
