/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The files that `kchain init` writes (templates/), each a text that ends with a zero byte. */
	.section .rodata
	.macro template symbol, path
	.globl init_\symbol
init_\symbol:
	.incbin "chain/cmd/templates/\path"
	.byte 0
	.endm

	template makefile, Makefile
	template call_pipeline, call/pipeline.json
	template call_hello, call/hello.c
	template chain_pipeline, chain/pipeline.json
	template chain_count, chain/count.c
	template chain_last, chain/last.c
	template fanout_pipeline, fanout/pipeline.json
	template fanout_part, fanout/part.c
	template fanout_total, fanout/total.c
	template site_pipeline, site/pipeline.json
	template site_server, site/site.conf
	template site_index, site/index.html
	template site_post, site/first-post.html
	template site_style, site/style.css
	.section .note.GNU-stack, "", @progbits
