#!/usr/bin/env bash
# Builds a real Kubernetes control plane, kubectl, Helm 3 and kwok from Go modules pinned in go.mod/go.sum beside this file.
#
#   build.sh [DIR]          into DIR (default ~/.cache/watchbill/k8s); does nothing for what is already there
#   K8S_ONLY="helm kubectl" build.sh     only these
#   K8S_TMPCACHE=1 build.sh              compile in a cache of its own, dropped at the end (GOCACHE grows by 3.3 GB otherwise)
#   K8S_JOBS=2                           go build -p
#
# Needs: any Go (scripts/go.sh fetches one that is new enough for go.mod), a Go module proxy, bash, coreutils, flock. No root, no cgo.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/watchbill/k8s}
jobs=${K8S_JOBS:-2}
mkdir -p "$out/bin" "$out/stamps" "$out/kwok"
out=$(cd "$out" && pwd)
exec 9>"$out/.lock"; flock 9

packages=(
  etcd=go.etcd.io/etcd/server/v3
  kube-apiserver=k8s.io/kubernetes/cmd/kube-apiserver
  kube-controller-manager=k8s.io/kubernetes/cmd/kube-controller-manager
  kube-scheduler=k8s.io/kubernetes/cmd/kube-scheduler
  kubectl=k8s.io/kubernetes/cmd/kubectl
  helm=helm.sh/helm/v3/cmd/helm
  kwok=sigs.k8s.io/kwok/cmd/kwok
)
only=" ${K8S_ONLY:-etcd kube-apiserver kube-controller-manager kube-scheduler kubectl helm kwok} "
for name in $only; do
  case " ${packages[*]%%=*} " in *" $name "*) ;; *) echo "build.sh: no program '$name'" >&2; exit 2 ;; esac
done

export CGO_ENABLED=0 GOTOOLCHAIN=local GOWORK=off GOFLAGS="-buildvcs=false -mod=readonly"
cd "$here"
go=$("$here/../../../scripts/go.sh" "$(awk '$1 == "go" { print $2; exit }' go.mod)")
PATH=${go%/*}:$PATH
pin() { awk -v m="$1" '$1 == m { print $2; exit } $1 == "require" && $2 == m { print $3; exit }' go.mod; }
kube=$(pin k8s.io/kubernetes) helm=$(pin helm.sh/helm/v3)
major=${kube#v}; major=${major%%.*}; minor=${kube#v*.}; minor=${minor%%.*}

# Without these the programs say v0.0.0-master (and helm template takes the cluster for 1.20).
x=
for p in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  x+=" -X $p.gitVersion=$kube -X $p.gitMajor=$major -X $p.gitMinor=$minor -X $p.gitTreeState=archive"
done
ldflags() {
  case $1 in
    helm) echo "-s -w -X helm.sh/helm/v3/internal/version.version=$helm" \
      "-X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor=$major -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor=$minor" \
      "-X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=$major -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=$minor" ;;
    kube*) echo "-s -w$x" ;;
    *) echo "-s -w" ;;
  esac
}

want=$(cat go.mod go.sum | sha256sum | cut -d' ' -f1)
tmp=$(mktemp -d "$out/.tmp.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
if [ -n "${K8S_TMPCACHE:-}" ]; then export GOCACHE=$tmp/gocache; fi

for entry in "${packages[@]}"; do
  name=${entry%%=*} pkg=${entry#*=}
  case $only in *" $name "*) ;; *) continue ;; esac
  if [ -x "$out/bin/$name" ] && [ "$(cat "$out/stamps/$name" 2>/dev/null)" = "$want" ]; then
    echo "k8s: $name is there"
    continue
  fi
  start=$SECONDS
  nice -n 5 go build -p "$jobs" -trimpath -ldflags "$(ldflags "$name")" -o "$tmp/$name" "$pkg"
  if [ "$name" = kwok ]; then # kwok has no built-in behaviour: its stages are files of its module
    dir=$(go list -m -f '{{.Dir}}' sigs.k8s.io/kwok)/kustomize/stage
    for s in node/fast/node-initialize node/heartbeat-with-lease/node-heartbeat-with-lease pod/fast/pod-ready pod/fast/pod-complete pod/fast/pod-delete; do
      install -m 644 "$dir/$s.yaml" "$out/kwok/${s##*/}.yaml"
    done
  fi
  mv "$tmp/$name" "$out/bin/$name"
  echo "$want" > "$out/stamps/$name"
  echo "k8s: built $name in $((SECONDS - start)) s, $(($(stat -c %s "$out/bin/$name") / 1000000)) MB"
done
echo "k8s: Kubernetes $kube, Helm $helm in $out/bin"
