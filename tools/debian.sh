# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034 # read by those who source this
#
# Sourced by tools/deps and tools/fetch-linux: which system this is, and what differs between the Debian releases that kchain is
# built on. `release` is empty on any other.

system=$(. /etc/os-release 2>/dev/null && echo "${PRETTY_NAME-}") || system=
release=$(. /etc/os-release 2>/dev/null && echo "${ID-} ${VERSION_CODENAME-}") || release=
case $release in
'debian bookworm') release=bookworm gnumach=gnumach-image-1.8-486 clang_runtime=libclang-rt-14-dev formatter=clang-format-14 ;;
'debian trixie') release=trixie gnumach=gnumach-image-1.8-amd64-up clang_runtime=libclang-rt-19-dev formatter='' ;;
*) release='' gnumach=gnumach-image clang_runtime=libclang-rt-dev formatter='' ;;
esac
