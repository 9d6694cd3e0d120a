// SPDX-License-Identifier: GPL-3.0-or-later
// SdlAudioDevice: one direction of the host's sound. Opening and closing wait for sound servers, so a thread of its own
// does both; who plays or records never waits.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

#include "display/sdl/audio_library.hpp"

namespace skep {

class SdlAudioDevice {
  public:
    enum class Direction { playback, capture };
    // Frames are two floats, left and right.
    static constexpr uint32_t k_frame_bytes = 2 * sizeof(float);

    explicit SdlAudioDevice(Direction direction) : m_direction(direction) {}
    ~SdlAudioDevice();
    SdlAudioDevice(const SdlAudioDevice&) = delete;
    SdlAudioDevice& operator=(const SdlAudioDevice&) = delete;

    // One user at a time. The device is opened at this rate (SDL converts to the host's) and is ready some time later.
    void use(uint32_t rate);
    // Playback goes on for a moment: what was queued is heard, and the next sound finds the device open.
    void release();

    // For the user: SDL's number of the open device, 0 while it is not open yet or cannot be opened. What is done with
    // it by library() does not wait for the host.
    [[nodiscard]] SDL_AudioDeviceID ready() const { return m_ready.load(std::memory_order_acquire); }
    [[nodiscard]] const SdlAudioLibrary& library() const { return *m_library; }  // while ready() is not 0
    // It cannot be opened; the log says why.
    [[nodiscard]] bool failed() const { return m_failed.load(std::memory_order_acquire); }

  private:
    using SteadyClock = std::chrono::steady_clock;

    void run();
    void open(std::unique_lock<std::mutex>& lock);
    void close(std::unique_lock<std::mutex>& lock);
    [[nodiscard]] Result<SDL_AudioDeviceID> open_at(uint32_t rate);
    void drain(SDL_AudioDeviceID device) const;
    [[nodiscard]] bool wants_other_rate() const { return m_in_use && m_wanted_rate != m_rate; }
    [[nodiscard]] bool idle_for_long() const { return !m_in_use && SteadyClock::now() >= m_close_at; }
    void log_once(const std::string& sentence);

    const Direction m_direction;
    const SdlAudioLibrary* m_library = nullptr;  // set before m_ready
    std::atomic<SDL_AudioDeviceID> m_ready{0};
    std::atomic<bool> m_failed{false};

    std::mutex m_mutex;
    std::condition_variable m_changed;
    bool m_quit = false;
    bool m_in_use = false;
    uint32_t m_wanted_rate = 0;
    SteadyClock::time_point m_close_at;
    SDL_AudioDeviceID m_device = 0;  // opened and closed by the thread
    uint32_t m_rate = 0;             // of m_device
    std::string m_logged;            // the thread's
    std::thread m_thread;            // from the first use on
};

}  // namespace skep
