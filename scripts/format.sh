#!/usr/bin/env bash
# Formats the C sources by .clang-format, or says which are not formatted so.
#
#   format.sh              in place
#   format.sh --check      changes nothing; exit 1 where a file differs, 77 where this is another clang-format than Debian 12's, which sees some things otherwise
set -euo pipefail
ME=format
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

mapfile -t files < <(find controller lib reconcilers templates tests \( -name '*.c' -o -name '*.h' \) -type f | sort)
case ${1:-} in
'') exec clang-format -i "${files[@]}" ;;
--check)
    case $(clang-format --version 2>/dev/null) in
    *' version 14.'*) ;;
    *) say "skipped: no clang-format 14"; exit 77 ;;
    esac
    clang-format --dry-run -Werror "${files[@]}" || die "some sources are not formatted" "make format"
    ;;
*) die "unknown argument $1" "format.sh [--check]" ;;
esac
