// SPDX-License-Identifier: GPL-3.0-or-later
// libFuzzer entry: any bytes as the tables of a VDI image.
#include "tests/fuzz/image_fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    skep::fuzz::read_map(skep::ImageFormat::vdi, data, size);
    return 0;
}
