// SPDX-License-Identifier: GPL-3.0-or-later
#include "display/sdl/audio_library.hpp"

#include <dlfcn.h>

#include <mutex>

namespace skep {
namespace {

constexpr const char* k_library = "libSDL2-2.0.so.0";

class Symbols {
  public:
    explicit Symbols(void* library) : m_library(library) {}
    template <typename Function>
    void find(Function& function, const char* name) {
        function = reinterpret_cast<Function>(dlsym(m_library, name));
        m_complete = m_complete && function != nullptr;
    }
    [[nodiscard]] bool complete() const { return m_complete; }

  private:
    void* m_library;
    bool m_complete = true;
};

// ALSA, where there is no sound card, tells standard error so in nine lines each time; one sentence in the log will do.
void say_nothing(const char* /*file*/, int /*line*/, const char* /*function*/, int /*error*/, const char* /*format*/, ...) {}

void silence_alsa(void* library) {
    using Handler = void (*)(const char*, int, const char*, int, const char*, ...);
    // It comes along with SDL, if at all.
    if (void* function = dlsym(library, "snd_lib_error_set_handler"); function != nullptr) {
        reinterpret_cast<int (*)(Handler)>(function)(&say_nothing);
    }
}

bool find_functions(void* library, SdlAudioLibrary& functions) {
    Symbols symbols(library);
    symbols.find(functions.init_subsystem, "SDL_InitSubSystem");
    symbols.find(functions.quit_subsystem, "SDL_QuitSubSystem");
    symbols.find(functions.set_hint, "SDL_SetHint");
    symbols.find(functions.get_error, "SDL_GetError");
    symbols.find(functions.get_current_audio_driver, "SDL_GetCurrentAudioDriver");
    symbols.find(functions.open_audio_device, "SDL_OpenAudioDevice");
    symbols.find(functions.close_audio_device, "SDL_CloseAudioDevice");
    symbols.find(functions.pause_audio_device, "SDL_PauseAudioDevice");
    symbols.find(functions.queue_audio, "SDL_QueueAudio");
    symbols.find(functions.dequeue_audio, "SDL_DequeueAudio");
    symbols.find(functions.get_queued_audio_size, "SDL_GetQueuedAudioSize");
    symbols.find(functions.clear_queued_audio, "SDL_ClearQueuedAudio");
    return symbols.complete();
}

}  // namespace

Result<const SdlAudioLibrary*> SdlAudioLibrary::load() {
    static std::mutex mutex;
    static SdlAudioLibrary functions;
    static bool loaded = false;
    const std::lock_guard lock(mutex);
    if (loaded) {
        return &functions;
    }
    void* library = dlopen(k_library, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        return fail(ErrorKind::unsupported, "SDL2 cannot be loaded: {}; install it to hear guests.", dlerror());
    }
    if (!find_functions(library, functions)) {
        return fail(ErrorKind::unsupported, "{} lacks functions that every SDL2 has; install another one to hear guests.",
                    k_library);
    }
    silence_alsa(library);
    functions.set_hint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
    functions.set_hint(SDL_HINT_APP_NAME, "Skep");
    loaded = true;
    return &functions;
}

}  // namespace skep
