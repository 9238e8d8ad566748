# Sourced by the setups of the suites that use tools from outside, in the folder of the suite.
# What is there already stays: a second run needs no network.

# want COMMAND PACKAGE...: installs Debian's packages where the command is missing.
want() {
    if ! command -v "$1" >/dev/null; then
        apt-get update -q
        apt-get install -qy --no-install-recommends "${@:2}"
    fi
}

# Makes .venv from requirements.txt, which names every package. Each folder keeps the list that it was made from.
python_packages() {
    want python3 python3
    # Debian's own Python comes without it.
    python3 -c 'import ensurepip' 2>/dev/null || apt-get install -qy --no-install-recommends python3-venv
    if ! cmp -s requirements.txt .venv/requirements.txt; then
        rm -rf .venv
        python3 -m venv .venv
        .venv/bin/pip install --quiet --disable-pip-version-check --no-deps --requirement requirements.txt
        cp requirements.txt .venv
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
