# Sourced by `run`. Creates the packages of packaging/clients, and runs the commands and the program of the README of each package.

version=$(node -p "require('$document').info.version")
archives=$CARGO_TARGET_DIR/clients

creates_packages() {
    ../../packaging/clients/make >"$work/packages"
    diff - "$work/packages" <<END
go
signet-client-$version.crate
signet-client-$version.tgz
signet-client-java-$version.tar.gz
signet_client-$version-py3-none-any.whl
signet_client-$version.tar.gz
END
}

unpack() { # ARCHIVE FOLDER
    mkdir -p "$2"
    case $1 in
        *.whl | *.zip) python -m zipfile -e "$1" "$2" ;;
        *) tar -xzf "$1" -C "$2" ;;
    esac
}

# describes_itself ARCHIVE: in a wheel, the file METADATA contains the README.
describes_itself() {
    rm -rf "$work/unpacked"
    unpack "$1" "$work/unpacked"
    cmp "$(find "$work/unpacked" -name LICENSE)" ../../LICENSE
    cmp "$(find "$work/unpacked" -name openapi.json -print -quit)" "$document"
    grep -rF "version $version of the contract" "$work/unpacked" --include=README.md --include=METADATA
}

# logs_in_with NAME ARCHIVE PREPARE: follows the README of the archive in a new folder, without the network. No folder above it has
# Node packages.
logs_in_with() {
    readme=$CARGO_TARGET_DIR/sdk/$1
    rm -rf "$readme" "$work/unpacked"
    mkdir -p "$readme"
    cp -r "$archives/." "$readme"
    unpack "$2" "$work/unpacked"
    python page.py "$readme" "$(find "$work/unpacked" -name README.md)"
    cd "$readme"
    "$3"
    page use install
    logs_in use
}

new_environment() {
    python -m venv --without-pip .venv
    unset PYTHONPATH
    export PATH="$PWD/.venv/bin:$PATH" PIP_PYTHON="$PWD/.venv/bin/python"
    export PIP_NO_INDEX=1 PIP_FIND_LINKS="$sdk/.wheels" PIP_DISABLE_PIP_VERSION_CHECK=1
}

# The README installs the wheel.
new_environment_with_sdist() {
    new_environment
    sed -i 's/-py3-none-any\.whl/.tar.gz/' use.install.sh
}

new_node_project() {
    # Without the network, npm installs the dependencies of the package from these folders.
    cat >package.json <<END
{"overrides": {
  "openapi-fetch": "file:$sdk/node_modules/openapi-fetch",
  "openapi-typescript-helpers": "file:$sdk/node_modules/openapi-typescript-helpers"
}}
END
}

new_cargo_project() {
    # Cargo must not search for a workspace in the folders above.
    printf '\n[workspace]\n' >>Cargo.toml
    tar -xzOf "signet-client-$version.crate" "signet-client-$version/Cargo.lock" >Cargo.lock
    # All files in the archive have the same old time, so Cargo would reuse the build of an earlier package.
    export TAR_OPTIONS=--touch CARGO_NET_OFFLINE=true
}

new_go_project() {
    export GOMODCACHE=$PWD/modules GOFLAGS=-modcacherw
}

types_match() {
    cd "$CARGO_TARGET_DIR/sdk/typescript"
    "$sdk/node_modules/.bin/tsc" --strict --noEmit --target es2022 --module nodenext \
        --typeRoots "$sdk/node_modules/@types" --types node login.mts
}

# Runs the command of the page in the unpacked folder, but without the registry: `cargo publish` packs the same files as `cargo package`.
can_be_published_to_cargo() {
    local command
    command=$(sed -n 's/^| Rust .*`\(.*cargo publish\)`.*/\1/p' ../../docs/guides/clients.md)
    rm -rf "$work/unpacked"
    unpack "$archives/signet-client-$version.crate" "$work/unpacked"
    cd "$work/unpacked/signet-client-$version"
    : "${command:?The page does not publish the crate.}"
    bash -euo pipefail -c "${command/cargo publish/cargo package --offline --no-verify}"
}

check "packages: are created with version $version of the contract" creates_packages
mapfile -t packages < <(find "$archives" -name 'signet*' -type f -o -name '*.zip')
for package in "${packages[@]}"; do
    check "packages: ${package#"$archives/"} has the license, the contract and its version" describes_itself "$package"
done
sdist=$archives/signet_client-$version.tar.gz
check "packages: Python logs in with the wheel" logs_in_with python-wheel "$sdist" new_environment
check "packages: Python logs in with the sdist" logs_in_with python-sdist "$sdist" new_environment_with_sdist
check "packages: TypeScript logs in" logs_in_with typescript "$archives/signet-client-$version.tgz" new_node_project
check "packages: the types of TypeScript match" types_match
check "packages: Rust logs in" logs_in_with rust "$archives/signet-client-$version.crate" new_cargo_project
check "packages: Go logs in" logs_in_with go "$(find "$archives" -name '*.zip')" new_go_project
check "packages: Rust can be published" can_be_published_to_cargo
