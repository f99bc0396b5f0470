#!/usr/bin/env bash
# Everything that `make test` runs: builds with and without sanitizers, then unit, golden and integration tests, the parsers' fuzzers for a
# few seconds each, and the scenarios on a real Docker Swarm. PROMETHEUS= and PROMTOOL= name other programs to test with.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }

build() { # PRESET
    step "build: $1"
    cmake --preset "$1" >/dev/null
    cmake --build --preset "$1" --parallel "$(nproc)"
}

build dev
build asan
build ubsan

# All that the command says where it fails, else its last line.
briefly() {
    local log code=0
    log=$(mktemp)
    "$@" >"$log" 2>&1 || code=$?
    if [ $code = 0 ]; then tail -n 1 "$log"; else cat "$log"; fi
    rm -f "$log"
    return $code
}

step "unit and golden tests under the sanitizers"
briefly ctest --preset asan --label-regex 'unit|golden|faults' --parallel "$(nproc)"
briefly ctest --preset ubsan --label-regex 'unit|golden' --parallel "$(nproc)"

step "the parsers against random input"
tests/fuzz/run.sh 5

# Once, and not within a test's time. Without them their tests are skipped, and say so.
step "the programs of a Kubernetes control plane"
if [ -z "${KUBEBUILDER_ASSETS:-}" ] && ! tests/support/k8s/build.sh ${K8S_BIN:+"$K8S_BIN"}; then
    export WATCHBILL_TEST_NO_KUBE="tests/support/k8s/build.sh could not build its programs"
fi

step "all tests"
export WATCHBILL="$PWD/build/dev/watchbill"
ctest --preset dev --label-exclude '^faults$' --timeout 900 --parallel 2      # those have run under the sanitizer
