// SPDX-License-Identifier: GPL-3.0-or-later
// These tests make and drop thousands of vectors of megabytes. Given back to the kernel each time (mallopt(3)), their pages cost more
// than the tests themselves.
#include <malloc.h>

namespace {

[[maybe_unused]] const bool k_is_kept = mallopt(M_MMAP_THRESHOLD, 64 << 20) == 1 && mallopt(M_TRIM_THRESHOLD, 512 << 20) == 1;

}  // namespace
