#!/usr/bin/env bash
# Puts the images that the tests need into Docker Engines, without any registry.
#
#   images.sh SOCKET...
#
#   watchbill:dev        as `make image` makes it
#   node-exporter:deb    Debian's node-exporter, on port 9100
#   alertmanager:deb     Debian's Alertmanager, on port 9093; where there is none the image is left out
#   demo:1               busybox: `httpd` on port 8080 with metrics at /cgi-bin/metrics, and any other command
#
# WATCHBILL_BINARY names another program to take for build/watchbill.
set -euo pipefail

ROOT=$(cd "$(dirname "$0")/../.." && pwd)
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

make_demo() {
    local applet
    "$ROOT/scripts/image-root.sh" "$ROOT/tests/support/images/demo.list" "$WORK/demo"
    for applet in $(busybox --list); do
        [ -e "$WORK/demo/bin/$applet" ] || ln -s busybox "$WORK/demo/bin/$applet"
    done
    tar -C "$WORK/demo" --numeric-owner --owner=0 --group=0 -cf "$WORK/demo.tar" .
}

make_alertmanager() {
    [ -x /usr/bin/prometheus-alertmanager ] || return 0
    "$ROOT/scripts/image-root.sh" "$ROOT/tests/support/images/alertmanager.list" "$WORK/alertmanager"
    tar -C "$WORK/alertmanager" --numeric-owner --owner=0 --group=0 -cf "$WORK/alertmanager.tar" .
}

# fill SOCKET
fill() {
    export DOCKER_HOST=unix://$1
    if docker image inspect demo:1 >/dev/null 2>&1; then
        printf 'images: demo:1 is there already\n' >&2
    else
        docker import --change 'CMD ["/bin/httpd", "-f", "-p", "8080", "-h", "/www"]' --change 'ENV PATH=/bin' \
            --change 'EXPOSE 8080' - demo:1 <"$WORK/demo.tar" >/dev/null
    fi
    if [ -f "$WORK/alertmanager.tar" ]; then
        docker import --change 'ENTRYPOINT ["/bin/alertmanager"]' --change 'EXPOSE 9093' --change 'USER 65534:65534' - \
            alertmanager:deb <"$WORK/alertmanager.tar" >/dev/null
    fi
    "$ROOT/scripts/image.sh" watchbill demo >/dev/null
    docker tag watchbill-demo:dev node-exporter:deb
}

[ $# -gt 0 ] || { sed -n '2,/^set -euo/{/^set/d; s/^# \{0,1\}//p}' "$0"; exit 2; }
make_demo
make_alertmanager
pids=()
for socket in "$@"; do
    fill "$socket" &
    pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid"; done
