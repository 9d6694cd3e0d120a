// SPDX-License-Identifier: GPL-3.0-or-later
// A sound back end for tests: keeps what is played, speaks what it is told to, and may have no room.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <numbers>
#include <span>
#include <vector>

#include "display/sound/sound_backend.hpp"

namespace skep::test {

class RecordingSound final : public SoundBackend {
  public:
    [[nodiscard]] std::unique_ptr<SoundOutput> open_output(uint32_t rate) override {
        ++outputs_opened;
        output_rate = rate;
        return std::make_unique<Output>(*this);
    }
    [[nodiscard]] std::unique_ptr<SoundInput> open_input(uint32_t rate) override {
        ++inputs_opened;
        input_rate = rate;
        return std::make_unique<Input>(*this);
    }

    std::vector<SoundFrame> played;
    size_t room = k_any_number_of_frames;  // what is written takes from it
    size_t most_played = 10'000'000;       // later frames are dropped: fuzzers play for long
    std::vector<SoundFrame> spoken;        // what the microphone hears, once; then nothing comes
    size_t heard = 0;
    int32_t pace_ppm = 0;
    unsigned outputs_opened = 0;
    unsigned inputs_opened = 0;
    unsigned outputs_open = 0;
    uint32_t output_rate = 0;
    uint32_t input_rate = 0;

  private:
    class Output final : public SoundOutput {
      public:
        explicit Output(RecordingSound& sound) : m_sound(sound) { ++m_sound.outputs_open; }
        ~Output() override { --m_sound.outputs_open; }
        [[nodiscard]] size_t room() override { return m_sound.room; }
        void write(std::span<const SoundFrame> frames) override {
            const size_t kept = std::min(frames.size(), m_sound.most_played - std::min(m_sound.played.size(), m_sound.most_played));
            m_sound.played.insert(m_sound.played.end(), frames.begin(), frames.begin() + static_cast<long>(kept));
            if (m_sound.room != k_any_number_of_frames) {
                m_sound.room -= frames.size();
            }
        }
        [[nodiscard]] int32_t pace_ppm() override { return m_sound.pace_ppm; }

      private:
        RecordingSound& m_sound;
    };
    class Input final : public SoundInput {
      public:
        explicit Input(RecordingSound& sound) : m_sound(sound) {}
        [[nodiscard]] size_t available() override { return m_sound.spoken.size() - m_sound.heard; }
        void read(std::span<SoundFrame> frames) override {
            std::copy_n(m_sound.spoken.begin() + static_cast<long>(m_sound.heard), frames.size(), frames.begin());
            m_sound.heard += frames.size();
        }

      private:
        RecordingSound& m_sound;
    };
};

inline std::vector<SoundFrame> sine(double frequency, uint32_t rate, size_t frames, double amplitude = 0.5) {
    std::vector<SoundFrame> result;
    for (size_t index = 0; index < frames; ++index) {
        const auto sample = static_cast<float>(
            amplitude * std::sin(2 * std::numbers::pi * frequency * static_cast<double>(index) / rate));
        result.push_back({sample, -sample});
    }
    return result;
}

// The frequency of a steady tone, by its rising zero crossings (between samples); 0 when there are fewer than two.
inline double frequency_of(std::span<const SoundFrame> frames, uint32_t rate) {
    double first = -1;
    double last = -1;
    size_t count = 0;
    for (size_t index = 1; index < frames.size(); ++index) {
        const double before = frames[index - 1].left;
        const double after = frames[index].left;
        if (before < 0 && after >= 0) {
            last = static_cast<double>(index - 1) + before / (before - after);
            first = count++ == 0 ? last : first;
        }
    }
    return count < 2 ? 0 : static_cast<double>(count - 1) * rate / (last - first);
}

}  // namespace skep::test
