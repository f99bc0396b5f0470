#!/usr/bin/env bash
# `make demo`: a node-exporter with labels and alerts beside a Watchbill that runs, and waits until Prometheus scrapes it.
#
#   demo.sh [--quiet]       --quiet: no closing words
set -euo pipefail
ME=demo
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/engine.sh
. "$(dirname "$0")/engine.sh"
# shellcheck source=scripts/stack.sh
. "$(dirname "$0")/stack.sh"

SERVICE=demo_node-exporter

main() {
    local image
    docker_answers || die "no Docker Engine answers at $(docker_endpoint)" "make up"
    has_service "${STACK}_monitor" || die "there is no service ${STACK}_monitor" "make up"
    refuse_foreign_stack demo "take it away first: docker stack rm demo"
    image=$(IMAGE_MADE_BY=make-up "$ROOT/scripts/image.sh" demo)
    deploy_stack demo "$SERVICE" "$image" "$ROOT/manifests/swarm/demo.yml" "NODE_EXPORTER_IMAGE=$image"
    wait_for_service "$SERVICE" "$image"
    say "waiting until Prometheus scrapes $SERVICE"
    wait_for 60 target_is_up "$SERVICE" || die "Prometheus does not scrape $SERVICE" "$(watchbill_command) explain $SERVICE"
    say "$SERVICE is up"
    [ "${1:-}" = --quiet ] || closing_words
}

closing_words() {
    cat <<TEXT

Its target:   $(prometheus_page targets)
Its alerts:   $(prometheus_page alerts)
Why, or why not:

    $(watchbill_command) explain $SERVICE
TEXT
}

main "$@"
