// SPDX-License-Identifier: GPL-3.0-or-later
// SdlSound: guests are heard and hear by SDL2 (PulseAudio, PipeWire, ALSA). The host's devices are opened when a stream
// runs. Where they cannot be, the stream is silent and the log says so once.
#pragma once

#include "display/sdl/audio_device.hpp"
#include "display/sound/sound_backend.hpp"

namespace skep {

class SdlSound final : public SoundBackend {
  public:
    [[nodiscard]] std::unique_ptr<SoundOutput> open_output(uint32_t rate) override;
    [[nodiscard]] std::unique_ptr<SoundInput> open_input(uint32_t rate) override;

  private:
    SdlAudioDevice m_loudspeaker{SdlAudioDevice::Direction::playback};
    SdlAudioDevice m_microphone{SdlAudioDevice::Direction::capture};
};

}  // namespace skep
