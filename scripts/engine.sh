# shellcheck shell=bash
# For up.sh and down.sh: a Docker Engine that answers, in a swarm that this node manages. To be sourced after lib.sh.

ENGINE_LOG=/var/log/docker.log
SWARM_LABEL=org.watchbill.swarm
BRIDGE=docker_gwbridge

uses_existing_only() {
    case ${ENGINE:-} in
    existing) ;;
    '' | any) return 1 ;;
    *) die "ENGINE=$ENGINE is not known" "ENGINE=existing, or nothing" ;;
    esac
}

# ---- the Engine

ensure_engine() {
    local endpoint
    endpoint=$(docker_endpoint)
    if docker_answers; then
        say "using the Docker Engine at $endpoint"
        return
    fi
    if ! have docker && socket_answers; then
        ensure_client
        return
    fi
    is_usual_endpoint "$endpoint" ||
        die "no Docker Engine answers at $endpoint" "start it, or unset DOCKER_HOST (docker context use default) to take this host's own"
    if uses_existing_only; then
        die "no Docker Engine answers at $endpoint, and ENGINE=existing forbids to install or start one" \
            "start the Engine, set DOCKER_HOST, or run make up without ENGINE=existing"
    fi
    if ! have dockerd || ! have docker; then
        say "no Docker Engine answers at $endpoint: installing Debian's docker.io"
        "$ROOT/scripts/deps.sh" engine
    else
        say "no Docker Engine answers at $endpoint, but one is installed"
    fi
    start_engine
}

socket_answers() {
    [ -S "$USUAL_SOCKET" ] && have curl && as_root curl -sf -m 5 --unix-socket "$USUAL_SOCKET" http://engine/_ping >/dev/null
}

# An Engine without a client beside it.
ensure_client() {
    if uses_existing_only; then
        die "a Docker Engine answers at $USUAL_SOCKET, but there is no docker client here" "install one, for example with: scripts/deps.sh engine"
    fi
    say "a Docker Engine answers at $USUAL_SOCKET, but there is no client: installing Debian's docker.io for its client"
    "$ROOT/scripts/deps.sh" engine
    docker_answers || die "the docker client cannot talk to the Engine at $USUAL_SOCKET"
}

start_engine() {
    local enabled=
    if starts_with_machine; then enabled=already; fi
    if [ -d /run/systemd/system ]; then
        say "starting the Docker Engine: systemctl enable --now docker"
        as_root systemctl enable --now --quiet docker.socket docker.service
        state_set engine systemd
        state_set enabled "$enabled"
    elif start_engine_as_service; then
        state_set engine service
        state_set enabled "$enabled"
    else
        start_engine_by_hand
    fi
    wait_for 60 docker_answers || die "the Docker Engine was started but does not answer" "look into $ENGINE_LOG, or: journalctl -u docker"
}

starts_with_machine() {
    if [ -d /run/systemd/system ]; then systemctl is-enabled --quiet docker.service 2>/dev/null; else compgen -G '/etc/rc2.d/S*docker' >/dev/null; fi
}

start_engine_as_service() {
    [ -x /etc/init.d/docker ] && have service || return 1
    say "starting the Docker Engine: service docker start"
    if as_root service docker start </dev/null >/dev/null 2>&1 && wait_for 20 docker_answers; then
        as_root update-rc.d docker enable >/dev/null 2>&1 || :
        return
    fi
    say "that did not start it here"
    return 1
}

start_engine_by_hand() {
    local pid_file=/run/watchbill-dockerd.pid
    say "starting the Docker Engine: dockerd in the background, its log in $ENGINE_LOG"
    as_root sh -c "setsid dockerd --pidfile $pid_file </dev/null >>$ENGINE_LOG 2>&1 &"
    state_set engine "pid-file $pid_file"
}

# stop_engine HOW: the reverse of start_engine. The package stays installed.
stop_engine() {
    case $1 in
    systemd)
        as_root systemctl stop docker.service docker.socket
        if [ -z "$(state_get enabled)" ]; then as_root systemctl disable --quiet docker.service docker.socket; fi
        ;;
    service)
        as_root service docker stop >/dev/null 2>&1
        if [ -z "$(state_get enabled)" ]; then as_root update-rc.d docker disable >/dev/null 2>&1 || :; fi
        ;;
    'pid-file '*) stop_by_pid_file "${1#pid-file }" ;;
    esac
}

stop_by_pid_file() {
    local pid
    pid=$(cat "$1" 2>/dev/null) || return 0
    [ "$(as_root cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ] || return 0
    as_root kill -TERM "$pid"
    wait_for 60 is_gone "$pid" || say "dockerd (process $pid) still runs"
}

is_gone() { [ ! -d "/proc/$1" ]; }

# ---- the swarm

ensure_swarm() {
    local state
    state=$(docker_info '{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}')
    case $state in
    'active true') say "using the swarm that this Engine manages" ;;
    'active false')
        die "this Engine is a worker of its swarm; only managers know the services" \
            "point DOCKER_HOST at a manager, or on one: docker node promote $(docker_info '{{.Name}}')"
        ;;
    inactive*) init_swarm ;;
    locked*) die "this Engine's swarm is locked" "docker swarm unlock" ;;
    *) die "this Engine's swarm is in state '$state': $(docker_info '{{.Swarm.Error}}')" "repair it, or leave it: docker swarm leave --force" ;;
    esac
}

init_swarm() {
    local had_bridge=yes
    if uses_existing_only; then
        die "this Docker Engine is in no swarm, and ENGINE=existing forbids to make one" \
            "docker swarm init, or run make up without ENGINE=existing"
    fi
    dk network inspect "$BRIDGE" >/dev/null 2>&1 || had_bridge=no
    say "this Docker Engine is in no swarm: making a one-node swarm"
    try_init_swarm || die "docker swarm init failed" "make the swarm by hand, docker swarm init --advertise-addr ADDRESS, and run make up again"
    dk node update --label-add "$SWARM_LABEL=make-up" --label-add "$SWARM_LABEL.bridge=$had_bridge" "$(this_node)" >/dev/null
}

# A host with several addresses has to be told which one to advertise: the one that leads out, else the loopback, which is
# enough for one node.
try_init_swarm() {
    local answer address
    if answer=$(dk swarm init 2>&1); then return; fi
    for address in "$(primary_address)" 127.0.0.1; do
        [ -n "$address" ] || continue
        say "making it with --advertise-addr $address"
        if answer=$(dk swarm init --advertise-addr "$address" 2>&1); then return; fi
    done
    say "$answer"
    return 1
}

primary_address() {
    ! have ip || ip -4 route get 192.0.2.1 2>/dev/null | sed -n 's/.* src \([0-9.]*\).*/\1/p' | head -n 1
}

this_node() { docker_info '{{.Swarm.NodeID}}'; }

swarm_node_label() { dk node inspect --format "{{index .Spec.Labels \"$1\"}}" self 2>/dev/null || :; }

made_the_swarm() { [ "$(swarm_node_label "$SWARM_LABEL")" = make-up ]; }
