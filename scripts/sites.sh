#!/usr/bin/env bash
# `make up SITES=FILE`: Watchbill with Prometheus, blackbox_exporter and Alertmanager on this machine, without any orchestrator.
#
#   sites.sh up         starts it in the background, or starts it again where the program or these variables have changed
#   sites.sh down       ends it; what it has written stays. 0 also where nothing runs
#
# Environment:
#   SITES               what is watched: a file, a directory or a URL; several with commas
#   DATA=data           directory for configuration, time series and alerts.log
#   MONITOR_PORT, PROMETHEUS_PORT, ALERTMANAGER_PORT, BLACKBOX_PORT     8080, 9090, 9093 and 9115
#   BIND=127.0.0.1      address that Watchbill, Prometheus and Alertmanager listen on; blackbox_exporter stays on the loopback address
#   SITES_FLAGS         more flags for `watchbill run`
#   WATCHBILL_BINARY    another program than build/watchbill
set -euo pipefail
ME=${1:-sites}
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

BINARY=$(realpath "${WATCHBILL_BINARY:-$ROOT/build/watchbill}" 2>/dev/null) || BINARY=$ROOT/build/watchbill
READY_S=60
STOP_S=40

address() { printf '%s:%s\n' "${BIND:-127.0.0.1}" "$1"; }
# Where this machine reaches what listens there.
near() { case ${BIND:-127.0.0.1} in 0.0.0.0 | '[::]') printf '127.0.0.1:%s\n' "$1" ;; *) address "$1" ;; esac }

MONITOR_PORT=${MONITOR_PORT:-8080}
PROMETHEUS_PORT=${PROMETHEUS_PORT:-9090}
ALERTMANAGER_PORT=${ALERTMANAGER_PORT:-9093}
BLACKBOX_PORT=${BLACKBOX_PORT:-9115}

command_line() {
    # shellcheck disable=SC2086
    printf '%s\n' "$BINARY" run --sites "$SITES" --data-dir "$data" --listen "$(address "$MONITOR_PORT")" \
        --prometheus-listen "$(address "$PROMETHEUS_PORT")" --alertmanager-listen "$(address "$ALERTMANAGER_PORT")" \
        --blackbox-listen "127.0.0.1:$BLACKBOX_PORT" ${SITES_FLAGS:-}
}

# The process of an earlier `up`, if it still runs and is ours.
running_pid() {
    local pid
    pid=$(state_get sites.pid)
    [ -n "$pid" ] && [ "$(readlink "/proc/$pid/exe" 2>/dev/null | sed 's/ (deleted)$//')" = "$BINARY" ] && printf '%s\n' "$pid"
}

is_gone() { [ ! -d "/proc/$1" ]; }

stop() {
    local pid
    pid=$(running_pid) || return 0
    say "ending Watchbill (process $pid) and what it started"
    kill -TERM "$pid"
    wait_for "$STOP_S" is_gone "$pid" || die "process $pid does not end" "look at $(state_get sites.log)"
    state_set sites.pid ""
}

check_places() {
    local place
    for place in ${SITES//,/ }; do
        case $place in
        *://*) ;;
        *) [ -e "$place" ] || die "there is no $place" "write a list of sites there, as in examples/sites.yml (docs/websites.md)" ;;
        esac
    done
}

up() {
    local data log pid want
    SITES=${SITES:?"SITES names the list of sites"}
    check_places
    "$ROOT/scripts/deps.sh" run
    mkdir -p "${DATA:-data}"
    data=$(cd "${DATA:-data}" && pwd)
    log=$data/watchbill.log
    want=$({ command_line && sha256sum "$BINARY"; } | sha256sum | cut -c 1-16)
    if [ "$(state_get sites.made)" = "$want" ] && running_pid >/dev/null; then
        say "runs already, as it should"
    else
        stop
        mapfile -t command < <(command_line)
        env -u WATCHBILL_BINARY setsid "${command[@]}" >>"$log" 2>&1 </dev/null &
        pid=$!
        state_set sites.pid "$pid"
        state_set sites.log "$log"
        state_set sites.made "$want"
        say "started Watchbill (process $pid), which starts the others; its log is $log"
    fi
    wait_for "$READY_S" is_ready_or_gone || die "Watchbill is not ready after $READY_S s" "$BINARY status --address http://$(near "$MONITOR_PORT") says why"
    running_pid >/dev/null || die "Watchbill has ended: $(tail -n 1 "$log")" "look at $log; the ports can be set: MONITOR_PORT, PROMETHEUS_PORT, ALERTMANAGER_PORT, BLACKBOX_PORT"
    farewell
}

is_ready_or_gone() { ! running_pid || curl -fsS --max-time 5 "http://$(near "$MONITOR_PORT")/-/ready"; }

farewell() {
    cat <<TEXT

Sites:         http://$(near "$MONITOR_PORT")/
Prometheus:    http://$(near "$PROMETHEUS_PORT")/alerts
Alertmanager:  http://$(near "$ALERTMANAGER_PORT")/
Alerts so far: $data/alerts.log

Try next:

    tail -F $data/alerts.log
    build/watchbill explain --address http://$(near "$MONITOR_PORT") http://this-site-does-not-exist.invalid/

Edit $SITES whenever you like; it takes effect at once. End it all:    make down
TEXT
}

case ${1:-} in
up) up ;;
down) stop ;;
*) die "usage: sites.sh up|down" ;;
esac
