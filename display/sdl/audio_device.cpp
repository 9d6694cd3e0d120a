// SPDX-License-Identifier: GPL-3.0-or-later
#include "display/sdl/audio_device.hpp"

#include <SDL2/SDL.h>
#include <pthread.h>

#include "vmm/base/log.hpp"

namespace skep {
namespace {

using namespace std::chrono_literals;

constexpr auto k_playback_linger = 2s;  // desktop sounds come in bursts
constexpr auto k_longest_drain = 200ms;
constexpr uint32_t k_callbacks_per_second = 100;

// The power of two next to a hundredth of a second: some hosts take no other.
Uint16 callback_frames(uint32_t rate) {
    Uint16 frames = 64;
    while (frames * 2U <= rate / k_callbacks_per_second * 3 / 2) {
        frames = static_cast<Uint16>(frames * 2);
    }
    return frames;
}

// SDL's list of subsystems is not made for two threads at once.
std::mutex& sdl_mutex() {
    static std::mutex mutex;
    return mutex;
}

}  // namespace

SdlAudioDevice::~SdlAudioDevice() {
    {
        const std::lock_guard lock(m_mutex);
        m_quit = true;
        m_changed.notify_all();
    }
    if (m_thread.joinable()) {
        m_thread.join();
    }
}

void SdlAudioDevice::use(uint32_t rate) {
    const std::lock_guard lock(m_mutex);
    m_in_use = true;
    m_wanted_rate = rate;
    m_failed = false;
    m_ready = m_rate == rate ? m_device : 0;
    if (!m_thread.joinable()) {
        m_thread = std::thread([this] { run(); });
        pthread_setname_np(m_thread.native_handle(), m_direction == Direction::playback ? "sound" : "microphone");
    }
    m_changed.notify_all();
}

void SdlAudioDevice::release() {
    const std::lock_guard lock(m_mutex);
    m_in_use = false;
    m_ready = 0;
    // A microphone is open no longer than somebody listens.
    m_close_at = SteadyClock::now() + (m_direction == Direction::playback ? k_playback_linger : 0s);
    m_changed.notify_all();
}

void SdlAudioDevice::run() {
    std::unique_lock lock(m_mutex);
    while (!m_quit) {
        if (m_device != 0 && (wants_other_rate() || idle_for_long())) {
            close(lock);
        } else if (m_device == 0 && m_in_use && !m_failed) {
            open(lock);
        } else if (m_device != 0 && !m_in_use) {
            m_changed.wait_until(lock, m_close_at);
        } else {
            m_changed.wait(lock);
        }
    }
    if (m_device != 0) {
        close(lock);
    }
}

void SdlAudioDevice::open(std::unique_lock<std::mutex>& lock) {
    const uint32_t rate = m_wanted_rate;
    lock.unlock();
    const auto device = open_at(rate);
    if (!device) {
        log_once(device.error().message);
    }
    lock.lock();
    m_device = device.value_or(0);
    m_rate = rate;
    m_failed = m_failed || !device;
    m_ready = m_in_use && m_wanted_rate == rate ? m_device : 0;
}

void SdlAudioDevice::close(std::unique_lock<std::mutex>& lock) {
    const SDL_AudioDeviceID device = m_device;
    const bool may_wait = !m_quit && m_direction == Direction::playback;
    m_device = 0;
    m_rate = 0;
    lock.unlock();
    if (may_wait) {
        drain(device);
    }
    {
        const std::lock_guard sdl(sdl_mutex());
        m_library->close_audio_device(device);
        m_library->quit_subsystem(SDL_INIT_AUDIO);
    }
    lock.lock();
}

void SdlAudioDevice::drain(SDL_AudioDeviceID device) const {
    const auto end = SteadyClock::now() + k_longest_drain;
    while (m_library->get_queued_audio_size(device) != 0 && SteadyClock::now() < end) {
        std::this_thread::sleep_for(10ms);
    }
}

Result<SDL_AudioDeviceID> SdlAudioDevice::open_at(uint32_t rate) {
    const auto library = SdlAudioLibrary::load();
    if (!library) {
        return tl::unexpected(library.error());
    }
    m_library = *library;
    const bool captures = m_direction == Direction::capture;
    const std::lock_guard sdl(sdl_mutex());
    if (m_library->init_subsystem(SDL_INIT_AUDIO) != 0) {
        return fail(ErrorKind::unsupported, "The host's sound cannot be reached ({}): the guest's is silent.",
                    m_library->get_error());
    }
    SDL_AudioSpec wanted{};
    wanted.freq = static_cast<int>(rate);
    wanted.format = AUDIO_F32SYS;
    wanted.channels = 2;
    wanted.samples = callback_frames(rate);
    SDL_AudioSpec got{};
    // No change allowed: SDL converts to whatever the host has.
    const SDL_AudioDeviceID device = m_library->open_audio_device(nullptr, captures ? 1 : 0, &wanted, &got, 0);
    if (device == 0) {
        auto error = fail(ErrorKind::unsupported, "The host's {} cannot be opened ({}): the guest {} silence.",
                          captures ? "microphone" : "loudspeaker", m_library->get_error(), captures ? "hears" : "plays into");
        m_library->quit_subsystem(SDL_INIT_AUDIO);
        return error;
    }
    m_library->pause_audio_device(device, captures ? 0 : 1);  // playback begins when something is queued
    log_debug("sound: {} at {} Hz by {}", captures ? "recording" : "playing", rate, m_library->get_current_audio_driver());
    return device;
}

void SdlAudioDevice::log_once(const std::string& sentence) {
    if (sentence != m_logged) {
        log_warning("{}", sentence);
        m_logged = sentence;
    }
}

}  // namespace skep
