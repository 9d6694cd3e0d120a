// SPDX-License-Identifier: GPL-3.0-or-later
// SilentSound: nobody listens and nobody speaks. The guest's stream runs at its own pace all the same.
#pragma once

#include "display/sound/sound_backend.hpp"

namespace skep {

class SilentSound final : public SoundBackend {
  public:
    [[nodiscard]] std::unique_ptr<SoundOutput> open_output(uint32_t rate) override;
    [[nodiscard]] std::unique_ptr<SoundInput> open_input(uint32_t rate) override;
};

}  // namespace skep
