#!/usr/bin/env bash
# Installs the Debian packages that a step needs and that are missing.
#
#   deps.sh [build|test|engine|run]...     each names scripts/packages/NAME.txt; default: build
#
# Silent where nothing is missing. Whatever it installs, it starts no service and enables none: tests and images only
# take the programs out of such packages.
set -euo pipefail
ME=deps
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

POLICY=/usr/sbin/policy-rc.d

wanted() {
    local set
    for set in "$@"; do
        [ -f "$ROOT/scripts/packages/$set.txt" ] || die "no list of packages named '$set'" "one of: build test engine run"
        sed 's/#.*//; s/[[:space:]]//g; /^$/d' "$ROOT/scripts/packages/$set.txt"
    done | sort -u
}

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | head -n 1)" = installed ]
}

# Words on standard input that name no installed package.
only_missing() {
    local package
    while read -r package; do
        provided_otherwise "$package" || is_installed "$package" || printf '%s\n' "$package"
    done
}

# A Docker Engine of another make serves as well, and Debian's would drive it off the machine. Go is for building Kubernetes' programs, once.
# npm may have come with another Node.js, which Debian's would not go with.
provided_otherwise() {
    case $1 in
    docker.io) have docker && have dockerd ;;
    golang-go) have go || [ -n "${KUBEBUILDER_ASSETS:-}" ] ;;
    npm) have npm ;;
    chromium-headless-shell) have chromium-headless-shell || [ -n "${CHROMIUM:-}" ] ;;
    *) false ;;
    esac
}

# Keeps maintainer scripts from starting services, for as long as this process lives: even if it is killed, the file
# that stays behind forbids nothing. A policy that the machine has already stays as it is.
forbid_service_starts() {
    if [ -e "$POLICY" ] && ! is_our_policy; then return; fi
    trap allow_service_starts EXIT
    trap 'exit 130' INT TERM HUP
    as_root sh -c "printf '%s\n' '#!/bin/sh' '# watchbill: written by scripts/deps.sh for one installation' \
        '[ -d /proc/$$ ] && exit 101' 'exit 0' >$POLICY && chmod 755 $POLICY"
}

is_our_policy() { grep -qs '^# watchbill: written by scripts/deps.sh' "$POLICY"; }

allow_service_starts() { ! is_our_policy || as_root rm -f "$POLICY"; }

# A package that starts its service at the next boot is no less a surprise than one that does it now.
disable_services_of() {
    local package unit
    for package in "$@"; do
        is_installed "$package" || continue
        for unit in $(dpkg-query -L "$package" | sed -nE 's#^(/usr)?/lib/systemd/system/([^/@]+\.(service|socket|timer))$#\2#p'); do
            if have systemctl; then
                as_root systemctl disable --quiet "$unit" >/dev/null 2>&1 || :
            fi
        done
        for unit in $(dpkg-query -L "$package" | sed -n 's#^/etc/init\.d/\([^/]*\)$#\1#p'); do
            as_root update-rc.d "$unit" disable >/dev/null 2>&1 || :
        done
    done
}

install_packages() {
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300) services=("$@") log
    have apt-get || die "missing: $*" "this system has no apt-get; install these (Debian's names) in its own way"
    is_installed containerd || services+=(containerd)
    say "installing Debian packages: $*"
    log=$(mktemp)
    forbid_service_starts
    if ! { as_root "${apt[@]}" update && as_root "${apt[@]}" install -y --no-install-recommends "$@"; } >"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        die "apt-get could not install: $*"
    fi
    rm -f "$log"
    disable_services_of "${services[@]}"
}

main() {
    local missing
    mapfile -t missing < <(wanted "${@:-build}" | only_missing)
    [ "${#missing[@]}" -eq 0 ] || install_packages "${missing[@]}"
}

main "$@"
