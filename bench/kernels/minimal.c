/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The least native kernel: what the runtime alone takes. */

int main(void)
{
	return 0;
}
