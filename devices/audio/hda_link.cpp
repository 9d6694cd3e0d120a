// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/audio/hda_link.hpp"

#include <algorithm>

namespace skep {
namespace {

void amplify(std::span<SoundFrame> frames, const HdaTap& tap) {
    for (SoundFrame& frame : frames) {
        frame.left *= tap.left;
        frame.right *= tap.right;
    }
}

}  // namespace

void HdaLink::disconnect() {
    m_playing = {};
    m_recording = {};
}

void HdaLink::advance(HdaStream& stream) {
    if (stream.running()) {
        if (stream.direction() == HdaDirection::output) {
            play(stream);
        } else {
            record(stream);
        }
    }
    if (!stream.running() && m_playing.owned_by(stream)) {
        m_playing = {};
    }
    if (!stream.running() && m_recording.owned_by(stream)) {
        m_recording = {};
    }
}

template <typename HostStream, typename Open>
HostStream* HdaLink::connect(Connection<HostStream>& connection, const HdaStream& stream, const HdaTap& tap, Open open) {
    const bool tuned = tap.tag != 0 && tap.tag == stream.tag();
    if (connection.owned_by(stream) && (!tuned || connection.rate != stream.format().rate)) {
        connection = {};
    }
    if (!tuned) {
        return nullptr;
    }
    if (!connection.host) {
        connection = {open(stream.format().rate), stream.index(), stream.format().rate};
    }
    return connection.owned_by(stream) ? connection.host.get() : nullptr;
}

void HdaLink::play(HdaStream& stream) {
    const HdaTap tap = m_codec.playing();
    SoundOutput* host = connect(m_playing, stream, tap, [this](uint32_t rate) { return m_host->open_output(rate); });
    size_t frames = stream.due(host != nullptr ? host->pace_ppm() : 0);
    if (host != nullptr && host->room() < frames) {
        stream.forgive();
        frames = host->room();
    }
    const unsigned frame_bytes = stream.format().frame_bytes();
    while (const size_t asked = stream.ahead(std::min(frames, m_frames.size()))) {
        const auto bytes = std::span(m_bytes).first(asked * frame_bytes);
        const size_t got = stream.fetch(bytes) / frame_bytes;
        stream.spend(got);
        frames -= got;
        if (host != nullptr) {
            const auto part = std::span(m_frames).first(got);
            hda::decode_frames(stream.format(), tap.channel, bytes.first(got * frame_bytes), part);
            amplify(part, tap);
            host->write(part);
        }
        if (got < asked) {
            return;
        }
    }
}

void HdaLink::record(HdaStream& stream) {
    const HdaTap tap = m_codec.recording();
    SoundInput* host = connect(m_recording, stream, tap, [this](uint32_t rate) { return m_host->open_input(rate); });
    size_t frames = stream.due(host != nullptr ? host->pace_ppm() : 0);
    if (host != nullptr && host->available() < frames) {
        stream.forgive();
        frames = host->available();
    }
    const unsigned frame_bytes = stream.format().frame_bytes();
    while (const size_t asked = stream.ahead(std::min(frames, m_frames.size()))) {
        const auto part = std::span(m_frames).first(asked);
        if (host != nullptr) {
            host->read(part);
            amplify(part, tap);
        } else {
            std::fill(part.begin(), part.end(), SoundFrame{});
        }
        const auto bytes = std::span(m_bytes).first(asked * frame_bytes);
        hda::encode_frames(stream.format(), tap.channel, part, bytes);
        const size_t stored = stream.store(bytes) / frame_bytes;
        stream.spend(stored);
        frames -= stored;
        if (stored < asked) {
            return;
        }
    }
}

}  // namespace skep
