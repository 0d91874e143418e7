#!/bin/sh
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# Makes the manifest of an image anew, and its id, without kchain: by binutils, erofs-utils, fsverity-utils and coreutils.
#
# Usage: image-id.sh IMAGE
#
# Prints the id. The image's own manifest says only what there is, and where; every digest and every locator is made of the bytes. A file
# that it does not list, or that is not there, is an error. Paths must not begin or end with white space.
set -eu
image=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

section() {
	objcopy -O binary --only-section=".kchain.$1" "$image" "$work/$1"
}

digest() {
	fsverity digest --compact "$1"
}

# Of more than 4096 bytes: with v(i) for the first 8 digits of the digest of block i, the sum of all v(i) and that of all i * v(i).
locator() {
	[ "$(wc -c <"$1")" -gt 4096 ] || return 0
	split -b 4096 --filter='dd bs=4096 iflag=fullblock conv=sync status=none | sha256sum' "$1" | {
		sum=0 weighted=0 i=0
		while read -r hex _; do
			i=$((i + 1)) v=$((0x$(printf %.8s "$hex")))
			sum=$(((sum + v) % 4294967291)) weighted=$(((weighted + i * v) % 4294967291))
		done
		printf ' %08x%08x' $sum $weighted
	}
}

section manifest
section fs
fsck.erofs --extract="$work/tree" "$work/fs" >/dev/null
id_at=$(($(LC_ALL=C grep -abo "$(printf 'KCHAIN\r')" "$image" | head -n 1 | cut -d : -f 1) + 16))

{
	echo "kchain-manifest 4"
	while read -r kind name _ offset bytes _; do
		[ "$kind" = part ] || continue
		dd if="$image" of="$work/part" iflag=skip_bytes,count_bytes skip="$offset" count="$bytes" bs=1M status=none
		if [ "$name" = stage ]; then # its digest counts the id as zeros
			dd if=/dev/zero of="$work/part" conv=notrunc bs=1 seek=$((id_at - offset)) count=32 status=none
		fi
		echo "part $name $(digest "$work/part") $offset $bytes$(locator "$work/part")"
	done <"$work/manifest"
	(cd "$work/tree" && find . '(' -type f -o -type l ')' | cut -c 2- | LC_ALL=C sort) | while read -r path; do
		at=$work/tree$path
		if [ -L "$at" ]; then
			target=$(readlink "$at")
			echo "link $(printf %s "$target" | sha256sum | cut -c -64) ${#target} $path"
		else
			echo "file $(digest "$at") $(wc -c <"$at")$(locator "$at") $path"
		fi
	done
} >"$work/made"
cmp "$work/manifest" "$work/made" >&2 || exit 1
sha256sum <"$work/made" | cut -c -64
