// SPDX-License-Identifier: GPL-3.0-or-later
// libFuzzer entry: any bytes as the tables of a VHD image.
#include "tests/fuzz/image_fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    skep::fuzz::read_map(skep::ImageFormat::vhd, data, size);
    return 0;
}
