# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
#
# What is built is put where a system has its programs (tools/install), or into a Debian package (debian/).

PREFIX ?= /usr/local
DESTDIR ?=
PKGCONFIGDIR ?= $(PREFIX)/lib/pkgconfig
# For these goals alone: a test that installs somewhere else must not inherit them.
install uninstall: export VERSION := $(VERSION)
install uninstall: export PREFIX := $(PREFIX)
install uninstall: export DESTDIR := $(DESTDIR)
install uninstall: export PKGCONFIGDIR := $(PKGCONFIGDIR)

$(B)/install/completion: tools/completion $(B)/kchain $(B)/next/kchain-next
	@mkdir -p $(@D)
	$(Q)tools/completion $(B)/kchain $(B)/next/kchain-next >$@.new && mv $@.new $@
install: all sdk $(B)/install/completion
	$(Q)tools/install install
uninstall:
	$(Q)tools/install uninstall

# debhelper works in a tree of its own, in which debian/rules installs what is built here.
DEB := $(B)/deb/kchain_$(VERSION)_amd64.deb
$(DEB): tools/make-deb tools/install $(wildcard debian/*) $(wildcard docs/*) $(B)/kchain $(B)/next/kchain-next $(B)/stage/stage.debug $(SDK)/.complete $(B)/install/completion
	$(call say,DEB,$@)
	$(Q)tools/make-deb $@
deb: all $(DEB)
.PHONY: install uninstall deb
QEMU_NEEDS += $(DEB)
