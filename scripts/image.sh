#!/usr/bin/env bash
# Makes images without any registry: from the built binary and from programs that Debian's packages put on this machine.
#
#   image.sh [watchbill|demo]...        default: watchbill
#
# Imports NAME:ID and tags it NAME:dev, where ID comes from the contents: the same contents are not imported again, and a
# service that names NAME:ID changes only when they do. Prints NAME:ID on standard output. The Engine is the docker
# client's (DOCKER_HOST, current context).
#
# WATCHBILL_BINARY names another program to take for build/watchbill; IMAGE_MADE_BY what the image's label says.
set -euo pipefail
ME=image
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

WORK=

# The same as the last lines of the Dockerfile.
watchbill_config=(
    'ENTRYPOINT ["/usr/bin/watchbill"]'
    'CMD ["run"]'
    'ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin WATCHBILL_DATA_DIR=/data WATCHBILL_LISTEN=0.0.0.0:8080 WATCHBILL_PROMETHEUS=child WATCHBILL_PROMETHEUS_LISTEN=0.0.0.0:9090 ARG_STORAGE_TSDB_PATH=/prometheus'
    'EXPOSE 8080 9090 9093'
    'HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=3 CMD ["/usr/bin/watchbill", "status", "--quiet"]'
)

demo_config=(
    'ENTRYPOINT ["/bin/node_exporter"]'
    'ENV PATH=/bin'
    'EXPOSE 9100'
    'USER 65534:65534'
)

# image NAME LIST CONFIG...
image() {
    local name=$1 list=$2 id ref line changes=()
    shift 2
    "$ROOT/scripts/image-root.sh" "$list" "$WORK/$name"
    tar -C "$WORK/$name" --sort=name --mtime=@0 --numeric-owner --owner=0 --group=0 --format=gnu -cf "$WORK/$name.tar" .
    id=$({ printf '%s\n' "$@" && cat "$WORK/$name.tar"; } | sha256sum | cut -c 1-12)
    ref=$name:$id
    if dk image inspect "$ref" >/dev/null 2>&1; then
        say "$ref is there already"
    else
        say "importing $ref ($(du -m "$WORK/$name.tar" | cut -f 1) MB)"
        for line in "$@" "LABEL $MADE_BY_LABEL=${IMAGE_MADE_BY:-make-image} org.opencontainers.image.title=$name"; do
            changes+=(--change "$line")
        done
        dk import "${changes[@]}" - "$ref" <"$WORK/$name.tar" >/dev/null
    fi
    dk tag "$ref" "$name:dev"
    rm -rf "${WORK:?}/$name" "$WORK/$name.tar"
    printf '%s\n' "$ref"
}

main() {
    local what
    [ $# -gt 0 ] || set -- watchbill
    have docker || die "there is no docker client here" "make up installs one, or: scripts/deps.sh engine"
    docker_answers || die "no Docker Engine answers at $(docker_endpoint)" "start it, or: make up"
    "$ROOT/scripts/deps.sh" run
    WORK=$(mktemp -d)
    trap 'rm -rf "$WORK"' EXIT
    for what in "$@"; do
        case $what in
        watchbill) image watchbill "$ROOT/scripts/image.list" "${watchbill_config[@]}" ;;
        demo) image watchbill-demo "$ROOT/scripts/image-demo.list" "${demo_config[@]}" ;;
        *) die "unknown image '$what'" "one of: watchbill demo" ;;
        esac
    done
}

main "$@"
