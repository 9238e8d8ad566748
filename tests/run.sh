# Sourced by the scripts that run a suite, as their first step. Make passes paths that are relative to the repository:
# resolves them, and then changes to the folder of the script.

SIGNET=$(realpath -e -- "${SIGNET:?must be the path of the binary, such as target/debug/signet}")
export SIGNET PYTHONDONTWRITEBYTECODE=1
if [ -n "${CARGO_TARGET_DIR:-}" ]; then
    CARGO_TARGET_DIR=$(realpath -m -- "$CARGO_TARGET_DIR")
fi
cd "$(dirname "$0")"
