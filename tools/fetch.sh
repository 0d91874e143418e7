# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# Sourced by tools/fetch-*: files of Debian's archive, by apt's own means, which know of proxies and mirrors, but without root and without
# touching the machine's configuration. Which archive: those that this configuration names. Needs `$tool`; gives `$cache`,
# where what was fetched stays, and `$work`, which goes away.

fail() {
	echo "$tool: $*" >&2
	exit 1
}

cache=${XDG_CACHE_HOME:-${HOME:?"$tool: neither XDG_CACHE_HOME nor HOME is set"}/.cache}/kchain

# work_begin COMMAND...: the commands that it takes, and a place.
work_begin() {
	for command in sha256sum "$@"; do
		command -v "$command" >/dev/null || fail "$command is missing (Debian packages: apt coreutils patch tar xz-utils)"
	done
	mkdir -p "$cache" 2>/dev/null || fail "cannot write to $cache"
	work=$(mktemp -d "$cache/fetch.XXXXXX" 2>/dev/null) || fail "cannot write to $cache"
	trap 'rm -rf "$work"' EXIT INT TERM
}

quietly() {
	"$@" >"$work/log" 2>&1 || fail "$* failed: $(grep -m1 '^E:' "$work/log" || tail -n1 "$work/log")"
}

# archives FORMAT: a line for each archive of the machine's configuration that has the component main.
archives() {
	apt-get indextargets 'Created-By: Packages' 'Component: main' --format "$1" 2>/dev/null | awk '!seen[$0]++'
}

# --- source packages ------------------------------------------------------------------------------------------------

has_digest() {
	[ -f "$1" ] && [ "$(sha256sum <"$1" | cut -d' ' -f1)" = "$2" ]
}

# archive_file PACKAGE FILE SHA256: puts that file of a source package into $work. It is known by its digest, so any archive will
# do, of any release, and so will a copy in the cache; one that is not what it should be is fetched anew.
archive_file() {
	if [ -f "$cache/$2" ]; then
		cp "$cache/$2" "$work/$2"
		has_digest "$work/$2" "$3" && return
		echo "$tool: $cache/$2 is damaged, and is fetched again" >&2
	fi
	[ -x /usr/lib/apt/apt-helper ] || fail "$2 is not in $cache, and there is no apt to fetch it; put it there by hand"
	case $1 in lib*) initial=$(printf %.4s "$1") ;; *) initial=$(printf %.1s "$1") ;; esac
	echo "no archive is configured" >"$work/log"
	# shellcheck disable=SC2016 # apt's own variable
	for archive in $(archives '$(REPO_URI)'); do
		rm -f "$work/$2"
		if /usr/lib/apt/apt-helper -q -o Acquire::Retries=2 -o Acquire::http::Timeout=30 -o APT::Sandbox::User= download-file \
			"${archive%/}/pool/main/$initial/$1/$2" "$work/$2" "SHA256:$3" >"$work/log" 2>&1 && has_digest "$work/$2" "$3"; then
			cp "$work/$2" "$work/$2.new" && mv "$work/$2.new" "$cache/$2" || fail "cannot write to $cache"
			return
		fi
	done
	fail "cannot fetch $2: $(grep -m1 '^E:' "$work/log" || tail -n1 "$work/log")"
}

# fetch_source PACKAGE VERSION TARBALL ORIG_SHA256 DEBIAN_SHA256 [FOLDER]: sees that the files of a source package are in the cache, and
# unpacks them, patched as the distribution does it, into FOLDER. The digests are those of PACKAGE_UPSTREAM.TARBALL and of
# PACKAGE_VERSION.debian.tar.xz; they are checked each time, since everything is unpacked anew each time.
fetch_source() {
	work_begin tar xz patch
	orig=$1_${2%-*}.$3 debian=$1_$2.debian.tar.xz
	archive_file "$1" "$orig" "$4"
	archive_file "$1" "$debian" "$5"
	[ -n "${6-}" ] || return 0
	mkdir "$work/unpacked"
	quietly tar -x -f "$work/$orig" -C "$work/unpacked" --strip-components=1 --no-same-owner
	quietly tar -x -f "$work/$debian" -C "$work/unpacked" --no-same-owner
	while read -r name; do
		case $name in '' | '#'*) continue ;; esac
		quietly patch -s -p1 -F0 -d "$work/unpacked" -i "$work/unpacked/debian/patches/$name"
	done <"$work/unpacked/debian/patches/series"
	mkdir -p "$(dirname "$6")"
	rm -rf "$6"
	mv "$work/unpacked" "$6" || fail "cannot write to $6"
}

# --- packages of this release, unpacked -----------------------------------------------------------------------------

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

# packages_begin RELEASE WHAT COMMAND...: the release's lists of packages.
packages_begin() {
	release=$1 what=$2
	shift 2
	work_begin apt-get "$@"
	mkdir -p "$work/lists/partial" "$work/apt/archives/partial" "$work/get"
	# shellcheck disable=SC2016 # apt's own variables
	archives '$(REPO_URI)|$(RELEASE)' | awk -F'|' -v r="$release" '$2 == r { print "deb " $1 " " r " main" }' >"$work/sources.list"
	[ -s "$work/sources.list" ] || fail "apt knows no archive of Debian $release (main); put $what by hand"
	cd "$work/get"
	apt_get update
}

# packages_end FOLDER: what was put into $work/unpacked is complete, and is printed. Its digests go with it. Another run may have been
# quicker.
packages_end() {
	(cd "$work/unpacked" && find . -type f -exec sha256sum {} +) >"$work/sums"
	mv "$work/sums" "$work/unpacked/SHA256SUMS"
	rm -rf "$1"
	mv "$work/unpacked" "$1" 2>/dev/null || packages_are_whole "$1" || fail "cannot move what was fetched to $1"
	echo "$1"
}

packages_are_whole() {
	[ -f "$1/SHA256SUMS" ] && (cd "$1" && sha256sum --check --quiet --strict SHA256SUMS) >/dev/null 2>&1
}
