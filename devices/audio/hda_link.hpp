// SPDX-License-Identifier: GPL-3.0-or-later
// HdaLink: what flows between the controller's streams, the codec's converters and the host. A stream whose tag no
// converter has taken runs at its pace and is heard by nobody.
#pragma once

#include <array>
#include <memory>

#include "devices/audio/hda_codec.hpp"
#include "devices/audio/hda_stream.hpp"
#include "display/sound/sound_backend.hpp"

namespace skep {

class HdaLink {
  public:
    explicit HdaLink(std::shared_ptr<SoundBackend> host) : m_host(std::move(host)) {}

    [[nodiscard]] HdaCodec& codec() { return m_codec; }
    [[nodiscard]] const HdaCodec& codec() const { return m_codec; }
    // Lets a stream do what has fallen due. When it does not run, the host's stream is given back.
    void advance(HdaStream& stream);
    // Gives the host's streams back: at reset, and when another state is loaded.
    void disconnect();

  private:
    static constexpr size_t k_most_frames = 256;  // moved at once
    // The host's stream of one direction and the controller's stream that has it.
    template <typename HostStream>
    struct Connection {
        std::unique_ptr<HostStream> host;
        unsigned owner = 0;
        uint32_t rate = 0;
        [[nodiscard]] bool owned_by(const HdaStream& stream) const { return host != nullptr && owner == stream.index(); }
    };
    // The host's stream for one of the controller's; null when the converter is not tuned to it or another one has it.
    template <typename HostStream, typename Open>
    HostStream* connect(Connection<HostStream>& connection, const HdaStream& stream, const HdaTap& tap, Open open);
    void play(HdaStream& stream);
    void record(HdaStream& stream);

    std::shared_ptr<SoundBackend> m_host;
    HdaCodec m_codec;
    Connection<SoundOutput> m_playing;
    Connection<SoundInput> m_recording;
    std::array<SoundFrame, k_most_frames> m_frames{};
    std::array<std::byte, k_most_frames * hda::k_most_frame_bytes> m_bytes{};
};

}  // namespace skep
