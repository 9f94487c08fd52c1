# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Sourced by ./demo and ./check.
#
# setup_packages GROUP...
#     Installs what is missing of these groups of tools/packages: as root, or through a sudo that asks no
#     password or has a terminal to ask on. Without either it prints the one command to run, and fails.
#
# setup_build_directory SOURCE NAME FALLBACK
#     Prints where to build: SOURCE/NAME, or FALLBACK when the source tree is not ours to write to.

setup_packages() {
        local list group package missing=()

        if ! command -v dpkg-query >/dev/null; then
                echo "This is no Debian system; taking for granted that what tools/packages names is there." >&2
                return 0
        fi

        list="$(dirname "${BASH_SOURCE[0]}")/packages"
        while read -r group package _; do
                [[ " $* " == *" $group "* ]] || continue
                [[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" == installed ]] ||
                        missing+=("$package")
        done <"$list"
        [[ ${#missing[@]} -gt 0 ]] || return 0

        local as_root=()
        if [[ $(id -u) -ne 0 ]]; then
                if ! command -v sudo >/dev/null || ! { sudo -n true 2>/dev/null || [[ -t 0 && -t 2 ]]; }; then
                        echo "Some packages are missing. Please run as root, then try again:" >&2
                        echo "    apt-get install --no-install-recommends ${missing[*]}" >&2
                        return 1
                fi
                as_root=(sudo)
        fi

        echo "Installing ${missing[*]}" >&2
        local install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive
                apt-get install -q -y --no-install-recommends "${missing[@]}")
        # The package lists of a fresh machine are empty or old: ask for new ones when the first try fails.
        "${install[@]}" >&2 2>/dev/null ||
                { "${as_root[@]}" apt-get update -q >&2 && "${install[@]}" >&2; }
}

setup_build_directory() {
        local source=$1 name=$2 fallback=$3

        # -O: root could write to everybody's tree, and would leave files behind that its owner can't remove.
        if [[ -e "$source/$name" ]]; then
                [[ -O "$source/$name" && -w "$source/$name" ]] && fallback="$source/$name"
        elif [[ -O "$source" && -w "$source" ]]; then
                fallback="$source/$name"
        fi
        echo "$fallback"
}
