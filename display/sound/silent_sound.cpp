// SPDX-License-Identifier: GPL-3.0-or-later
#include "display/sound/silent_sound.hpp"

#include <algorithm>

namespace skep {
namespace {

class SilentOutput final : public SoundOutput {
  public:
    [[nodiscard]] size_t room() override { return k_any_number_of_frames; }
    void write(std::span<const SoundFrame> /*frames*/) override {}
};

class SilentInput final : public SoundInput {
  public:
    [[nodiscard]] size_t available() override { return k_any_number_of_frames; }
    void read(std::span<SoundFrame> frames) override { std::fill(frames.begin(), frames.end(), SoundFrame{}); }
};

}  // namespace

std::unique_ptr<SoundOutput> SilentSound::open_output(uint32_t /*rate*/) { return std::make_unique<SilentOutput>(); }
std::unique_ptr<SoundInput> SilentSound::open_input(uint32_t /*rate*/) { return std::make_unique<SilentInput>(); }

}  // namespace skep
