#!/bin/sh
# Writes the pages that follow from the tables: docs/labels.md, docs/shortcuts.md, docs/settings.md, docs/watchbill.1.
# WATCHBILL names the program (build/watchbill); DOCS another directory, which a test compares with the one that is kept.
set -eu
cd "$(dirname "$0")/.."
watchbill=${WATCHBILL:-build/watchbill}
docs=${DOCS:-docs}
mkdir -p "$docs"

page() {
	"$watchbill" docs "$1" >"$docs/$2.new" || { rm -f "$docs/$2.new"; exit 1; }
	mv "$docs/$2.new" "$docs/$2"
}

page labels labels.md
page shortcuts shortcuts.md
page settings settings.md
page man watchbill.1
