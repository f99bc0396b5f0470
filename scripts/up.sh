#!/usr/bin/env bash
# `make up`: Watchbill with a real Prometheus on this host's Docker Swarm. Run again, it changes only what changed.
#
#   up.sh          needs build/watchbill; the Makefile sees to that
#
# Environment:
#   ENGINE=existing                   neither install and start a Docker Engine nor make a swarm: say what is missing, fail
#   DEMO=yes|no                       deploy the demo too; by default only on an Engine or a swarm that this made
#   STACK=monitor                     the stack's name
#   MONITOR_PORT, PROMETHEUS_PORT   ports on the node: 8080 and 9090
#
# What it makes it labels, and `make down` takes away what carries that label.
set -euo pipefail
ME=up
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/engine.sh
. "$(dirname "$0")/engine.sh"
# shellcheck source=scripts/stack.sh
. "$(dirname "$0")/stack.sh"

main() {
    local image
    ensure_engine
    refuse_taken_ports
    ensure_swarm
    refuse_foreign_stack "$STACK" "make up STACK=other, or take that one away first: docker stack rm $STACK"
    say "making the image from $(basename "${WATCHBILL_BINARY:-build/watchbill}") and Debian's Prometheus"
    image=$(IMAGE_MADE_BY=make-up "$ROOT/scripts/image.sh" watchbill)
    ensure_network
    deploy_stack "$STACK" "${STACK}_monitor" "$image" "$ROOT/manifests/swarm/monitor.yml" "MONITOR_IMAGE=$image"
    wait_for_service "${STACK}_monitor" "$image"
    wait_for_address Watchbill "$(watchbill_url)/-/ready" "${STACK}_monitor"
    wait_for_address Prometheus "$(prometheus_url)/-/ready" "${STACK}_monitor"
    remove_older_images "$image"
    if wants_demo; then "$ROOT/scripts/demo.sh" --quiet; fi
    farewell
}

# remove_older_images REF: those of earlier builds that no task of the service's history holds any more.
remove_older_images() {
    local name
    for name in $(dk image ls --filter "label=$MADE_BY_LABEL=make-up" --format '{{.Repository}}:{{.Tag}}' watchbill); do
        case $name in "$1" | watchbill:dev) ;; *) dk image rm "$name" >/dev/null 2>&1 || : ;; esac
    done
}

# A newcomer's own Engine shows something at once; somebody's existing one is not filled with demonstrations.
wants_demo() {
    case ${DEMO:-} in
    yes) ;;
    no) return 1 ;;
    *) [ -n "$(state_get engine)" ] || made_the_swarm ;;
    esac
}

farewell() {
    local service=some_service docker=docker
    if docker_socket_is_closed; then docker='sudo docker'; fi
    if has_service demo_node-exporter; then service=demo_node-exporter; fi
    cat <<TEXT

Prometheus:  $(prometheus_url)
Watchbill:   $(watchbill_url)

Try next, with any service of this swarm (make demo deploys one to play with):

    $docker service update --label-add com.df.notify=true --label-add com.df.scrapePort=9100 \\
        --label-add com.df.alertName=mem --label-add com.df.alertIf='up == 0' $service

    $(watchbill_command) explain $service

Take it all away again:    make down
TEXT
}

main "$@"
