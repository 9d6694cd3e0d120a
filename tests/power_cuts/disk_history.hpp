// SPDX-License-Identifier: GPL-3.0-or-later
// What a disk, or an image's file, may hold if the power goes now: per sector what is durable, and what was written since.
//
// A page cache lies between a program and the disk: a sector that reaches the disk holds all that was written to it up to
// some moment, and each sector has a moment of its own.
#pragma once

#include <map>
#include <random>
#include <span>
#include <unordered_map>
#include <vector>

#include "tests/power_cuts/recording.hpp"

namespace skep::test {

enum class Flushes { are_true, are_lies };

class DiskHistory {
  public:
    static constexpr uint64_t k_sector = 512;

    DiskHistory(std::vector<uint8_t> content, Flushes flushes) : m_durable(std::move(content)), m_flushes(flushes) {}

    void began(uint32_t number, const RecordedRequest& request);
    void ended(uint32_t number, const RecordedRequest& request);

    // The power is gone until end_cut(), which brings it back at the moment before.
    struct Cut {
        std::span<const uint8_t> bytes;  // what is there then
        uint64_t lost = 0, kept = 0;     // sectors with unflushed writes: those as they were flushed, those with a later state
    };
    // tear: what of a request stays whole, in bytes, a multiple of k_sector.
    [[nodiscard]] Cut cut(std::mt19937& random, uint64_t tear);
    void end_cut();

    // Pieces of k_piece bytes that were ever written to, or all.
    static constexpr uint64_t k_piece = 64 << 10;
    enum class Pieces { written, all };
    [[nodiscard]] std::vector<uint64_t> pieces(Pieces which) const;  // their offsets, ascending

    // For the guest's view of a disk. `now` is as long as the disk. The first sector of the pieces that holds what it may
    // not, or -1.
    [[nodiscard]] int64_t wrong_sector(std::span<const uint8_t> now, std::span<const uint64_t> pieces) const;

  private:
    // Part of a request, within one sector.
    struct Version {
        uint32_t request;
        uint32_t begin, end;  // in the sector
        const uint8_t* data;  // null: zeros
        bool may_be_void;     // a discard
    };
    using Versions = std::vector<Version>;  // in the order they began
    struct UnderWay {
        uint64_t began_at = 0, ended_at = ~uint64_t{0};
    };

    void put(uint64_t sector, const Version& version);
    void put_for_now(uint64_t sector, const Version& version);
    void make_durable(uint64_t sector, Versions& versions, size_t count);
    void forget(uint32_t number, uint64_t from, uint64_t end);
    void flushed(uint64_t before);
    [[nodiscard]] bool may_hold(uint64_t sector, const Versions& versions, std::span<const uint8_t> now) const;

    struct Saved {
        uint64_t offset;
        std::vector<uint8_t> bytes;
    };

    std::vector<uint8_t> m_durable;
    std::vector<Saved> m_saved;  // of m_durable, while the power is gone
    uint64_t m_saved_size = 0;
    std::vector<bool> m_written;  // by piece
    Flushes m_flushes;
    std::map<uint64_t, Versions> m_pending;
    std::unordered_map<uint32_t, UnderWay> m_requests;
    uint64_t m_time = 0;
};

}  // namespace skep::test
