#!/usr/bin/env bash
# `make down`: takes away what `make up` and `make demo` made, and nothing else.
#
# What they made carries a label: stacks, network, volumes, images, and the node's mark that the swarm was made here. A
# swarm is left only if nothing of others is in it; an Engine is stopped only if `make up` started it and nothing of
# others runs on it. Packages stay installed.
set -euo pipefail
ME=down
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/engine.sh
. "$(dirname "$0")/engine.sh"
# shellcheck source=scripts/stack.sh
. "$(dirname "$0")/stack.sh"

MINE=label=$MADE_BY_LABEL=make-up

main() {
    "$ROOT/scripts/sites.sh" down
    if ! docker_answers; then
        say "no Docker Engine answers at $(docker_endpoint): nothing to take away"
        return
    fi
    if [ "$(docker_info '{{.Swarm.ControlAvailable}}')" = true ]; then
        remove_stacks
        remove_network
    fi
    remove_volumes
    if made_the_swarm; then leave_swarm; fi
    remove_images
    if [ -n "$(state_get engine)" ]; then stop_our_engine; fi
    say "done"
}

our_stacks() {
    dk service ls --filter "$MINE" --format '{{.ID}}' |
        while read -r id; do dk service inspect --format '{{index .Spec.Labels "com.docker.stack.namespace"}}' "$id" </dev/null; done |
        sed '/^$/d' | sort -u
}

remove_stacks() {
    local stacks stack
    mapfile -t stacks < <(our_stacks)
    for stack in ${stacks[@]+"${stacks[@]}"}; do
        say "removing the stack $stack"
        dk stack rm "$stack" >/dev/null
    done
    for stack in ${stacks[@]+"${stacks[@]}"}; do
        wait_for 20 has_no_containers "$stack" || remove_left_behind "$stack"
        wait_for 70 has_no_containers "$stack" || say "containers of the stack $stack are still there"
    done
}

# An Engine that ended while it was making a container has forgotten whose task that is.
remove_left_behind() {
    local id
    for id in $(dk ps --all --quiet --filter "label=com.docker.stack.namespace=$1" --filter status=created --filter status=exited --filter status=dead); do
        say "removing the container $id, which was left behind by the stack $1"
        dk rm "$id" >/dev/null 2>&1 || : # the swarm may have been quicker
    done
}

has_no_containers() {
    [ -z "$(dk ps --all --quiet --filter "label=com.docker.stack.namespace=$1")" ]
}

remove_network() {
    local id
    for id in $(dk network ls --quiet --filter "$MINE"); do
        say "removing the network $(dk network inspect --format '{{.Name}}' "$id")"
        wait_for 30 dk network rm "$id" || say "the network is still in use and stays"
    done
}

remove_volumes() {
    local name
    for name in $(dk volume ls --quiet --filter "$MINE"); do
        say "removing the volume $name"
        wait_for 30 dk volume rm "$name" || say "the volume is still in use and stays"
    done
}

remove_images() {
    local name
    for name in $(dk image ls --filter "$MINE" --format '{{.Repository}}:{{.Tag}}:{{.ID}}' | sed 's/^<none>:<none>:// ; t; s/:[^:]*$//' | sort); do
        say "removing the image $name"
        dk image rm "$name" >/dev/null 2>&1 || say "a container of others uses the image; it stays"
    done
}

# What others put into the swarm, one line a thing.
foreign_things() {
    dk service ls --format 'service {{.Name}}'
    dk secret ls --format 'secret {{.Name}}'
    dk config ls --format 'config {{.Name}}'
    dk network ls --filter driver=overlay --format '{{.Name}}' | sed '/^ingress$/d; s/^/network /'
    dk node ls --format '{{.Self}} {{.Hostname}}' | sed -n 's/^false /node /p'
}

leave_swarm() {
    local foreign had_bridge
    foreign=$(foreign_things)
    if [ -n "$foreign" ]; then
        say "staying in the swarm, as there are things of others in it: $(tr '\n' ',' <<<"$foreign")"
        return
    fi
    had_bridge=$(swarm_node_label "$SWARM_LABEL.bridge")
    say "leaving the one-node swarm that make up made"
    dk swarm leave --force >/dev/null
    if [ "$had_bridge" = no ]; then wait_for 20 dk network rm "$BRIDGE" || :; fi
}

stop_our_engine() {
    if [ -n "$(dk ps --quiet)" ] || [ "$(docker_info '{{.Swarm.LocalNodeState}}')" != inactive ]; then
        say "the Docker Engine that make up started goes on, as it is in use"
        return
    fi
    say "stopping the Docker Engine that make up started; its packages stay installed"
    stop_engine "$(state_get engine)"
    rm -f "$STATE_FILE"
}

main "$@"
