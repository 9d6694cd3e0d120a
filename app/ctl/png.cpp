// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/png.hpp"

#include <zlib.h>

namespace skep {
namespace {

constexpr int k_level = 6;
constexpr char k_bits = 8;
constexpr char k_truecolour = 2;
constexpr char k_no_filter = 0;

void put_number(std::string& to, uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) {
        to += static_cast<char>(value >> shift);
    }
}

void put_chunk(std::string& to, const std::string& type, const std::string& data) {
    put_number(to, static_cast<uint32_t>(data.size()));
    const std::string body = type + data;
    to += body;
    put_number(to, static_cast<uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()))));
}

std::string rows_of(std::span<const uint32_t> pixels, uint32_t width, uint32_t height) {
    std::string rows;
    rows.reserve((size_t{width} * 3 + 1) * height);
    for (uint32_t y = 0; y < height; ++y) {
        rows += k_no_filter;
        for (const uint32_t pixel : pixels.subspan(size_t{y} * width, width)) {
            rows += static_cast<char>(pixel >> 16);
            rows += static_cast<char>(pixel >> 8);
            rows += static_cast<char>(pixel);
        }
    }
    return rows;
}

std::string deflated(const std::string& data) {
    uLongf size = compressBound(data.size());
    std::string out(size, 0);
    if (compress2(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(data.data()), data.size(), k_level) !=
        Z_OK) {
        size = 0;  // only without memory
    }
    out.resize(size);
    return out;
}

}  // namespace

std::string encode_png(std::span<const uint32_t> pixels, uint32_t width, uint32_t height) {
    std::string png("\x89PNG\r\n\x1a\n", 8);
    std::string header;
    put_number(header, width);
    put_number(header, height);
    header += {k_bits, k_truecolour, 0, 0, 0};  // deflate, adaptive filters, not interlaced
    put_chunk(png, "IHDR", header);
    put_chunk(png, "IDAT", deflated(rows_of(pixels, width, height)));
    put_chunk(png, "IEND", {});
    return png;
}

}  // namespace skep
