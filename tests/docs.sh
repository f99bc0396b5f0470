#!/usr/bin/env bash
# The generated pages in docs/ are what the tables of $WATCHBILL say now.
set -euo pipefail
cd "$(dirname "$0")/.."
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
DOCS=$fresh scripts/docs.sh
for page in labels.md shortcuts.md settings.md watchbill.1; do
    diff -u "docs/$page" "$fresh/$page" || { echo "docs/$page is not what the tables say: run make docs" >&2; exit 1; }
done
