{{- define "watchbill.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "watchbill.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "watchbill.name" .) .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "watchbill.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "watchbill.selector" -}}
app.kubernetes.io/name: {{ include "watchbill.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "watchbill.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{ include "watchbill.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "watchbill.account" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "watchbill.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "watchbill.image" -}}
{{- printf "%s:%v" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}

{{/* Whether something is written to the cluster that only one of several may write. */}}
{{- define "watchbill.elects" -}}
{{- if gt (int .Values.replicas) 1 }}yes{{ end }}
{{- end }}

{{/* The store that is published, and the one that readers follow: NAMESPACE/NAME. */}}
{{- define "watchbill.store" -}}
{{- printf "%s/%s" (default .Release.Namespace .Values.store.namespace) (include "watchbill.fullname" .) }}
{{- end }}

{{- define "watchbill.followed" -}}
{{- if contains "/" .Values.reader.store }}
{{- .Values.reader.store }}
{{- else }}
{{- ternary (printf "%s/%s" .Release.Namespace .Values.reader.store) (include "watchbill.store" .) (ne .Values.reader.store "") }}
{{- end }}
{{- end }}

{{- define "watchbill.readerSelector" -}}
app.kubernetes.io/name: {{ include "watchbill.name" . }}-reader
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "watchbill.readerLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{ include "watchbill.readerSelector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* Values of the original charts that mean something else here. */}}
{{- define "watchbill.refuse" -}}
{{- if hasKey .Values.ingress "host" }}
{{- fail "ingress.host is called ingress.hosts here, and needs ingress.enabled=true: --set ingress.enabled=true,ingress.hosts={monitor.example.com}" }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) }}
{{- fail "ingress.enabled needs ingress.hosts" }}
{{- end }}
{{- if hasKey .Values "replicaCount" }}
{{- fail "replicaCount is called replicas here" }}
{{- end }}
{{- if and (eq .Values.prometheus.mode "none") (eq .Values.store.kind "directory") }}
{{- fail "prometheus.mode=none leaves nobody who reads the configuration: set store.kind=kubernetes or etcd, or prometheus.mode=child" }}
{{- end }}
{{- if and .Values.persistence.existingClaim (gt (int .Values.replicas) 1) }}
{{- fail "persistence.existingClaim is for one replica; leave it out and each gets a claim of its own" }}
{{- end }}
{{- if and .Values.reader.enabled (ne .Values.store.kind "kubernetes") (not .Values.reader.store) }}
{{- fail "reader.enabled follows what is published as ConfigMaps and Secrets: set store.kind=kubernetes, or reader.store to one that is there" }}
{{- end }}
{{- if and .Values.store.namespace (ne .Values.store.kind "kubernetes") }}
{{- fail "store.namespace is for store.kind=kubernetes" }}
{{- end }}
{{- range $key := list "sources" "data-dir" "listen" "prometheus" "prometheus-listen" "kube-namespaces" "kube-lease" "kube-events" "kube-store" "store" }}
{{- if hasKey $.Values.settings $key }}
{{- fail (printf "settings.%s is decided by other values of the chart" $key) }}
{{- end }}
{{- end }}
{{- end }}

{{/* watchbill.yml */}}
{{- define "watchbill.config" -}}
{{- $own := dict "sources" "kubernetes" "data-dir" "/data" "listen" "0.0.0.0:8080" "prometheus-listen" "0.0.0.0:9090" "kube-events" .Values.events }}
{{- $_ := set $own "prometheus" (get (dict "child" "child" "sidecar" "http://127.0.0.1:9090" "none" "none") .Values.prometheus.mode) }}
{{- if .Values.rbac.namespaces }}{{ $_ := set $own "kube-namespaces" .Values.rbac.namespaces }}{{ end }}
{{- if include "watchbill.elects" . }}{{ $_ := set $own "kube-lease" (include "watchbill.fullname" .) }}{{ end }}
{{- if ne .Values.store.kind "directory" }}{{ $_ := set $own "store" .Values.store.kind }}{{ end }}
{{- if eq .Values.store.kind "kubernetes" }}{{ $_ := set $own "kube-store" (include "watchbill.store" .) }}{{ end }}
{{- if .Values.access.existingSecret }}{{ $_ := set $own "token-file" "/etc/watchbill/access/token" }}{{ end }}
{{- if .Values.access.tlsSecret }}{{ $_ := set $own "tls-cert-file" "/etc/watchbill/tls/tls.crt" }}{{ $_ := set $own "tls-key-file" "/etc/watchbill/tls/tls.key" }}{{ end }}
{{- if .Values.configSecret }}{{ $_ := set $own "shortcuts-dir" "/run/secrets/watchbill" }}{{ $_ := set $own "configs-dir" "/run/secrets/watchbill" }}{{ end }}
{{- if not (hasKey .Values.settings "expected-targets") }}{{ $_ := set $own "expected-targets" (ne .Values.prometheus.mode "none") }}{{ end }}
{{- $flags := list (printf "--storage.tsdb.retention.time=%s" .Values.prometheus.retention) }}
{{- if and (eq .Values.prometheus.mode "child") (not (hasKey .Values.settings "prometheus-flags")) }}{{ $_ := set $own "prometheus-flags" (concat $flags .Values.prometheus.extraFlags) }}{{ end }}
{{- merge $own .Values.settings | toYaml }}
{{- end }}
