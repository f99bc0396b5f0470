#!/usr/bin/env bash
# Assembles an image's file tree from a list: the one place that turns a list like image.list into files.
#
#   image-root.sh LIST DIR       DIR must be empty or missing
#
# WATCHBILL_BINARY names another program to take for build/watchbill.
#
# The tree has Debian's merged layout (/bin, /lib, ... are links into /usr), so that it can be an image by itself and can
# be copied over a Debian base as well.
set -euo pipefail
ME=image-root
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

LIST=${1:?list}
TREE=${2:?directory}

# add_file SRC DST
add_file() {
    mkdir -p "$TREE${2%/*}"
    cp -L --remove-destination --preserve=mode,timestamps "$1" "$TREE$2"
    add_libraries "$1"
}

add_libraries() {
    local library
    [ "$(head -c 4 "$1" | tr -d '\0')" = $'\x7fELF' ] || return 0
    while read -r library; do
        [ -e "$TREE$library" ] || { mkdir -p "$TREE${library%/*}" && cp -L --preserve=mode,timestamps "$library" "$TREE$library"; }
    done < <(libraries_of "$1")
}

# The paths that the loader would open: `name => /path (0x...)` and, for the loader itself, `/path (0x...)`.
# A program that is linked statically has none.
libraries_of() {
    local answer
    answer=$(ldd "$1" 2>/dev/null) || return 0
    ! grep -q 'not found' <<<"$answer" || die "$1 needs libraries that are not here: $(grep 'not found' <<<"$answer" | tr -s '\n\t' ' ')"
    sed -nE 's/^.*=> (\/[^ ]+) \(.*/\1/p; s/^[[:space:]]*(\/[^ ]+) \(.*/\1/p' <<<"$answer"
}

# add_sources KIND OPTIONAL SRC [DST]
add_sources() {
    local kind=$1 optional=$2 pattern=$3 target=${4:-} path file found=0 IFS=
    if [ "$pattern" = build/watchbill ]; then pattern=${WATCHBILL_BINARY:-$pattern}; fi
    if [[ $pattern != /* ]]; then pattern=$ROOT/$pattern; fi
    # Expanded here, and with an empty IFS not split.
    # shellcheck disable=SC2086
    for path in $pattern; do
        [ -e "$path" ] || continue
        found=1
        if [ "$kind" = file ]; then
            add_file "$path" "${target:-$path}"
        else
            while read -r file; do
                add_file "$path/$file" "${target:-$path}/$file"
            done < <(cd "$path" && find . -type f -printf '%P\n' | sort)
        fi
    done
    [ "$found$optional" != 0 ] || die "$LIST: $pattern is not here" "make build; scripts/deps.sh run"
}

add_line() {
    local word=${1:-}
    case $word in
    '' | '#'*) ;;
    file | tree) add_sources "$word" '' "${@:2}" ;;
    'file?' | 'tree?') add_sources "${word%\?}" optional "${@:2}" ;;
    dir) mkdir -p "$TREE$3" && chmod "$2" "$TREE$3" ;;
    text) mkdir -p "$TREE${2%/*}" && printf '%s\n' "${*:3}" >>"$TREE$2" ;;
    *) die "$LIST: unknown word '$word'" ;;
    esac
}

merged_layout() {
    local name
    for name in bin sbin lib lib64; do
        if [ -L "/$name" ]; then
            mkdir -p "$TREE/usr/$name"
            ln -s "usr/$name" "$TREE/$name"
        fi
    done
}

main() {
    local words
    [ -f "$LIST" ] || die "no list $LIST"
    mkdir -p "$TREE"
    [ -z "$(ls -A "$TREE")" ] || die "$TREE is not empty"
    umask 022
    chmod 755 "$TREE"
    merged_layout
    while read -r -a words; do
        add_line ${words[@]+"${words[@]}"}
    done <"$LIST"
}

main
