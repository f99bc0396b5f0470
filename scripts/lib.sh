# shellcheck shell=bash
# Shared by the scripts beside it: messages, root rights, and where the Docker Engine is.
# To be sourced, after `set -euo pipefail`. Sets ROOT, the top of the checkout.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
ME=${ME:-$(basename "$0" .sh)}

# Marks everything in Docker that `make up` made, so that `make down` finds it and nothing else.
MADE_BY_LABEL=org.watchbill.made-by
# Says from which file and variables a stack was deployed.
MADE_FROM_LABEL=org.watchbill.made-from
USUAL_SOCKET=/var/run/docker.sock

say() { printf '%s: %s\n' "$ME" "$*" >&2; }

# die MESSAGE [REMEDY]
die() {
    printf '%s: error: %s\n' "$ME" "$1" >&2
    [ $# -lt 2 ] || printf '%s: remedy: %s\n' "$ME" "$2" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# wait_for SECONDS COMMAND...: polls the command until it succeeds; 1 when the time is over.
wait_for() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.1
    done
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        die "this step needs root: $*" "run it as root, or install sudo"
    fi
}

# The endpoint that the docker client will use: DOCKER_HOST, else the current context's, else the usual socket.
docker_endpoint() {
    local endpoint=
    if [ -n "${DOCKER_HOST:-}" ]; then
        printf '%s\n' "$DOCKER_HOST"
        return
    fi
    if have docker; then
        endpoint=$(timeout 10 docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null) || endpoint=
    fi
    printf '%s\n' "${endpoint:-unix://$USUAL_SOCKET}"
}

is_usual_endpoint() {
    case $1 in unix:///var/run/docker.sock | unix:///run/docker.sock) ;; *) return 1 ;; esac
}

# The host where ports that the Engine publishes are found.
docker_published_host() {
    local rest
    case $1 in
    tcp://* | ssh://*)
        rest=${1#*://}
        rest=${rest#*@}
        rest=${rest%%/*}
        case $rest in '['*) printf '%s]\n' "${rest%%]*}" ;; *) printf '%s\n' "${rest%%:*}" ;; esac
        ;;
    *) printf '127.0.0.1\n' ;;
    esac
}

# dk ARGS...: the docker client, as root where the socket is not ours to open. VAR=VALUE words may stand first.
dk() {
    local vars=()
    while [[ ${1:-} == [A-Z]*=* ]]; do
        vars+=("$1")
        shift
    done
    if docker_socket_is_closed; then
        as_root env "DOCKER_HOST=$(docker_endpoint)" ${vars[@]+"${vars[@]}"} docker "$@"
    else
        env ${vars[@]+"${vars[@]}"} docker "$@"
    fi
}

docker_socket_is_closed() {
    local path
    path=$(docker_endpoint)
    [[ $path == unix://* ]] || return 1
    path=${path#unix://}
    [ -S "$path" ] && [ ! -w "$path" ]
}

# Whether an Engine answers. `docker info` exits 0 with some clients even when none does, so the answer itself is looked at.
docker_answers() {
    have docker && [ -n "$(docker_info '{{.ID}}{{.ServerVersion}}')" ]
}

# docker_info FORMAT
docker_info() { dk_timed 20 info --format "$1" 2>/dev/null || :; }

# dk_timed SECONDS ARGS...: for calls that a half-dead Engine would hold for ever.
dk_timed() {
    local seconds=$1
    shift
    if docker_socket_is_closed; then
        as_root env "DOCKER_HOST=$(docker_endpoint)" timeout "$seconds" docker "$@"
    else
        timeout "$seconds" docker "$@"
    fi
}

# A small record of what cannot carry a label: how the Engine was started. key=value lines.
STATE_FILE=${UP_STATE_FILE:-$ROOT/build/up.state}

state_get() {
    [ -f "$STATE_FILE" ] || return 0
    sed -n "s/^$1=//p" "$STATE_FILE" | tail -n 1
}

state_set() {
    mkdir -p "${STATE_FILE%/*}"
    { [ ! -f "$STATE_FILE" ] || grep -v "^$1=" "$STATE_FILE" || :; printf '%s=%s\n' "$1" "$2"; } >"$STATE_FILE.new"
    mv "$STATE_FILE.new" "$STATE_FILE"
}
