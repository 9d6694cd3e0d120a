// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/power_cuts/disk_history.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace skep::test {
namespace {

constexpr uint64_t k_sector = DiskHistory::k_sector;

uint64_t mixed(uint64_t salt, uint64_t number) {
    uint64_t x = (salt << 32 ^ number) * 0x9e3779b97f4a7c15U;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    return x ^ (x >> 31);
}

// Of a request, the same for all its sectors.
unsigned fate_of(uint64_t salt, uint32_t request) { return static_cast<unsigned>(mixed(salt, request) >> 62); }

}  // namespace

void DiskHistory::began(uint32_t number, const RecordedRequest& request) {
    m_requests[number] = {.began_at = ++m_time};
    if (request.action == DiskAction::flush) {
        return;
    }
    for (uint64_t piece = request.offset / k_piece; piece * k_piece < request.offset + request.length; ++piece) {
        m_written.resize(std::max<size_t>(m_written.size(), piece + 1));
        m_written[piece] = m_written[piece] || request.data != nullptr;
    }
    for (uint64_t at = 0; at < request.length;) {
        const uint64_t begin = (request.offset + at) % k_sector;
        const uint64_t count = std::min(k_sector - begin, request.length - at);
        m_pending[(request.offset + at) / k_sector].push_back({number, static_cast<uint32_t>(begin), static_cast<uint32_t>(begin + count),
                                                               request.data == nullptr ? nullptr : request.data + at,
                                                               request.action == DiskAction::discard});
        at += count;
    }
}

void DiskHistory::ended(uint32_t number, const RecordedRequest& request) {
    UnderWay& times = m_requests[number];
    times.ended_at = ++m_time;
    if (request.action == DiskAction::flush) {
        if (request.result >= 0 && m_flushes == Flushes::are_true) {
            flushed(times.began_at);
        }
        return;
    }
    const bool is_whole = request.layer == DiskLayer::guest || request.action == DiskAction::zero;
    const uint64_t done = request.result < 0 ? 0 : is_whole ? request.length : static_cast<uint64_t>(request.result);
    forget(number, request.offset + done, request.offset + request.length);
    if (request.action != DiskAction::write_through || m_flushes == Flushes::are_lies) {
        return;
    }
    for (uint64_t sector = request.offset / k_sector; sector * k_sector < request.offset + done; ++sector) {
        Versions& versions = m_pending[sector];
        const auto last = std::ranges::find(versions.rbegin(), versions.rend(), number, &Version::request);
        make_durable(sector, versions, static_cast<size_t>(versions.rend() - last));
        if (versions.empty()) {
            m_pending.erase(sector);
        }
    }
}

// What the host did not do.
void DiskHistory::forget(uint32_t number, uint64_t from, uint64_t end) {
    for (uint64_t sector = from / k_sector; sector * k_sector < end; ++sector) {
        const uint64_t keep = sector * k_sector < from ? from % k_sector : 0;
        std::erase_if(m_pending[sector], [&](Version& version) {
            version.end = version.request == number ? std::min(version.end, static_cast<uint32_t>(std::max<uint64_t>(keep, version.begin)))
                                                    : version.end;
            return version.begin == version.end;
        });
        if (m_pending[sector].empty()) {
            m_pending.erase(sector);
        }
    }
}

void DiskHistory::put(uint64_t sector, const Version& version) {
    const size_t at = sector * k_sector + version.begin;
    const size_t count = version.end - version.begin;
    if (version.data != nullptr) {
        m_durable.resize(std::max(m_durable.size(), at + count));
        std::memcpy(&m_durable[at], version.data, count);
    } else if (at < m_durable.size()) {
        std::memset(&m_durable[at], 0, std::min(count, m_durable.size() - at));
    }
}

void DiskHistory::put_for_now(uint64_t sector, const Version& version) {
    const size_t at = sector * k_sector;
    if (at < m_durable.size()) {
        const auto* const from = m_durable.data() + at;
        m_saved.push_back({at, {from, from + std::min<size_t>(k_sector, m_durable.size() - at)}});
    }
    put(sector, version);
}

void DiskHistory::end_cut() {
    for (auto saved = m_saved.rbegin(); saved != m_saved.rend(); ++saved) {
        std::ranges::copy(saved->bytes, m_durable.begin() + static_cast<ptrdiff_t>(saved->offset));
    }
    m_saved.clear();
    m_durable.resize(m_saved_size);
}

std::vector<uint64_t> DiskHistory::pieces(Pieces which) const {
    std::vector<uint64_t> offsets;
    for (uint64_t piece = 0; piece * k_piece < m_durable.size(); ++piece) {
        if (which == Pieces::all || (piece < m_written.size() && m_written[piece])) {
            offsets.push_back(piece * k_piece);
        }
    }
    return offsets;
}

// The first `count`. A discard may have done nothing, and goes on to be possible.
void DiskHistory::make_durable(uint64_t sector, Versions& versions, size_t count) {
    while (count != 0 && versions[count - 1].may_be_void) {
        --count;
    }
    for (size_t i = 0; i < count; ++i) {
        if (!versions[i].may_be_void) {
            put(sector, versions[i]);
        }
    }
    versions.erase(versions.begin(), versions.begin() + static_cast<ptrdiff_t>(count));
    const auto* const at = m_durable.data() + sector * k_sector;
    const bool is_zero = (sector + 1) * k_sector <= m_durable.size() && std::all_of(at, at + k_sector, [](uint8_t b) { return b == 0; });
    while (is_zero && !versions.empty() && versions.front().may_be_void) {
        versions.erase(versions.begin());
    }
}

void DiskHistory::flushed(uint64_t before) {
    for (auto entry = m_pending.begin(); entry != m_pending.end();) {
        Versions& versions = entry->second;
        size_t count = versions.size();
        while (count != 0 && m_requests[versions[count - 1].request].ended_at >= before) {
            --count;
        }
        make_durable(entry->first, versions, count);
        entry = versions.empty() ? m_pending.erase(entry) : std::next(entry);
    }
}

DiskHistory::Cut DiskHistory::cut(std::mt19937& random, uint64_t tear) {
    Cut cut;
    m_saved_size = m_durable.size();
    // Now and then nothing at all gets there, or all; else each request wholly, in part or not.
    const unsigned luck = random() % 6;
    const uint64_t salt = random();
    for (const auto& [sector, versions] : m_pending) {
        size_t taken = versions.size();
        for (; taken != 0; --taken) {
            const uint32_t request = versions[taken - 1].request;
            const unsigned fate = fate_of(salt, request);
            const bool is_torn_off = (mixed(salt + request, sector * k_sector / tear) & 1) != 0;
            if (luck == 1 || (luck != 0 && (fate == 1 || (fate > 1 && is_torn_off)))) {
                break;
            }
        }
        ++(taken == 0 ? cut.lost : cut.kept);
        for (size_t i = 0; i < taken; ++i) {
            put_for_now(sector, versions[i]);
        }
    }
    cut.bytes = m_durable;
    return cut;
}

bool DiskHistory::may_hold(uint64_t sector, const Versions& versions, std::span<const uint8_t> now) const {
    constexpr std::array<uint8_t, k_sector> k_zeros{};
    const auto is = [&](const uint8_t* bytes) { return std::memcmp(bytes, now.data(), k_sector) == 0; };
    return is(&m_durable[sector * k_sector]) ||
           std::ranges::any_of(versions, [&](const Version& version) { return is(version.data == nullptr ? k_zeros.data() : version.data); });
}

int64_t DiskHistory::wrong_sector(std::span<const uint8_t> now, std::span<const uint64_t> pieces) const {
    for (const uint64_t from : pieces) {
        const uint64_t end = std::min<uint64_t>(from + k_piece, now.size());
        if (std::memcmp(&m_durable[from], &now[from], end - from) == 0) {
            continue;
        }
        for (uint64_t at = from; at < end; at += k_sector) {
            const auto found = m_pending.find(at / k_sector);
            if (!may_hold(at / k_sector, found == m_pending.end() ? Versions{} : found->second, now.subspan(at, k_sector))) {
                return static_cast<int64_t>(at / k_sector);
            }
        }
    }
    return -1;
}

}  // namespace skep::test
