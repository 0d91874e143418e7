#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 600
"""nginx and Python out of Debian's packages, each one image, answer the host. tools/fetch-roots fetches 14 MB for them; skipped where
it can't."""
import kt
import roots

kt.add_test("nginx_answers_the_host", roots.answers("nginx", "check", "Welcome from a root"))
kt.add_test("python_answers_the_host", roots.answers("python", "check", "Directory listing"))
kt.main()
