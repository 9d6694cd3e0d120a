// SPDX-License-Identifier: GPL-3.0-or-later
// SoundBackend: where a guest's sound device meets the host's ears and voice. The device pulls and pushes at its own
// pace; nothing here ever waits for the host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>

namespace skep {

// Full scale is -1 to 1.
struct SoundFrame {
    float left = 0;
    float right = 0;
    bool operator==(const SoundFrame&) const = default;
};

inline constexpr size_t k_any_number_of_frames = std::numeric_limits<size_t>::max();

// One stream that the guest plays. Calls come on any thread, one at a time; none of them waits, nor does the destructor:
// what was written is still played after it.
class SoundOutput {
  public:
    virtual ~SoundOutput() = default;
    // How many frames it takes now. The guest's stream stands still while there is no room.
    [[nodiscard]] virtual size_t room() = 0;
    // At most room() frames.
    virtual void write(std::span<const SoundFrame> frames) = 0;
    // The host's clock is not the guest's: by how many millionths faster than told the guest's stream should run to
    // keep the host's queue half full.
    [[nodiscard]] virtual int32_t pace_ppm() { return 0; }
};

// One stream that the guest records; rules as for SoundOutput.
class SoundInput {
  public:
    virtual ~SoundInput() = default;
    // How many frames it has now.
    [[nodiscard]] virtual size_t available() = 0;
    // Fills `frames`, at most available().
    virtual void read(std::span<SoundFrame> frames) = 0;
    [[nodiscard]] virtual int32_t pace_ppm() { return 0; }
};

class SoundBackend {
  public:
    virtual ~SoundBackend() = default;
    // rate: frames a second, 5512 to 192000. At most one stream of each direction at a time; never null. When the host
    // has no sound, the stream is silent.
    [[nodiscard]] virtual std::unique_ptr<SoundOutput> open_output(uint32_t rate) = 0;
    [[nodiscard]] virtual std::unique_ptr<SoundInput> open_input(uint32_t rate) = 0;
};

}  // namespace skep
