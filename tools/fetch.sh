# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# Sourced by tools/fetch-*: apt with a source list, lists and a cache of our own, so that it needs no root and leaves the machine's
# configuration alone. Which archive: whatever that configuration uses for this release. Needs `$tool`; gives `$cache`, where what was
# fetched stays, and `$work`, which goes away.

release=bookworm

fail() {
	echo "$tool: $*" >&2
	exit 1
}

cache=${XDG_CACHE_HOME:-${HOME:?"$tool: neither XDG_CACHE_HOME nor HOME is set"}/.cache}/kchain

# fetch_begin deb|deb-src WHAT COMMAND...: the commands that it takes, the archive's lists of packages.
fetch_begin() {
	kind=$1 what=$2
	shift 2
	for command in apt-get sha256sum "$@"; do
		command -v "$command" >/dev/null || fail "$command is missing (Debian packages: apt dpkg-dev coreutils tar)"
	done
	mkdir -p "$cache" || fail "cannot write to $cache"
	work=$(mktemp -d "$cache/fetch.XXXXXX") || fail "cannot write to $cache"
	trap 'rm -rf "$work"' EXIT INT TERM
	mkdir -p "$work/lists/partial" "$work/apt/archives/partial" "$work/get"
	# shellcheck disable=SC2016 # apt's own variables
	apt-get indextargets 'Created-By: Packages' --format '$(REPO_URI)|$(RELEASE)|$(COMPONENT)' 2>/dev/null |
		awk -F'|' -v r="$release" -v k="$kind" '$2 == r && $3 == "main" && !seen[$1]++ { print k " " $1 " " r " main" }' >"$work/sources.list"
	[ -s "$work/sources.list" ] || fail "apt knows no archive of Debian $release (main); put $what by hand"
	cd "$work/get"
	apt_get update
}

quietly() {
	"$@" >"$work/log" 2>&1 || fail "$* failed: $(grep -m1 '^E:' "$work/log" || tail -n1 "$work/log")"
}

apt_own() {
	program=$1
	shift
	"$program" -q -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=- \
		-o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/apt" -o Acquire::Languages=none \
		-o Acquire::Retries=2 -o Acquire::http::Timeout=30 -o APT::Sandbox::User= "$@"
}

apt_get() {
	quietly apt_own apt-get "$@"
}

# fetch_end FOLDER: what was put into $work/unpacked is complete, and is printed. Another run may have been quicker.
fetch_end() {
	touch "$work/unpacked/.complete"
	rm -rf "$1"
	mv "$work/unpacked" "$1" 2>/dev/null || [ -f "$1/.complete" ] || fail "cannot move what was fetched to $1"
	echo "$1"
}

# fetch_source PACKAGE VERSION TARBALL ORIG_SHA256 DEBIAN_SHA256: the folder of a source package, unpacked and patched, by `apt-get source`.
# The digests are those of PACKAGE_UPSTREAM.TARBALL and of PACKAGE_VERSION.debian.tar.xz.
fetch_source() {
	folder=$cache/$1-$2
	if [ -f "$folder/.complete" ]; then
		echo "$folder"
		exit 0
	fi
	fetch_begin deb-src "$1 $2's source in $folder" dpkg-source
	apt_get source --download-only "$1=$2"
	printf '%s  %s\n' "$4" "$1_${2%-*}.$3" "$5" "$1_$2.debian.tar.xz" |
		sha256sum --check --quiet >"$work/log" 2>&1 || fail "a digest of $1 $2 is not the pinned one: $(head -n1 "$work/log")"
	quietly dpkg-source --no-check -x "$1_$2.dsc" "$work/unpacked"
	fetch_end "$folder"
}
