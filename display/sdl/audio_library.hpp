// SPDX-License-Identifier: GPL-3.0-or-later
// SDL2's sound functions, loaded when a guest first makes a sound: SDL drags fifty libraries into a process, which
// machines without sound neither wait for nor trust.
#pragma once

#include <SDL2/SDL_audio.h>
#include <SDL2/SDL_error.h>
#include <SDL2/SDL_hints.h>

#include "vmm/base/result.hpp"

namespace skep {

struct SdlAudioLibrary {
    int (*init_subsystem)(Uint32) = nullptr;
    void (*quit_subsystem)(Uint32) = nullptr;
    decltype(&SDL_SetHint) set_hint = nullptr;
    decltype(&SDL_GetError) get_error = nullptr;
    decltype(&SDL_GetCurrentAudioDriver) get_current_audio_driver = nullptr;
    decltype(&SDL_OpenAudioDevice) open_audio_device = nullptr;
    decltype(&SDL_CloseAudioDevice) close_audio_device = nullptr;
    decltype(&SDL_PauseAudioDevice) pause_audio_device = nullptr;
    decltype(&SDL_QueueAudio) queue_audio = nullptr;
    decltype(&SDL_DequeueAudio) dequeue_audio = nullptr;
    decltype(&SDL_GetQueuedAudioSize) get_queued_audio_size = nullptr;
    decltype(&SDL_ClearQueuedAudio) clear_queued_audio = nullptr;

    // The one of this process; loaded at the first call, which reads files. Any thread. Stays for good: SDL's libraries
    // do not all survive being unloaded.
    static Result<const SdlAudioLibrary*> load();
};

}  // namespace skep
