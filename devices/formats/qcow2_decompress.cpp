// SPDX-License-Identifier: GPL-3.0-or-later
// Compressed clusters of qcow2 images: raw deflate streams (RFC 1951) or zstd frames (RFC 8878).
#include <zlib.h>
#include <zstd.h>

#include <cerrno>

#include "devices/formats/qcow2.hpp"

namespace skep {
namespace {

constexpr int k_window_bits = -12;  // raw deflate, as every writer of qcow2 uses it

HostError inflate_all(std::span<const uint8_t> from, std::span<uint8_t> to) {
    z_stream stream{};
    if (inflateInit2(&stream, k_window_bits) != Z_OK) {
        return ENOMEM;
    }
    stream.next_in = const_cast<Bytef*>(from.data());  // zlib only reads it
    stream.avail_in = static_cast<uInt>(from.size());
    stream.next_out = to.data();
    stream.avail_out = static_cast<uInt>(to.size());
    const int result = inflate(&stream, Z_FINISH);
    inflateEnd(&stream);
    // What follows the stream up to the end of its last sector is not part of it.
    return (result == Z_STREAM_END || result == Z_BUF_ERROR) && stream.avail_out == 0 ? 0 : EIO;
}

HostError unzstd_all(std::span<const uint8_t> from, std::span<uint8_t> to) {
    ZSTD_DStream* stream = ZSTD_createDStream();
    if (stream == nullptr) {
        return ENOMEM;
    }
    ZSTD_inBuffer in{from.data(), from.size(), 0};
    ZSTD_outBuffer out{to.data(), to.size(), 0};
    bool moving = true;
    while (out.pos < out.size && moving) {
        const size_t in_before = in.pos;
        const size_t out_before = out.pos;
        const size_t result = ZSTD_decompressStream(stream, &out, &in);
        moving = ZSTD_isError(result) == 0 && (in.pos != in_before || out.pos != out_before);
    }
    ZSTD_freeDStream(stream);
    return out.pos == out.size ? 0 : EIO;
}

}  // namespace

HostError Qcow2Decompressor::decompress(std::span<const uint8_t> from, std::span<uint8_t> to) const {
    return m_kind == qcow2::Compression::zlib ? inflate_all(from, to) : unzstd_all(from, to);
}

}  // namespace skep
