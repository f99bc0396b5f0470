#!/usr/bin/env bash
# A real Docker Swarm for tests, of one node or several, on this machine and invisible to the rest of it.
#
#   swarm.sh check                      exit 0 if a Docker Engine can run here; else say why not, exit 77
#   swarm.sh up [MANAGERS [WORKERS]]    nodes n1, n2, ...; managers first; default: one manager alone
#   swarm.sh alone                      node n1 with a plain Engine, in no swarm
#   swarm.sh join-swarm                 makes a swarm of that one
#   swarm.sh down                       end and remove everything
#   swarm.sh d NODE ARGS...             docker ARGS on the node's Engine
#   swarm.sh in NODE COMMAND...         run COMMAND inside the node (its mounts, processes, network, host name)
#   swarm.sh stop NODE                  SIGTERM for the node's dockerd; its containers end
#   swarm.sh kill NODE                  SIGKILL for the node's dockerd alone
#   swarm.sh start NODE                 dockerd again, after stop or kill
#   swarm.sh power-off NODE             SIGKILL for all of the node at once
#   swarm.sh power-on NODE              boot it again: same address, same data
#   swarm.sh unplug|plug NODE           take its network cable out, put it back
#   swarm.sh sock NODE                  print the path of the Engine's socket
#   swarm.sh ns NODE                    print the network namespace's path, for `nsenter --net=PATH curl ...`
#   swarm.sh addr NODE                  print the node's address
#   swarm.sh log NODE                   print the path of dockerd's log
#
# Several run side by side if their directories differ. Environment:
#   WATCHBILL_SWARM_DIR            all files; default ${TMPDIR:-/tmp}/watchbill-swarm
#   WATCHBILL_SWARM_NS             prefix of the network namespaces' names; default: made from the directory
#   WATCHBILL_SWARM_NET            the nodes' network, three octets; default 10.250.0
#   WATCHBILL_SWARM_HEARTBEAT_MS   a dead node is noticed after two or three of these; default 1000
#   WATCHBILL_SWARM_DOCKERD_FLAGS  more flags for dockerd
#
# A node is a network namespace, wired to a bridge that lives in a namespace of its own, and a process tree with its own
# mounts and host name whose first process is docker-init: killing that one is a power failure and leaves nothing behind.
# /run is the node's own, and so /var/run/docker.sock. The network that the script is called from gets no link, no route
# and no rule, and no name leaves the node: it has no route out.
set -euo pipefail

# Where other distributions than Debian keep docker-init.
PATH=$PATH:/usr/sbin:/sbin:/usr/libexec/docker

DIR=${WATCHBILL_SWARM_DIR:-${TMPDIR:-/tmp}/watchbill-swarm}
NS=${WATCHBILL_SWARM_NS:-wb$(printf '%s' "$DIR" | cksum | cut -d ' ' -f 1)}
NET=${WATCHBILL_SWARM_NET:-10.250.0}
HEARTBEAT_MS=${WATCHBILL_SWARM_HEARTBEAT_MS:-1000}
SWITCH=$NS-sw

say() { printf 'swarm: %s\n' "$*" >&2; }

fail() {
    say "$*"
    exit 1
}

cannot() {
    say "no Docker Engine can run here: $*"
    exit 77
}

# wait_for SECONDS COMMAND...
wait_for() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || { say "timed out: $*"; return 1; }
        sleep 0.02
    done
}

# ---- what a node's things are called

node_number() {
    [[ $1 =~ ^n[1-9][0-9]*$ ]] || fail "'$1' is not a node: n1, n2, ..."
    printf '%s\n' "${1#n}"
}
node_sock() { printf '%s/%s/docker.sock\n' "$DIR" "$1"; }
node_netns() { printf '%s-n%s\n' "$NS" "$(node_number "$1")"; }
node_ns() { printf '/run/netns/%s\n' "$(node_netns "$1")"; }
node_addr() { printf '%s.%s\n' "$NET" "$((10 + $(node_number "$1")))"; }
node_log() { printf '%s/%s/log\n' "$DIR" "$1"; }
nodes() { find "$DIR" -mindepth 1 -maxdepth 1 -type d -name 'n*' -printf '%f\n' 2>/dev/null | sort -V; }

# The node's first process, as this machine numbers it.
node_init() { cat "$DIR/$1/init.pid" 2>/dev/null || fail "node $1 is off"; }

in_node() {
    local init
    init=$(node_init "$1")
    nsenter --target "$init" --mount --uts --net --pid "${@:2}"
}

engine() { docker --host "unix://$(node_sock "$1")" "${@:2}"; }

# api NODE PATH [CURL ARGS...]
api() { curl -sf -m 30 --unix-socket "$(node_sock "$1")" "${@:3}" "http://engine$2"; }

# ---- booting

wire() {
    local number netns
    number=$(node_number "$1")
    netns=$(node_netns "$1")
    ip netns add "$netns"
    ip -n "$netns" link set lo up
    ip -n "$SWITCH" link add "p$number" type veth peer name eth0 netns "$netns"
    ip -n "$SWITCH" link set "p$number" master br0 up
    ip -n "$netns" address add "$(node_addr "$1")/24" dev eth0
    ip -n "$netns" link set eth0 up
}

# What runs as the node's first process; arguments: its directory, its name.
# shellcheck disable=SC2016
INIT='set -e
hostname "$2"
mount -t tmpfs -o mode=755 tmpfs /run
resolv=$(readlink -m /etc/resolv.conf)
mkdir -p "${resolv%/*}"
[ -e "$resolv" ] || : >"$resolv"
mount --bind "$1/resolv.conf" "$resolv"
mount --bind "$1/hostname" /etc/hostname
: >"$1/booted"
exec docker-init -s -- sleep infinity'

boot() {
    local node=$1 home=$DIR/$1 parent
    printf '%s\n' "$node" >"$home/hostname"
    printf 'nameserver 127.0.0.1\n' >"$home/resolv.conf"
    rm -f "$home/booted" "$home/init.pid"
    # Not `ip netns exec`: that would mount another /sys, without the control groups.
    setsid nsenter --net="$(node_ns "$node")" unshare --uts --mount --pid --fork --kill-child --mount-proc \
        sh -c "$INIT" sh "$home" "$node" </dev/null >"$home/boot.log" 2>&1 &
    parent=$!
    wait_for 10 test -e "$home/booted" || fail "node $node did not boot: $(tail -n 3 "$home/boot.log")"
    pgrep -P "$parent" >"$home/init.pid"
    start_engine "$node"
}

start_engine() {
    local node=$1 init
    init=$(node_init "$node")
    rm -f "$(node_sock "$node")"
    in_node "$node" rm -f /run/docker.pid
    # shellcheck disable=SC2086
    setsid nsenter --target "$init" --mount --uts --net --pid \
        env -i PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" HOME=/root DOCKER_SERVICE_PREFER_OFFLINE_IMAGE=1 \
        dockerd --data-root "$DIR/$node/data" --exec-root /run/docker --pidfile /run/docker.pid \
        --host "unix://$(node_sock "$node")" --host unix:///var/run/docker.sock \
        --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$NS-$node" \
        ${WATCHBILL_SWARM_DOCKERD_FLAGS:-} </dev/null >>"$(node_log "$node")" 2>&1 &
    wait_for 30 answers_or_ended "$node" $!
    api "$node" /_ping >/dev/null || fail "dockerd of node $node does not answer: $(last_words "$node")"
}

answers_or_ended() { api "$1" /_ping || ! kill -0 "$2"; }

# Of a log that says much, the line that says why.
last_words() { grep -E 'failed to start daemon|level=fatal|unknown flag|[Ee]rror' "$(node_log "$1")" | tail -n 1; }

# signal_engine NODE SIGNAL: returns when the process is gone.
signal_engine() {
    local node=$1 pid
    pid=$(in_node "$node" cat /run/docker.pid) || fail "no dockerd runs on $node"
    in_node "$node" kill "-$2" "$pid"
    wait_for 60 engine_is_gone "$node" "$pid"
}

engine_is_gone() { ! in_node "$1" kill -0 "$2"; }

power_off() {
    local node=$1 init number
    number=$(node_number "$node")
    if init=$(cat "$DIR/$node/init.pid" 2>/dev/null); then
        kill -KILL "$init" 2>/dev/null || :
        wait_for 15 process_is_gone "$init" || :
    fi
    rm -f "$DIR/$node/init.pid"
    ip netns delete "$(node_netns "$node")" 2>/dev/null || :
    ip -n "$SWITCH" link delete "p$number" 2>/dev/null || :
}

process_is_gone() { ! kill -0 "$1"; }

# ---- commands

# boot_nodes TOTAL
boot_nodes() {
    local i pids=() pid
    [ "$(id -u)" -eq 0 ] || fail "needs root"
    [ ${#DIR} -le 80 ] || fail "the path $DIR is too long for a socket's address"
    [ -z "$(nodes)" ] || fail "a swarm is in $DIR already; swarm.sh down"
    mkdir -p "$DIR"
    ip netns add "$SWITCH"
    ip -n "$SWITCH" link set lo up
    ip -n "$SWITCH" link add br0 type bridge
    ip -n "$SWITCH" link set br0 up
    for ((i = 1; i <= $1; i++)); do
        mkdir "$DIR/n$i"
        wire "n$i"
        boot "n$i" &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid"; done
}

up() {
    local managers=${1:-1} workers=${2:-0} total i
    total=$((managers + workers))
    boot_nodes "$total"
    make_swarm
    for ((i = 2; i <= total; i++)); do
        if [ "$i" -le "$managers" ]; then join "n$i" manager; else join "n$i" worker; fi
    done
    wait_for 30 has_ready_nodes "$total" || fail "not all of the $total nodes became ready"
}

make_swarm() {
    api n1 /v1.40/swarm/init -X POST -H 'Content-Type: application/json' -o /dev/null --data "{
        \"ListenAddr\": \"0.0.0.0:2377\", \"AdvertiseAddr\": \"$(node_addr n1)\",
        \"Spec\": {\"Dispatcher\": {\"HeartbeatPeriod\": ${HEARTBEAT_MS}000000}}}" || fail "swarm init was refused: $(last_words n1)"
}

join() {
    engine "$1" swarm join --advertise-addr "$(node_addr "$1")" --token "$(engine n1 swarm join-token --quiet "$2")" \
        "$(node_addr n1):2377" >/dev/null
}

has_ready_nodes() { [ "$(api n1 /v1.40/nodes | grep -o '"State":"ready"' | wc -l)" -eq "$1" ]; }

down() {
    local node group
    for node in $(nodes); do power_off "$node"; done
    ip netns delete "$SWITCH" 2>/dev/null || :
    for group in /sys/fs/cgroup/"$NS"-n* /sys/fs/cgroup/*/"$NS"-n*; do
        if [ -d "$group" ]; then find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || :; fi
    done
    rm -rf "$DIR"
}

# The last word is a trial: what a kernel or a container forbids is not to be guessed from outside.
check() {
    local tool result reason
    [ "$(id -u)" -eq 0 ] || cannot "this needs root"
    for tool in docker dockerd docker-init containerd runc iptables ip nsenter unshare curl pgrep setsid; do
        command -v "$tool" >/dev/null 2>&1 || cannot "there is no program '$tool'"
    done
    DIR=$(mktemp -d "${TMPDIR:-/tmp}/watchbill-check.XXXXXX")
    NS=wbc$$
    SWITCH=$NS-sw
    trap down EXIT
    # In a subshell whose `set -e` no condition switches off.
    set +e
    (
        set -e
        up
        engine n1 network create --driver overlay --attachable probe >/dev/null
    ) 2>"$DIR.log"
    result=$?
    set -e
    reason=$(tail -n 1 "$DIR.log")
    rm -f "$DIR.log"
    [ "$result" -eq 0 ] || cannot "${reason#swarm: }"
}

usage() {
    sed -n '2,/^set -euo/{/^set/d; s/^# \{0,1\}//p}' "$0"
    exit 2
}

need_node() {
    [ $# -ge 1 ] || usage
    [ -d "$DIR/$1" ] || fail "there is no node '$1' in $DIR"
}

command=${1:-}
shift || usage
case $command in
check) check ;;
up) up "$@" ;;
alone) boot_nodes 1 ;;
join-swarm) make_swarm ;;
down) down ;;
*)
    need_node "$@"
    node=$1
    shift
    case $command in
    d) engine "$node" "$@" ;;
    in) in_node "$node" "$@" ;;
    stop) signal_engine "$node" TERM ;;
    kill) signal_engine "$node" KILL ;;
    start) start_engine "$node" ;;
    power-off) power_off "$node" ;;
    power-on) wire "$node" && boot "$node" ;;
    unplug) ip -n "$SWITCH" link set "p$(node_number "$node")" down ;;
    plug) ip -n "$SWITCH" link set "p$(node_number "$node")" up ;;
    sock) node_sock "$node" ;;
    ns) node_ns "$node" ;;
    addr) node_addr "$node" ;;
    log) node_log "$node" ;;
    *) usage ;;
    esac
    ;;
esac
