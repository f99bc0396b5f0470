#!/bin/sh
# Fuzzes each target of tests/fuzz for a fixed time: tests/fuzz/run.sh [SECONDS=60] [TARGET...]
# The regressions in regress/TARGET are run first, then the corpus grows in build/fuzz/corpus/TARGET from the seeds in corpus/TARGET.
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:-60}
[ $# -eq 0 ] || shift
command -v clang >/dev/null || { echo "fuzz: clang is not here" >&2; exit 1; }
cmake -S . -B build/fuzz -G Ninja -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=Debug -DFUZZ=ON >/dev/null
cmake --build build/fuzz --target fuzz >/dev/null || cmake --build build/fuzz --target fuzz

targets=$*
[ -n "$targets" ] || targets=$(ls tests/fuzz/fuzz_*.c | sed 's|.*/fuzz_\(.*\)\.c|\1|')
failed=
for t in $targets; do
	grown=build/fuzz/corpus/$t
	mkdir -p "$grown" build/fuzz/crashes
	log=build/fuzz/$t.log
	bin=build/fuzz/tests/fuzz/fuzz_$t
	export UBSAN_OPTIONS=print_stacktrace=1
	if { ! [ -d "tests/fuzz/regress/$t" ] || "$bin" tests/fuzz/regress/"$t"/* >"$log" 2>&1; } &&
		"$bin" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=16384 -artifact_prefix="build/fuzz/crashes/$t-" \
			"$grown" "tests/fuzz/corpus/$t" >"$log" 2>&1; then
		echo "fuzz $t: ok, $(sed -n 's/^Done \([0-9]*\) runs.*/\1 runs/p' "$log")"
	else
		tail -40 "$log"
		echo "fuzz $t: FAILED, see $log; the input is in build/fuzz/crashes. Keep it in tests/fuzz/regress/$t." >&2
		failed=1
	fi
done
[ -z "$failed" ]
