/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the memory that jansson is given: once there was none, there is none until the failure has been told. jansson passes over a lost
 * character of a string or a lost key when one allocation fails and the next does not.
 * Must not know: any document. */
#ifndef STAGE_JSON_MEMORY_H
#define STAGE_JSON_MEMORY_H

/* Before the first value is made. */
void stage_json_memory_init(void);
/* The failure is known and about to be told. */
void stage_json_memory_again(void);

#endif
