#!/usr/bin/env bash
# Prints the path of a `go` that is at least VERSION: the one in PATH, or a toolchain of exactly that version, which that one is asked to fetch.
#
#   go.sh VERSION          for example 1.26.0
#
# Go's toolchains are modules (golang.org/toolchain) since 1.21. An older go, Debian's say, knows nothing of that, but downloads any module from the
# proxy that GOPROXY names and checks it against the checksum database. Kept in ~/.cache/watchbill/go/VERSION.
set -euo pipefail
ME=go
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

want=${1:?VERSION}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/watchbill/go

# at_least VERSION WANTED
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# What a go says of itself, without its own looking for another one: 1.26.8
version_of() { GOTOOLCHAIN=local "$1" version 2>/dev/null | sed -n 's/^go version go\([0-9.]*\).*/\1/p'; }

module_dir() { # MODULE@VERSION
    local empty info
    empty=$(mktemp -d)
    # (not within a module: its go.mod may be beyond this go)
    info=$(cd "$empty" && GOTOOLCHAIN=local GOFLAGS=-mod=mod GOWORK=off go mod download -json "$1" 2>"$empty/error") || info="$info$(cat "$empty/error")"
    rm -rf "$empty"
    printf '%s\n' "$info" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",*$/\1/p' | grep . || {
        printf '%s\n' "$info" | tail -n 5 >&2
        return 1
    }
}

# A module has no executables and no go.mod within; see cmd/go/internal/toolchain.
make_toolchain_of() { # MODULE_DIR INTO
    local made=$2.$$ path
    rm -rf "$made"
    mkdir -p "$(dirname "$2")"
    cp -r "$1" "$made"
    chmod -R u+w "$made"
    chmod 755 "$made"/bin/* "$made"/pkg/tool/*/*
    find "$made/src" -name _go.mod | while read -r path; do mv "$path" "${path%_go.mod}go.mod"; done
    mv -T "$made" "$2" 2>/dev/null || rm -rf "$made" # another was faster
}

have go || die "no Go" "install Debian's golang-go, or any go that is at least 1.17"
if at_least "$(version_of go)" "$want"; then
    command -v go
    exit
fi
if [ ! -x "$cache/$want/bin/go" ]; then
    say "fetching Go $want: $(go version) is too old"
    dir=$(module_dir "golang.org/toolchain@v0.0.1-go$want.$(go env GOOS)-$(go env GOARCH)") || die "Go $want cannot be had from $(go env GOPROXY)" "set GOPROXY, or install Go $want or newer"
    make_toolchain_of "$dir" "$cache/$want"
fi
at_least "$(version_of "$cache/$want/bin/go")" "$want" || die "$cache/$want/bin/go does not run" "remove $cache/$want"
printf '%s\n' "$cache/$want/bin/go"
