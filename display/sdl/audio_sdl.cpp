// SPDX-License-Identifier: GPL-3.0-or-later
#include "display/sdl/audio_sdl.hpp"

#include <algorithm>
#include <chrono>
#include <vector>

namespace skep {
namespace {

using SteadyClock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr uint32_t k_target_parts = 20;    // the queue aims at 1/20 s ...
constexpr uint32_t k_capacity_parts = 10;  // ... and holds 1/10 s
constexpr int64_t k_most_ppm = 5000;       // half a percent is not seen by guests' clocks of sound, and quick enough
constexpr auto k_patience = 2s;            // with a host that opens; then the guest goes on in silence

// How much faster the guest should run when its queue is short of its target.
int32_t correction(uint32_t target, uint32_t queued) {
    const int64_t missing = int64_t{target} - int64_t{queued};
    return static_cast<int32_t>(std::clamp(missing * k_most_ppm / target, -k_most_ppm, k_most_ppm));
}

class SdlOutput final : public SoundOutput {
  public:
    SdlOutput(SdlAudioDevice& device, uint32_t rate)
        : m_device(device), m_target(rate / k_target_parts), m_capacity(rate / k_capacity_parts) {
        m_device.use(rate);
    }
    ~SdlOutput() override {
        hand_over();
        if (m_device.ready() != 0) {
            play();  // a sound shorter than the target is to be heard, too
        }
        m_device.release();
    }

    [[nodiscard]] size_t room() override {
        if (deaf()) {
            return k_any_number_of_frames;
        }
        hand_over();  // whoever is told that there is no room does not write
        return m_capacity - std::min(queued(), m_capacity);
    }

    void write(std::span<const SoundFrame> frames) override {
        if (deaf()) {
            m_waiting.clear();
            return;
        }
        m_waiting.insert(m_waiting.end(), frames.begin(), frames.end());
        hand_over();
    }

    [[nodiscard]] int32_t pace_ppm() override { return m_playing ? correction(m_target, queued()) : 0; }

  private:
    // Nobody will ever hear this, or not soon enough to make the guest wait.
    [[nodiscard]] bool deaf() const {
        return m_device.failed() || (m_device.ready() == 0 && SteadyClock::now() - m_begin > k_patience);
    }
    [[nodiscard]] uint32_t queued_by_sdl() const {
        const SDL_AudioDeviceID id = m_device.ready();
        return id == 0 ? 0 : m_device.library().get_queued_audio_size(id) / SdlAudioDevice::k_frame_bytes;
    }
    [[nodiscard]] uint32_t queued() const { return queued_by_sdl() + static_cast<uint32_t>(m_waiting.size()); }
    // What waits goes to SDL once the device is open.
    void hand_over() {
        const SDL_AudioDeviceID id = m_device.ready();
        if (id == 0 || m_waiting.empty()) {
            return;
        }
        // Run dry: better one pause until the queue is filled again than a crackle at every callback.
        if (m_playing && queued_by_sdl() == 0) {
            m_device.library().pause_audio_device(id, 1);
            m_playing = false;
        }
        const auto bytes = static_cast<Uint32>(m_waiting.size() * SdlAudioDevice::k_frame_bytes);
        m_device.library().queue_audio(id, m_waiting.data(), bytes);
        m_waiting.clear();
        if (!m_playing && queued_by_sdl() >= m_target) {
            play();
        }
    }
    void play() {
        m_device.library().pause_audio_device(m_device.ready(), 0);
        m_playing = true;
    }

    SdlAudioDevice& m_device;
    const uint32_t m_target;
    const uint32_t m_capacity;
    const SteadyClock::time_point m_begin = SteadyClock::now();
    std::vector<SoundFrame> m_waiting;  // not yet SDL's: while the device is being opened
    bool m_playing = false;
};

static_assert(sizeof(SoundFrame) == SdlAudioDevice::k_frame_bytes, "SDL takes frames as they are");

class SdlInput final : public SoundInput {
  public:
    SdlInput(SdlAudioDevice& device, uint32_t rate)
        : m_device(device), m_target(rate / k_target_parts), m_capacity(rate / k_capacity_parts) {
        m_device.use(rate);
    }
    ~SdlInput() override { m_device.release(); }

    [[nodiscard]] size_t available() override {
        if (mute()) {
            return k_any_number_of_frames;
        }
        forget_what_is_old();
        return queued();
    }

    void read(std::span<SoundFrame> frames) override {
        size_t got = 0;
        if (const SDL_AudioDeviceID id = m_device.ready(); id != 0) {
            const auto wanted = static_cast<Uint32>(frames.size_bytes());
            got = m_device.library().dequeue_audio(id, frames.data(), wanted) / SdlAudioDevice::k_frame_bytes;
        }
        std::fill(frames.begin() + static_cast<long>(got), frames.end(), SoundFrame{});
    }

    [[nodiscard]] int32_t pace_ppm() override { return m_device.ready() == 0 ? 0 : -correction(m_target, queued()); }

  private:
    [[nodiscard]] bool mute() const {
        return m_device.failed() || (m_device.ready() == 0 && SteadyClock::now() - m_begin > k_patience);
    }
    [[nodiscard]] uint32_t queued() const {
        const SDL_AudioDeviceID id = m_device.ready();
        return id == 0 ? 0 : m_device.library().get_queued_audio_size(id) / SdlAudioDevice::k_frame_bytes;
    }
    // The guest has stood still meanwhile: what was said then is not to be heard later and later.
    void forget_what_is_old() {
        if (queued() > m_capacity * 2) {
            m_device.library().clear_queued_audio(m_device.ready());
        }
    }

    SdlAudioDevice& m_device;
    const uint32_t m_target;
    const uint32_t m_capacity;
    const SteadyClock::time_point m_begin = SteadyClock::now();
};

}  // namespace

std::unique_ptr<SoundOutput> SdlSound::open_output(uint32_t rate) { return std::make_unique<SdlOutput>(m_loudspeaker, rate); }
std::unique_ptr<SoundInput> SdlSound::open_input(uint32_t rate) { return std::make_unique<SdlInput>(m_microphone, rate); }

}  // namespace skep
