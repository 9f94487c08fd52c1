#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# usage: tools/guest.sh OUTPUT
#
# Assembles tools/guest.S into a disk image: one boot sector, and nothing up to 1 MiB (q35 wants more than a sector).

set -eu

[ $# -eq 1 ] || { echo "usage: $0 OUTPUT" >&2; exit 2; }

object=$(mktemp)
trap 'rm -f "$object"' EXIT

as --32 -o "$object" "$(dirname "$0")/guest.S"
ld -m elf_i386 --oformat binary -Ttext 0x7c00 -o "$1" "$object"
truncate -s 1M "$1"
chmod 644 "$1"
