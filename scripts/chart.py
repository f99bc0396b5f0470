#!/usr/bin/env python3
"""What is generated from the chart: its README from the comments in values.yaml, and manifests/kubernetes from its templates.

    scripts/chart.py readme            prints charts/watchbill/README.md
    scripts/chart.py manifests HELM    prints manifests/kubernetes/watchbill.yaml; HELM is the program
    scripts/chart.py write HELM        writes both
"""

import os
import re
import subprocess
import sys

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CHART = os.path.join(ROOT, "charts", "watchbill")
MANIFEST_HEAD = """# Watchbill and its Prometheus for a whole cluster, without Helm. Rendered from charts/watchbill by scripts/chart.py.
#
#   kubectl create namespace monitoring
#   kubectl apply -f watchbill.yaml
"""
README_HEAD = """# The chart of Watchbill

<!-- Generated from the comments in values.yaml by scripts/chart.py. -->

Watchbill with its Prometheus in one pod, configured by annotations on Services, workloads and namespaces: [docs/kubernetes.md](../../docs/kubernetes.md).

    helm install watchbill charts/watchbill --namespace monitoring --create-namespace
    helm test watchbill --namespace monitoring

## Combinations

| for | values |
|---|---|
| one team's namespaces, without any right in the cluster | `rbac.namespaces={shop,pay}` |
| time series that outlive the pod | `persistence.enabled=true` |
| another Prometheus than the image's | `prometheus.mode=sidecar`, `prometheus.image=prom/prometheus:v3.5.0` |
| two of all, independent of each other | `replicas=2`, `podDisruptionBudget.enabled=true` |
| a Prometheus elsewhere in the cluster | `prometheus.mode=none`, `store.kind=kubernetes`, `store.namespace=published`, `reader.enabled=true` |
| the same, in another namespace than Watchbill | there `replicas=0`, `prometheus.mode=none`, `store.kind=kubernetes`, `reader.enabled=true`, `reader.store=published/watchbill` |
| tokens and TLS on Watchbill's API | `access.existingSecret=…`, `access.tlsSecret=…` |
| only certain pods may ask | `networkPolicy.enabled=true`, `networkPolicy.from=[…]` |
| Prometheus from outside | `ingress.enabled=true`, `ingress.hosts={prometheus.example.com}` |

Coming from the charts `docker-flow-monitor` and `docker-flow-swarm-listener`: `image.tag` and `resources` mean what they meant; `ingress.host` is called
`ingress.hosts` (and says so when it is still given).

## Values

| value | default | |
|---|---|---|
"""
README_TAIL = """
## Rights

| who | where | what | why |
|---|---|---|---|
| ClusterRole, or a Role in each of `rbac.namespaces` | | list, watch `services`, `endpointslices` | what is annotated, and where it answers |
| the same | | get, list, watch `pods` | workloads without a Service |
| the same | | create, patch `events` | tells of what is wrong; `events=false` takes it away |
| ClusterRole only | | list, watch `namespaces` | defaults for all that is in one |
| ClusterRole only | | list, watch `nodes` | labels of nodes; `rbac.nodes=false` takes it away |
| Role in the release's namespace | with `replicas` above 1 | create `leases`; get, update the one of the release | who writes |
| Role in the store's namespace | with `store.kind=kubernetes` | get, list, watch, create, delete `configmaps`; patch the head; get, list, create, delete `secrets` | the published configuration |
| Role in the store's namespace for the reader's account | with `reader.enabled` | list, watch the head; get `configmaps`, `secrets`; create `configmaps`, patch its own confirmation | reads what is published, says what runs |

A part of what is published is named after what it holds, and rights cannot be limited to names that nobody knows yet, or to labels: whoever publishes or reads may get every Secret
in the store's namespace whose name it knows. `store.namespace` gives the store one of its own.

Nothing else is asked for. A right that is missing costs what it is for, and `watchbill status` names it.
"""


def values():
    """[(path, default, comment)] in the file's order. A comment holds for the key below it; one of a whole mapping heads its first line."""
    with open(os.path.join(CHART, "values.yaml")) as f:
        lines = f.read().splitlines()
    data = yaml.safe_load("\n".join(lines))
    out, path, comment = [], [], []
    for line in lines:
        stripped = line.strip()
        if stripped.startswith("#"):
            comment.append(re.sub(r"^# ?(-- )?", "", stripped))
            continue
        match = re.match(r"^( *)([A-Za-z]+):(.*)$", line)
        if not match:
            continue
        depth = len(match[1]) // 2
        path = path[:depth] + [match[2]]
        value = data
        for key in path:
            value = value[key]
        whole = comment and isinstance(value, dict) and value
        if (not isinstance(value, dict) or not value or whole) and not any(path[:len(p)] == p for p in heads(out)):
            out.append((path, value, " ".join(comment)))
        comment = []
    return out


def heads(rows):
    """Mappings that are one row."""
    return [path for path, value, _ in rows if isinstance(value, dict) and value]


def readme():
    rows = []
    for path, value, comment in values():
        default = yaml.safe_dump(value, default_flow_style=True, width=1000).strip().removesuffix("...").strip()
        rows.append("| `%s` | `%s` | %s |" % (".".join(path), default.replace("|", "\\|"), comment.replace("|", "\\|")))
    return README_HEAD + "\n".join(rows) + "\n" + README_TAIL


def manifests(helm):
    text = subprocess.run([helm, "template", "watchbill", CHART, "--namespace", "monitoring", "--skip-tests"], check=True, capture_output=True, text=True).stdout
    return MANIFEST_HEAD + text


def main():
    what = sys.argv[1] if len(sys.argv) > 1 else ""
    if what == "readme":
        sys.stdout.write(readme())
    elif what == "manifests" and len(sys.argv) == 3:
        sys.stdout.write(manifests(sys.argv[2]))
    elif what == "write" and len(sys.argv) == 3:
        os.makedirs(os.path.join(ROOT, "manifests", "kubernetes"), exist_ok=True)
        for path, text in ((os.path.join(CHART, "README.md"), readme()), (os.path.join(ROOT, "manifests", "kubernetes", "watchbill.yaml"), manifests(sys.argv[2]))):
            with open(path, "w") as f:
                f.write(text)
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
