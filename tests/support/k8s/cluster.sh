#!/usr/bin/env bash
# A real Kubernetes control plane on 127.0.0.1, made of the programs of build.sh: etcd, kube-apiserver (TLS, RBAC, token requests),
# kube-controller-manager, kube-scheduler, and kwok's fake nodes whose pods become Ready without running.
#
#   cluster.sh up                         start and wait until pods could run; a second `up` of a running cluster does nothing
#   cluster.sh down                       stop what `up` started (only that) and remove its folder
#   cluster.sh kubeconfig                 path of the administrator's kubeconfig
#   cluster.sh env                        KUBECONFIG=, PATH=, K8S_URL=, K8S_CA= and so on, for eval
#   cluster.sh status                     what runs, its pid and resident memory
#   cluster.sh token NS SA DIR [SECONDS [POD]]   the files of a pod's projected token volume in DIR (token, ca.crt, namespace, through
#                                         the kubelet's ..data link); again on the same DIR renews them as the kubelet does
#   cluster.sh compact                    compact etcd to its present revision (old resource versions are then gone)
#   cluster.sh stop|start|restart NAME    one program: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kwok
#
# K8S_BIN       build.sh's folder            (default ~/.cache/watchbill/k8s)
# K8S_DIR       this cluster's folder        (default /tmp/watchbill-k8s-UID); clusters in different folders run side by side
# K8S_NODES     fake nodes                   (default 2; 0: no kwok and no scheduler)
# K8S_POD_CIDR  fake pods' addresses         (default 10.0.0.1/24, kwok's own; loopback is refused in EndpointSlices)
# K8S_LEASE_S   node leases' seconds         (default 40; the controller calls a node dead after --node-monitor-grace-period, 50 s)
# K8S_POD_DELETE_MS  a deleted pod stays Terminating this long (default 0)
# K8S_APISERVER_FLAGS, K8S_KCM_FLAGS, K8S_ETCD_FLAGS   more flags, split at blanks
# K8S_ETCD      another etcd to run; K8S_KEEP=1: `down` leaves the folder; K8S_SAN: more names of the serving certificate, IP:… or DNS:…
set -euo pipefail
umask 077
bin=${K8S_BIN:-${XDG_CACHE_HOME:-$HOME/.cache}/watchbill/k8s}
dir=${K8S_DIR:-${TMPDIR:-/tmp}/watchbill-k8s-$(id -u)}
order=(etcd kube-apiserver kube-controller-manager kube-scheduler kwok)

die() { echo "cluster.sh: $*" >&2; exit 1; }
born() { local s; s=$(cat "/proc/$1/stat" 2>/dev/null) || return 1; s=${s##*) }; set -- $s; echo "${20}"; } # start time: a pid used again is not ours
alive() { # NAME: its pid, if it is still the process that we started
  local pid start
  [ -r "$dir/run/$1.pid" ] && read -r pid start < "$dir/run/$1.pid" || return 1
  [ "$(born "$pid")" = "$start" ] || return 1
  case $(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null) in Z*|"") return 1 ;; esac
  echo "$pid"
}
spawn() { # NAME PROGRAM ARG…
  local name=$1; shift
  [ -x "$1" ] || die "no program $1: run build.sh first"
  setsid nohup "$@" >> "$dir/log/$name.log" 2>&1 < /dev/null &
  echo "$! $(born $!)" > "$dir/run/$name.pid"
}
halt() { # NAME
  local pid i
  pid=$(alive "$1") || { rm -f "$dir/run/$1.pid"; return 0; }
  kill -TERM "$pid" 2>/dev/null || true
  # (the API server waits a minute for watches to end: 2 s, then it dies as in a crash)
  for i in $(seq "$([ "$1" = kube-apiserver ] && echo 20 || echo 100)"); do alive "$1" > /dev/null || break; sleep 0.1; done
  if alive "$1" > /dev/null; then kill -KILL "$pid" 2>/dev/null || true; fi
  rm -f "$dir/run/$1.pid"
}
until_ok() { # NAME SECONDS COMMAND…: while NAME runs
  local name=$1 end=$((SECONDS + $2)); shift 2
  until "$@" > /dev/null 2>&1; do
    alive "$name" > /dev/null || { tail -n 15 "$dir/log/$name.log" >&2; die "$name ended; its log: $dir/log/$name.log"; }
    [ "$SECONDS" -lt "$end" ] || { tail -n 15 "$dir/log/$name.log" >&2; die "$name not ready in time; its log: $dir/log/$name.log"; }
    sleep 0.1
  done
}
kc() { KUBECACHEDIR=$dir/kubecache "$bin/bin/kubectl" --kubeconfig "$dir/admin.kubeconfig" "$@"; }
has_controllers() { [ -x "$bin/bin/kube-controller-manager" ]; }
busy() { (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }

certs() {
  local p=$dir/pki ext
  [ ! -e "$p/done" ] || return 0
  mkdir -p "$p"
  ( cd "$p"
    key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }
    leaf() { # NAME SUBJECT EXTENSIONS
      key "$1"
      openssl req -new -key "$1.key" -subj "$2" -out "$1.csr"
      openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -set_serial "0x$(openssl rand -hex 8)" -days 365 -sha256 \
        -extfile <(printf 'basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\n%b\n' "$3") -out "$1.crt"
      rm "$1.csr"
    }
    key ca
    openssl req -x509 -new -key ca.key -subj /CN=watchbill-k8s-ca -days 365 -sha256 -out ca.crt \
      -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
    ext="extendedKeyUsage=serverAuth\nsubjectAltName=IP:127.0.0.1,IP:::1,IP:10.96.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default"
    leaf apiserver /CN=kube-apiserver "$ext,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local${K8S_SAN:+,$K8S_SAN}"
    leaf admin /O=system:masters/CN=watchbill-k8s-admin extendedKeyUsage=clientAuth
    leaf kcm /CN=system:kube-controller-manager extendedKeyUsage=clientAuth
    leaf sched /CN=system:kube-scheduler extendedKeyUsage=clientAuth
    key sa
    openssl ec -in sa.key -pubout -out sa.pub
    touch done
  ) 2> "$dir/log/openssl.log" || { cat "$dir/log/openssl.log" >&2; die "no certificates"; }
}
kubeconfig() { # FILE CERTIFICATE
  local b="base64 -w0"
  cat > "$1" <<EOF
apiVersion: v1
kind: Config
clusters:
- name: watchbill-k8s
  cluster: {server: "https://127.0.0.1:$port", certificate-authority-data: $($b "$dir/pki/ca.crt")}
users:
- name: $2
  user: {client-certificate-data: $($b "$dir/pki/$2.crt"), client-key-data: $($b "$dir/pki/$2.key")}
contexts:
- name: watchbill-k8s
  context: {cluster: watchbill-k8s, user: $2}
current-context: watchbill-k8s
EOF
}

start_etcd() {
  # no fsync: a lab's data need not outlive the machine
  local fsync=--unsafe-no-fsync; case $("${K8S_ETCD:-$bin/bin/etcd}" --version) in *"ersion: 3.4."*) fsync= ;; esac
  spawn etcd "${K8S_ETCD:-$bin/bin/etcd}" --name watchbill-k8s --data-dir "$dir/etcd" $fsync --logger zap --log-level warn \
    --listen-client-urls "http://127.0.0.1:$((port + 1))" --advertise-client-urls "http://127.0.0.1:$((port + 1))" \
    --listen-peer-urls "http://127.0.0.1:$((port + 2))" --initial-advertise-peer-urls "http://127.0.0.1:$((port + 2))" \
    --initial-cluster "watchbill-k8s=http://127.0.0.1:$((port + 2))" --quota-backend-bytes 4294967296 ${K8S_ETCD_FLAGS:-}
  until_ok etcd 30 curl -fsS "http://127.0.0.1:$((port + 1))/health"
}
start_kube-apiserver() {
  # without the controllers nobody makes the service accounts that pods would have to have
  local admission=; has_controllers || admission="--disable-admission-plugins ServiceAccount"
  # No address of this machine may stand in the Endpoints of default/kubernetes (loopback is not valid there), so no reconciler.
  spawn kube-apiserver "$bin/bin/kube-apiserver" --etcd-servers "http://127.0.0.1:$((port + 1))" \
    --bind-address 127.0.0.1 --advertise-address 127.0.0.1 --secure-port "$port" --endpoint-reconciler-type none \
    --service-cluster-ip-range 10.96.0.0/12 --authorization-mode Node,RBAC --allow-privileged=true --profiling=false \
    --tls-cert-file "$dir/pki/apiserver.crt" --tls-private-key-file "$dir/pki/apiserver.key" --client-ca-file "$dir/pki/ca.crt" \
    --service-account-issuer https://kubernetes.default.svc.cluster.local \
    --service-account-key-file "$dir/pki/sa.pub" --service-account-signing-key-file "$dir/pki/sa.key" \
    --cert-dir "$dir/pki/made" $admission ${K8S_APISERVER_FLAGS:-}
  until_ok kube-apiserver 120 curl -fsS --cacert "$dir/pki/ca.crt" "https://127.0.0.1:$port/readyz"
}
start_kube-controller-manager() {
  spawn kube-controller-manager "$bin/bin/kube-controller-manager" --kubeconfig "$dir/kcm.kubeconfig" --leader-elect=false \
    --use-service-account-credentials --service-account-private-key-file "$dir/pki/sa.key" --root-ca-file "$dir/pki/ca.crt" \
    --secure-port 0 --profiling=false --kube-api-qps 500 --kube-api-burst 1000 \
    --concurrent-service-endpoint-syncs 10 --concurrent-deployment-syncs 10 --concurrent-replicaset-syncs 10 ${K8S_KCM_FLAGS:-}
}
start_kube-scheduler() {
  cat > "$dir/sched.yaml" <<EOF
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection: {kubeconfig: "$dir/sched.kubeconfig", qps: 500, burst: 1000}
leaderElection: {leaderElect: false}
EOF
  spawn kube-scheduler "$bin/bin/kube-scheduler" --config "$dir/sched.yaml" --secure-port 0 --profiling=false
}
start_kwok() {
  local f c=()
  mkdir -p "$dir/kwok"; cp "$bin"/kwok/*.yaml "$dir/kwok/"
  if [ "${K8S_POD_DELETE_MS:-0}" != 0 ]; then
    printf '  delay:\n    durationMilliseconds: %d\n' "$K8S_POD_DELETE_MS" >> "$dir/kwok/pod-delete.yaml"
  fi
  for f in "$dir"/kwok/*.yaml; do c+=(--config "$f"); done
  spawn kwok "$bin/bin/kwok" --kubeconfig "$dir/admin.kubeconfig" --manage-all-nodes --cidr "${K8S_POD_CIDR:-10.0.0.1/24}" \
    --node-ip 10.255.0.1 --node-lease-duration-seconds "${K8S_LEASE_S:-40}" "${c[@]}"
}
nodes() {
  local i
  for i in $(seq 0 $((${K8S_NODES:-2} - 1))); do
    printf -- '---\n{apiVersion: v1, kind: Node, metadata: {name: kwok-%d, labels: {kubernetes.io/hostname: kwok-%d, type: kwok}}}\n' "$i" "$i"
  done | kc apply -f - > /dev/null
}

up() {
  local p t0 n
  if [ -s "$dir/port" ] && alive kube-apiserver > /dev/null; then echo "watchbill-k8s: is up, $dir"; return 0; fi
  command -v openssl > /dev/null && command -v curl > /dev/null || die "needs openssl and curl"
  t0=$(date +%s%N)
  down
  mkdir -p "$dir/run" "$dir/log"
  exec 9> "${TMPDIR:-/tmp}/.watchbill-k8s-ports.$(id -u)"; flock 9 # clusters started together do not pick the same ports
  port=
  for p in $(seq 26443 10 27433); do
    if ! busy "$p" && ! busy $((p + 1)) && ! busy $((p + 2)); then port=$p; break; fi
  done
  [ -n "$port" ] || die "no free ports"
  echo "$port" > "$dir/port"
  trap 'trap - ERR EXIT; K8S_KEEP=1 down; echo "cluster.sh: not up; logs in $dir/log" >&2; exit 1' ERR EXIT
  certs
  kubeconfig "$dir/admin.kubeconfig" admin; kubeconfig "$dir/kcm.kubeconfig" kcm; kubeconfig "$dir/sched.kubeconfig" sched
  start_etcd 9>&-
  start_kube-apiserver 9>&-
  flock -u 9; exec 9>&-
  ! has_controllers || start_kube-controller-manager
  if [ "${K8S_NODES:-2}" != 0 ]; then start_kube-scheduler; start_kwok; nodes; fi
  ! has_controllers || until_ok kube-controller-manager 60 kc -n default get serviceaccount/default configmap/kube-root-ca.crt
  if [ "${K8S_NODES:-2}" != 0 ]; then
    until_ok kwok 60 kc wait --for condition=Ready node --all --timeout 30s
    # the node controller takes its not-ready taint away a moment later; pods wait for that
    n() { [ -z "$(kc get node -o 'jsonpath={.items[*].spec.taints}')" ]; }
    until_ok kube-controller-manager 60 n
  fi
  trap - ERR EXIT
  echo "watchbill-k8s: up in $((($(date +%s%N) - t0) / 1000000)) ms, $(kc version -o json | sed -n 's/.*"gitVersion": "\(.*\)".*/\1/p' | tail -1) at https://127.0.0.1:$port"
  echo "export KUBECONFIG=$dir/admin.kubeconfig"
}
down() {
  local i
  for ((i = ${#order[@]} - 1; i >= 0; i--)); do [ ! -e "$dir/run/${order[i]}.pid" ] || halt "${order[i]}"; done
  # only a folder that `up` made is removed
  if [ -e "$dir/port" ] && [ -z "${K8S_KEEP:-}" ]; then rm -rf "$dir"; fi
}
token() { # NS SA DIR SECONDS POD
  local ns=$1 sa=$2 to=$3 ttl=${4:-3600} pod=${5:-} now old jwt f
  local bound=(); [ -z "$pod" ] || bound=(--bound-object-kind Pod --bound-object-name "$pod")
  jwt=$(kc -n "$ns" create token "$sa" --duration "${ttl}s" "${bound[@]}") # 600 s at least; POD must run as SA
  mkdir -p "$to"; now=..$(date -u +%Y_%m_%d_%H_%M_%S.%N); old=$(readlink "$to/..data" || true)
  mkdir "$to/$now"
  printf %s "$jwt" > "$to/$now/token"
  cp "$dir/pki/ca.crt" "$to/$now/ca.crt"; printf %s "$ns" > "$to/$now/namespace"
  ln -s "$now" "$to/..data_tmp"; mv -T "$to/..data_tmp" "$to/..data"
  for f in token ca.crt namespace; do [ -L "$to/$f" ] || ln -s "..data/$f" "$to/$f"; done
  [ -z "$old" ] || rm -rf "${to:?}/$old"
}

cmd=${1:-}; [ $# -eq 0 ] || shift
port=$(cat "$dir/port" 2>/dev/null || true)
known() { case " ${order[*]} " in *" ${1:-} "*) ;; *) die "no program '${1:-}'" ;; esac; [ -n "$port" ] || die "not up"; }
case $cmd in
  up) up ;;
  down) down ;;
  kubeconfig) echo "$dir/admin.kubeconfig" ;;
  env)
    [ -n "$port" ] || die "not up"
    echo "export KUBECONFIG=$dir/admin.kubeconfig PATH=$bin/bin:\$PATH K8S_URL=https://127.0.0.1:$port K8S_CA=$dir/pki/ca.crt" \
      "K8S_ETCD_URL=http://127.0.0.1:$((port + 1)) KUBECACHEDIR=$dir/kubecache KUBERNETES_SERVICE_HOST=127.0.0.1 KUBERNETES_SERVICE_PORT=$port" ;;
  status)
    for n in "${order[@]}"; do
      if pid=$(alive "$n"); then echo "$n pid $pid rss $(awk '/VmRSS/ {print int($2 / 1024)}' "/proc/$pid/status") MiB"; else echo "$n -"; fi
    done ;;
  token) [ $# -ge 3 ] || die "token NS SA DIR [SECONDS [POD]]"; [ -n "$port" ] || die "not up"; token "$@" ;;
  compact)
    [ -n "$port" ] || die "not up"
    e=http://127.0.0.1:$((port + 1))
    rev=$(curl -fsS "$e/v3/kv/range" -d '{"key":"AA==","count_only":true}' | sed -n 's/.*"revision":"\([0-9]*\)".*/\1/p')
    curl -fsS "$e/v3/kv/compaction" -d "{\"revision\":\"$rev\",\"physical\":true}" > /dev/null && echo "compacted to $rev" ;;
  stop) known "${1:-}"; halt "$1" ;;
  start) known "${1:-}"; alive "$1" > /dev/null || "start_$1" ;;
  restart) known "${1:-}"; halt "$1"; "start_$1" ;;
  *) sed -n '2,/^set -e/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 2 ;;
esac
