#!/usr/bin/env bash
# Builds the site of docs/ into target/site. A page that mkdocs.yml does not name, a link that
# leads nowhere, and every other warning is an error.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# It advertises its successor.
NO_MKDOCS_2_WARNING=1 .tools/venv-build/bin/mkdocs build --strict
