# shellcheck shell=bash
# For up.sh, demo.sh and down.sh: stacks, their network, and waiting until they do what they are for. To be sourced after
# lib.sh and engine.sh.

STACK=${STACK:-monitor}
NETWORK=monitor
MONITOR_PORT=${MONITOR_PORT:-8080}
PROMETHEUS_PORT=${PROMETHEUS_PORT:-9090}
export MONITOR_PORT PROMETHEUS_PORT

watchbill_address() { printf '%s:%s\n' "$(docker_published_host "$(docker_endpoint)")" "$MONITOR_PORT"; }
watchbill_url() { printf 'http://%s\n' "$(watchbill_address)"; }
prometheus_url() { printf 'http://%s:%s\n' "$(docker_published_host "$(docker_endpoint)")" "$PROMETHEUS_PORT"; }

# How the command line finds a Watchbill that does not listen where it does by default.
watchbill_command() {
    local address
    address=$(watchbill_address)
    if [ "$address" = 127.0.0.1:8080 ]; then printf 'build/watchbill\n'; else printf 'WATCHBILL_LISTEN=%s build/watchbill\n' "$address"; fi
}

has_service() { dk service inspect "$1" >/dev/null 2>&1; }

ensure_network() {
    local found
    found=$(dk network inspect --format '{{.Driver}} {{.Scope}}' "$NETWORK" 2>/dev/null) || found=
    case $found in
    '')
        say "creating the overlay network $NETWORK"
        dk network create --driver overlay --attachable --label "$MADE_BY_LABEL=make-up" "$NETWORK" >/dev/null
        ;;
    'overlay swarm') ;;
    *) die "a network named $NETWORK exists already, and is not an overlay network ($found)" "docker network rm $NETWORK" ;;
    esac
}

# stack_services STACK [FILTER...]: names of its services.
stack_services() {
    local stack=$1 filter filters=()
    shift
    for filter in "$@"; do filters+=(--filter "$filter"); done
    dk service ls --filter "label=com.docker.stack.namespace=$stack" ${filters[@]+"${filters[@]}"} --format '{{.Name}}'
}

# refuse_foreign_stack STACK REMEDY: somebody's own stack of this name is not ours to change.
refuse_foreign_stack() {
    local services
    services=$(stack_services "$1")
    if [ -n "$services" ] && [ -z "$(stack_services "$1" "label=$MADE_BY_LABEL=make-up")" ]; then
        die "a stack named $1 exists already that was not made here; its services: $(tr '\n' ' ' <<<"$services")" "$2"
    fi
}

refuse_taken_ports() {
    local host name port
    host=$(docker_published_host "$(docker_endpoint)")
    if has_service "${STACK}_monitor"; then return; fi
    for name in MONITOR_PORT PROMETHEUS_PORT; do
        port=${!name}
        if (exec 3<>"/dev/tcp/$host/$port") 2>/dev/null; then
            die "something listens on port $port of $host already" "stop it, or: make up $name=$((port + 10000))"
        fi
    done
}

# The image exists on this node only, so where there are others the tasks have to be kept here.
placement() {
    local nodes
    nodes=$(docker_info '{{.Swarm.Nodes}}')
    if [ "$nodes" = 1 ]; then printf 'node.role == manager\n'; else printf 'node.id == %s\n' "$(this_node)"; fi
}

# deploy_stack STACK SERVICE IMAGE FILE [VAR=VALUE...]: SERVICE is the stack's only one. If it runs already and came from
# the same file and variables it is left alone, with the labels that somebody may have given it since.
deploy_stack() {
    local stack=$1 service=$2 image=$3 file=$4 detach=() vars digest
    shift 4
    vars=("MONITOR_MADE_BY=make-up" "MONITOR_PLACEMENT=$(placement)" "MONITOR_PORT=$MONITOR_PORT" "PROMETHEUS_PORT=$PROMETHEUS_PORT"
        "DOCKER_SOCK=$(engine_socket)" "$@")
    digest=$({ printf '%s\n' "${vars[@]}" && cat "$file"; } | sha256sum | cut -c 1-12)
    if [ "$(service_label "$service" "$MADE_FROM_LABEL")" = "$digest" ] && runs_image "$service" "$image"; then
        say "the stack $stack is as it should be"
        return
    fi
    # Newer clients ask for a word on this, older ones do not know it.
    if docker stack deploy --help 2>/dev/null | grep -q -- --detach; then detach=(--detach=true); fi
    say "deploying the stack $stack"
    dk "${vars[@]}" "MONITOR_MADE_FROM=$digest" \
        stack deploy ${detach[@]+"${detach[@]}"} --resolve-image never --compose-file "$file" "$stack" >/dev/null
}

service_label() { dk service inspect --format "{{index .Spec.Labels \"$2\"}}" "$1" 2>/dev/null || :; }

# The socket as the tasks see it: on the Engine's own host, which need not be this one.
engine_socket() {
    local path
    path=$(docker_endpoint)
    path=${path#unix://}
    if [ -n "${DOCKER_SOCK:-}" ]; then
        printf '%s\n' "$DOCKER_SOCK"
    elif [[ $path == /* ]] && [ -S "$path" ] && [ ! -S "$USUAL_SOCKET" ]; then
        printf '%s\n' "$path"
    else
        printf '%s\n' "$USUAL_SOCKET"
    fi
}

# wait_for_service SERVICE IMAGE: until a task of that image runs, which with a health check means that it is healthy.
wait_for_service() {
    say "waiting until $1 runs"
    wait_for 90 runs_image "$1" "$2" || { show_tasks "$1"; die "$1 does not run" "docker service logs $1"; }
}

runs_image() {
    dk service ps --no-trunc --filter desired-state=running --format '{{.Image}} {{.CurrentState}}' "$1" 2>/dev/null |
        grep -q "^$2 Running"
}

show_tasks() {
    dk service ps --no-trunc --format '{{.Name}}: {{.CurrentState}} {{.Error}}' "$1" 2>/dev/null | head -n 5 >&2 || :
    dk_timed 10 service logs --tail 10 "$1" >&2 || :
}

# wait_for_address WHAT URL SERVICE
wait_for_address() {
    say "waiting until $1 is ready: $2"
    wait_for 60 curl -sf -m 5 -o /dev/null "$2" || { show_tasks "$3"; die "$1 does not answer at $2" "docker service logs $3"; }
}

# target_is_up JOB
target_is_up() {
    curl -sf -m 5 -G --data-urlencode "query=up{job=\"$1\"}" "$(prometheus_url)/api/v1/query" | grep -q '"value":\[[0-9.]*,"1"\]'
}

# prometheus_page NAME: its address; Debian's build shows the older pages only.
prometheus_page() {
    local url
    url=$(prometheus_url)
    if curl -sf -m 5 -o /dev/null "$url/$1"; then printf '%s/%s\n' "$url" "$1"; else printf '%s/classic/%s\n' "$url" "$1"; fi
}
