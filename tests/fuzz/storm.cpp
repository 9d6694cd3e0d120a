// SPDX-License-Identifier: GPL-3.0-or-later
// storm-NAME COUNT SEED [FOLDER...]: a fuzz target fed with COUNT inputs that nobody looks at how they fare: the files of the
// folders changed at random, and bytes of pure chance. Built without libFuzzer (the asan preset), so it is several times as
// fast: for long runs by hand over what fuzz-NAME has found its way into. The input that runs is in FOLDER-less
// ./storm-input, for when it is the last one.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr size_t k_most = 320, k_few = 64;  // bytes of an input: mostly few, since the time goes with them

using Input = std::vector<uint8_t>;

class Storm {
  public:
    Storm(uint64_t seed, std::vector<Input> seeds) : m_state(seed * 2 + 1), m_seeds(std::move(seeds)) {}

    Input next() {
        Input input;
        const size_t most = below(8) == 0 ? k_most : k_few;
        if (m_seeds.empty() || below(8) == 0) {
            input.resize(5 + below(most - 5));
            for (uint8_t& byte : input) {
                byte = static_cast<uint8_t>(number());
            }
            return input;
        }
        const Input& from = m_seeds[below(m_seeds.size())];
        const size_t begin = from.size() > most ? below(from.size() - most) : 0;
        input.assign(from.begin() + static_cast<ptrdiff_t>(begin),
                     from.begin() + static_cast<ptrdiff_t>(std::min(from.size(), begin + most)));
        std::copy_n(from.begin(), std::min<size_t>(4, input.size()), input.begin());
        for (size_t changes = 1 + below(8); changes > 0; --changes) {
            change(input);
        }
        return input;
    }

  private:
    uint64_t number() {
        m_state = m_state * 0x5851'f42d'4c95'7f2d + 0x1405'7b7e'f767'814f;
        return (m_state ^ m_state >> 29) * 0x9e37'79b9'7f4a'7c15 >> 24;
    }
    size_t below(size_t limit) { return number() % limit; }

    void change(Input& input) {
        constexpr uint8_t k_interesting[] = {0, 1, 0x0f, 0x26, 0x40, 0x48, 0x4c, 0x64, 0x65, 0x66, 0x67, 0x7f, 0x80,
                                             0x8e, 0x9d, 0xc4, 0xc5, 0xcd, 0xe8, 0xeb, 0xf0, 0xf2, 0xf3, 0xfb, 0xff};
        const size_t at = below(input.size());
        switch (below(7)) {
            case 0: input[at] ^= static_cast<uint8_t>(1U << below(8)); break;
            case 1: input[at] = static_cast<uint8_t>(number()); break;
            case 2: input[at] = k_interesting[below(std::size(k_interesting))]; break;
            case 3: input.insert(input.begin() + static_cast<ptrdiff_t>(at), k_interesting[below(std::size(k_interesting))]); break;
            case 4:
                if (input.size() > 6) {
                    input.erase(input.begin() + static_cast<ptrdiff_t>(at));
                }
                break;
            case 5: {  // a piece of another one
                const Input& other = m_seeds[below(m_seeds.size())];
                const size_t from = below(other.size()), count = std::min({below(24) + 1, other.size() - from, input.size() - at});
                std::memcpy(input.data() + at, other.data() + from, count);
                break;
            }
            default: input[below(4)] = static_cast<uint8_t>(number()); break;  // mode, rounds, seed, place
        }
    }

    uint64_t m_state;
    std::vector<Input> m_seeds;
};

std::vector<Input> read_seeds(std::span<char*> folders) {
    std::vector<Input> seeds;
    for (const char* folder : folders) {
        for (const auto& entry : std::filesystem::directory_iterator(folder)) {
            std::ifstream file(entry.path(), std::ios::binary);
            Input input((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
            if (input.size() > 4) {
                seeds.push_back(std::move(input));
            }
        }
    }
    return seeds;
}

// Shared with a file, so that it is there when the process is not.
std::span<uint8_t> latest_input() {
    constexpr size_t k_bytes = 4096;
    const int file = open("storm-input", O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (file < 0 || ftruncate(file, k_bytes) != 0) {
        return {};
    }
    void* place = mmap(nullptr, k_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    return place == MAP_FAILED ? std::span<uint8_t>() : std::span(static_cast<uint8_t*>(place), k_bytes);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        std::fprintf(stderr, "usage: storm-NAME COUNT SEED [FOLDER...]\n");
        return 2;
    }
    const uint64_t count = std::strtoull(argv[1], nullptr, 10);
    Storm storm(std::strtoull(argv[2], nullptr, 10), read_seeds(std::span(argv + 3, static_cast<size_t>(argc - 3))));
    const std::span<uint8_t> latest = latest_input();
    const auto start = std::chrono::steady_clock::now();
    for (uint64_t n = 1; n <= count; ++n) {
        const Input input = storm.next();
        if (!latest.empty()) {
            const auto size = static_cast<uint32_t>(input.size());
            std::memcpy(latest.data(), &size, sizeof size);
            std::memcpy(latest.data() + sizeof size, input.data(), input.size());
        }
        LLVMFuzzerTestOneInput(input.data(), input.size());
        if (n % 100'000 == 0 || n == count) {
            const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
            std::printf("%llu inputs, %.0f a second\n", static_cast<unsigned long long>(n), static_cast<double>(n) / seconds);
            std::fflush(stdout);
        }
    }
    return 0;
}
