/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what jansson's own sources are compiled for, in place of what its configure finds out: a kernel on musl. Seeds
 * for its tables come from /dev/urandom, where nobody gave one. */
#ifndef STAGE_JANSSON_PRIVATE_CONFIG_H
#define STAGE_JANSSON_PRIVATE_CONFIG_H

#define HAVE_CLOSE              1
#define HAVE_FCNTL_H            1
#define HAVE_GETPID             1
#define HAVE_OPEN               1
#define HAVE_READ               1
#define HAVE_STDINT_H           1
#define HAVE_SYS_TYPES_H        1
#define HAVE_UNISTD_H           1
#define INITIAL_HASHTABLE_ORDER 3
#define USE_URANDOM             1

#endif
