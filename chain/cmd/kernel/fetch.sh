# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# Run by `kchain kernel fetch`: sh -c THIS fetch FOLDER PACKAGE. Puts Debian's newest kernel of that package, with its modules, into FOLDER,
# unpacked and never installed: apt's own means with lists of their own, so that it needs no root and leaves the machine's alone. What was
# fetched is written to kernel.json there: version and SHA-256 of the package, which apt has checked against the archive's signature.
set -eu

folder=$1 package=$2

fail() {
	echo "kchain kernel fetch: $*" >&2
	exit 3
}

for command in apt-get apt-cache dpkg-deb tar awk sha256sum flock; do
	command -v "$command" >/dev/null || fail "$command is missing (Debian packages: apt dpkg tar coreutils util-linux)"
done
mkdir -p "$folder" 2>/dev/null || fail "cannot write to $folder"
work=$(mktemp -d "$folder/fetch.XXXXXX" 2>/dev/null) || fail "cannot write to $folder"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/get" "$work/unpacked"

apt() {
	program=$1
	shift
	"$program" -q -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o Acquire::Languages=none \
		-o Acquire::Retries=2 -o Acquire::http::Timeout=30 -o APT::Sandbox::User= "$@"
}

quietly() {
	"$@" >"$work/log" 2>&1 || fail "$(grep -m1 '^E:' "$work/log" || tail -n1 "$work/log")"
}

echo "kchain kernel fetch: asking the archives of this machine's apt for $package" >&2
quietly apt apt-get update
kernel=$(apt apt-cache depends "$package" 2>/dev/null | awk '$1 == "Depends:" && $2 ~ /^linux-image-[0-9]/ { print $2; exit }')
[ -n "$kernel" ] || kernel=$package
cd "$work/get"
quietly apt apt-get download "$kernel"
set -- *.deb
[ $# -eq 1 ] && [ -f "$1" ] || fail "no package $kernel came"
dpkg-deb --fsys-tarfile "$1" | tar -x -C "$work/unpacked" || fail "$1 cannot be unpacked"
cd "$work/unpacked"
set -- boot/vmlinuz-*
[ $# -eq 1 ] && [ -f "$1" ] || fail "$kernel has no kernel in boot"
release=${1#boot/vmlinuz-}
for modules in "lib/modules/$release" "usr/lib/modules/$release"; do
	[ -d "$modules" ] && mv "$modules" "$work/modules"
done
[ -d "$work/modules" ] || fail "$kernel has no modules"
mkdir "$work/new"
mv "boot/vmlinuz-$release" "$work/new/vmlinuz"
mv "$work/modules" "$work/new/modules"
[ ! -f "boot/config-$release" ] || mv "boot/config-$release" "$work/new/config"
deb=$(echo "$work"/get/*.deb)
cat >"$work/new/kernel.json" <<END
{"package":"$kernel","version":"$(dpkg-deb -f "$deb" Version)","release":"$release","bytes":$(wc -c <"$deb"),"sha256":"$(sha256sum <"$deb" | cut -d' ' -f1)"}
END
cat "$work/new/kernel.json" >"$work/told"
# Others may fetch it, or read what is there: one after another takes its place, and what was there goes when nobody looks for it any more.
exec 9>"$folder/lock"
flock 9 || fail "cannot write to $folder"
[ ! -e "$folder/$package" ] || mv "$folder/$package" "$work/old" || fail "cannot write to $folder"
mv "$work/new" "$folder/$package" || fail "cannot write to $folder"
exec 9>&-
cat "$work/told"
