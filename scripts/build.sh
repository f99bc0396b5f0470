#!/usr/bin/env bash
# Builds the program and leaves it at build/watchbill.
#
#   build.sh [PRESET]       default: release
set -euo pipefail
ME=build
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

PRESET=${1:-release}
OUT=$ROOT/build/$PRESET

# Quiet unless something goes wrong.
run() {
    local log
    log=$(mktemp)
    "$@" >"$log" 2>&1 || { cat "$log" >&2; rm -f "$log"; die "failed: $*"; }
    rm -f "$log"
}

find_program() { find "$OUT" -type f -name watchbill -perm -u+x | head -n 1; }

main() {
    local program
    cd "$ROOT"
    run cmake --preset "$PRESET"
    say "building ($PRESET)"
    run cmake --build "$OUT" --target watchbill
    program=$(find_program)
    [ -n "$program" ] || die "the build left no program 'watchbill' below $OUT"
    if ! cmp -s "$program" build/watchbill; then
        install -m 755 "$program" build/watchbill.new
        mv build/watchbill.new build/watchbill
    fi
}

main
