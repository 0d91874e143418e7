# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# Run by the command (chain/cmd/kernel/fetch.c): sh -c THIS fetch FOLDER kernel PACKAGE, or FOLDER root NAME PACKAGE...
#   kernel  puts Debian's newest kernel of that package, with its modules, into FOLDER/PACKAGE
#   root    puts what those packages and all that they depend on unpack to into FOLDER/NAME
# Nothing is installed and no script of a package is run: apt's own means with lists of their own, so that it needs no root and leaves the
# machine's alone. What was fetched is recorded by version and SHA-256, which apt has checked against the archive's signature: in
# kernel.json, and in the root's /PACKAGES.
set -eu

folder=$1 what=$2 name=$3
shift 3

fail() {
	echo "kchain: $what: $*" >&2
	exit 3
}

for command in apt-get apt-cache dpkg-deb tar awk flock sha256sum; do
	command -v "$command" >/dev/null || fail "$command is missing (Debian packages: apt dpkg tar coreutils util-linux)"
done
mkdir -p "$folder" 2>/dev/null || fail "cannot write to $folder"
# Another one that fetches is waited for; what it fetched is as good.
exec 9>"$folder/lock" || fail "cannot write to $folder"
flock -n 9 || { flock 9; [ ! -d "$folder/$name" ] || exit 0; }
work=$(mktemp -d "$folder/.fetch.XXXXXX" 2>/dev/null) || fail "cannot write to $folder"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
# Kernels and roots have folders of their own, and the same lists, on which apt itself has no lock here.
lists=$folder/../apt/lists
mkdir -p "$lists/partial" 2>/dev/null && exec 8>"$lists/../lock" || fail "cannot write to $folder/../apt"
flock 8
# From here on the modes of what is made are those of a system, not of the user's own files.
umask 022
mkdir -p "$work/cache/archives/partial" "$work/get" "$work/unpacked" "$work/new"
: >"$work/status"

# As on a system on which nothing is installed but what $work/status says.
apt() {
	program=$1
	shift
	LC_ALL=C "$program" -q -o Dir::State::Lists="$lists" -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache" \
		-o Acquire::Languages=none -o Acquire::GzipIndexes=true -o Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false \
		-o Acquire::Retries=2 -o Acquire::http::Timeout=30 -o APT::Sandbox::User= -o Debug::NoLocking=1 "$@"
}

quietly() {
	"$@" >"$work/log" 2>&1 || fail "$(grep -m1 '^E:' "$work/log" || tail -n1 "$work/log")"
}

# What apt said that it fetched.
fetched() {
	awk '$1 == "Fetched" { print $2, $3 }' "$work/log"
}

unpack() {
	dpkg-deb --fsys-tarfile "$1" | tar -x -p -C "$2" --keep-directory-symlink --no-same-owner --wildcards --exclude='./usr/share/man/*' \
		--exclude='./usr/share/locale/*' --exclude='./usr/share/info/*' --exclude='./usr/share/lintian/*' \
		--exclude='./usr/share/doc/*/changelog*' --exclude='./usr/share/doc/*/[A-Z]*' || fail "$1 cannot be unpacked"
}

record() {
	echo "$(dpkg-deb -f "$1" Package) $(dpkg-deb -f "$1" Version) $(sha256sum <"$1" | cut -d' ' -f1)"
}

fetch_kernel() {
	kernel=$(apt apt-cache depends "$name" 2>/dev/null | awk '$1 == "Depends:" && $2 ~ /^linux-image-[0-9]/ { print $2; exit }')
	[ -n "$kernel" ] || kernel=$name
	quietly apt apt-get download "$kernel"
	set -- *.deb
	[ $# -eq 1 ] && [ -f "$1" ] || fail "no package $kernel came"
	deb=$PWD/$1
	unpack "$deb" "$work/unpacked"
	cd "$work/unpacked"
	set -- boot/vmlinuz-*
	[ $# -eq 1 ] && [ -f "$1" ] || fail "$kernel has no kernel in boot"
	release=${1#boot/vmlinuz-}
	for modules in "lib/modules/$release" "usr/lib/modules/$release"; do
		[ ! -d "$modules" ] || mv "$modules" "$work/modules"
	done
	[ -d "$work/modules" ] || fail "$kernel has no modules"
	mv "boot/vmlinuz-$release" "$work/new/vmlinuz"
	mv "$work/modules" "$work/new/modules"
	[ ! -f "boot/config-$release" ] || mv "boot/config-$release" "$work/new/config"
	record "$deb" | {
		read -r package version digest
		echo "{\"package\":\"$package\",\"version\":\"$version\",\"release\":\"$release\",\"bytes\":$(wc -c <"$deb"),\"sha256\":\"$digest\"}"
	} >"$work/new/kernel.json"
}

# What only installs: packages name it for their scripts, which are not run. Apt takes it for installed, but for what was asked for, so that
# it doesn't bring what it needs in its turn; whatever else a package depends on comes.
only_installing='adduser debconf dpkg init-system-helpers install-info login lsb-base passwd sensible-utils sysvinit-utils ucf usr-is-merged'

installed() {
	for package in $only_installing; do
		case " $* " in
		*" $package "*) ;;
		*) printf '%s\n' "Package: $package" 'Status: install ok installed' 'Architecture: all' 'Version: 9999' 'Maintainer: none' \
			'Description: none' '' ;;
		esac
	done
}

# What scripts of packages would have done that programs need: users, and a merged /usr.
fetch_root() {
	installed "$@" >"$work/status"
	needed=$(apt apt-get --no-install-recommends -s install "$@" 2>"$work/log" |
		awk '$1 == "Inst" { sub(/:.*/, "", $2); print $2 }' | grep .) ||
		fail "$(grep -m1 '^E:' "$work/log" || echo "apt finds no way to install $*")"
	# shellcheck disable=SC2086 # a list of words
	quietly apt apt-get download $needed
	cd "$work/new"
	mkdir -p usr etc dev proc sys run root srv home var/log var/cache var/lib
	mkdir -m 1777 tmp var/tmp
	for part in bin sbin lib lib64; do
		mkdir -p "usr/$part"
		ln -s "usr/$part" "$part"
	done
	for deb in "$work"/get/*.deb; do
		unpack "$deb" .
		record "$deb"
	done >PACKAGES
	[ -f etc/passwd ] || printf '%s\n' 'root:x:0:0:root:/root:/bin/sh' 'www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin' \
		'nobody:x:65534:65534:nobody:/:/usr/sbin/nologin' >etc/passwd
	[ -f etc/group ] || printf '%s\n' 'root:x:0:' 'www-data:x:33:' 'nogroup:x:65534:' >etc/group
}

echo "kchain: $what: asking the archives of this machine's apt for $name" >&2
quietly apt apt-get update
came=$(fetched)
cd "$work/get"
case $what in
kernel) fetch_kernel ;;
root) fetch_root "$@" ;;
esac
echo "kchain: $what: fetched ${came:-nothing} of lists, and $(cat "$work"/get/*.deb | wc -c | awk '{ printf "%.1f MB", $1 / 1e6 }') of packages, of which there are" \
	"$(find "$work/get" -name '*.deb' | wc -l)" >&2
chmod 755 "$work/new"
[ ! -e "$folder/$name" ] || mv "$folder/$name" "$work/old" || fail "cannot write to $folder"
mv "$work/new" "$folder/$name" || fail "cannot write to $folder"
