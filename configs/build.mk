# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
#
# What the pipelines bake in besides our own kernels.
$(B)/images/04-chain.elf: $(B)/images/04-second.elf
$(B)/images/04-second.elf: $(B)/inputs/gnumach
$(B)/images/08-grub-invaders.elf: $(B)/inputs/invaders
