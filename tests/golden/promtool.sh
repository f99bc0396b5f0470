#!/bin/sh
# The real promtool reads what a case expects, and where they are there blackbox_exporter and amtool do. Usage: promtool.sh CASE_DIR. PROMTOOL names another
# binary; 77 when there is none.
set -eu
promtool=${PROMTOOL:-promtool}
command -v "$promtool" >/dev/null 2>&1 || { echo "skipped: $promtool is not here"; exit 77; }
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
cp -r "$1/expected/." "$tree"
rm "$tree/diags.txt"
"$promtool" check config "$tree/prometheus.yml"
find "$tree" -path '*/rules/*' -name '*.yml' -exec "$promtool" check rules {} +
for check in "blackbox.yml prometheus-blackbox-exporter --config.check --config.file=" "alertmanager.yml amtool check-config "; do
	file=$tree/${check%% *}
	command=${check#* }
	if [ -e "$file" ] && command -v "${command%% *}" >/dev/null 2>&1; then
		$command"$file"
	fi
done
