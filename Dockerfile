# Watchbill's image: the program, built from source, with Prometheus and promtool.
#
#   docker build -t watchbill .
#   docker build -t watchbill --build-arg PROMETHEUS_FROM=prom/prometheus:v2.53.4 .     the official Prometheus instead
#   docker build -t watchbill --build-arg BASE=scratch .                                no shell, nothing but the list
#
# What goes in stands in scripts/image.list, which `make image` reads as well: that one makes what BASE=scratch makes,
# without a registry.

ARG DEBIAN=debian:bookworm-slim
ARG BASE=${DEBIAN}
ARG PROMETHEUS_FROM=prometheus-of-debian

FROM ${DEBIAN} AS debian
COPY scripts/lib.sh scripts/deps.sh /src/scripts/
COPY scripts/packages /src/scripts/packages
RUN /src/scripts/deps.sh build run

# Two sources of Prometheus under one name; both have it in /bin.
FROM debian AS prometheus-of-debian
FROM ${PROMETHEUS_FROM} AS prometheus

FROM debian AS tree
COPY . /src
RUN /src/scripts/build.sh
COPY --from=prometheus /bin/prometheus /bin/promtool /usr/bin/
# The official Prometheus has its pages inside the program.
ARG PROMETHEUS_FROM=prometheus-of-debian
RUN [ "$PROMETHEUS_FROM" = prometheus-of-debian ] || rm -r /usr/share/prometheus/web; \
    /src/scripts/image-root.sh /src/scripts/image.list /tree

FROM ${BASE}
COPY --from=tree /tree /

# The rest is the same in scripts/image.sh.
ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    WATCHBILL_DATA_DIR=/data \
    WATCHBILL_LISTEN=0.0.0.0:8080 \
    WATCHBILL_PROMETHEUS=child \
    WATCHBILL_PROMETHEUS_LISTEN=0.0.0.0:9090 \
    ARG_STORAGE_TSDB_PATH=/prometheus
EXPOSE 8080 9090 9093
# As root, because the Docker Engine's socket belongs to root and a group whose number differs from host to host. Nothing
# else of root's rights is needed: run it with --cap-drop ALL, as manifests/swarm/monitor.yml does.
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=3 CMD ["/usr/bin/watchbill", "status", "--quiet"]
ENTRYPOINT ["/usr/bin/watchbill"]
CMD ["run"]
