// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/virtio/virtio_rng.hpp"

#include <sys/random.h>

#include <algorithm>
#include <array>

namespace skep {
namespace {

constexpr uint16_t k_entropy_device_id = 4;
constexpr uint32_t k_class_other = 0xff0000;
constexpr uint16_t k_queue_size = 64;
// Enough for any driver (Linux asks for 64 bytes); a larger buffer is filled in part, which the device may do (5.4.6.1).
constexpr size_t k_max_bytes_per_request = 64 * 1024;

class VirtioRng final : public VirtioDevice {
  public:
    explicit VirtioRng(GuestMemory& memory) : m_memory(memory) {}

    [[nodiscard]] uint16_t device_id() const override { return k_entropy_device_id; }
    [[nodiscard]] uint32_t class_code() const override { return k_class_other; }
    [[nodiscard]] uint64_t features() const override { return 0; }
    [[nodiscard]] std::vector<uint16_t> queue_sizes() const override { return {k_queue_size}; }
    [[nodiscard]] std::vector<std::byte> config() const override { return {}; }
    void set_transport(VirtioTransport& transport) override { m_transport = &transport; }
    void activate(VirtioSession session) override {
        m_session = std::move(session);
        m_active = true;
    }
    [[nodiscard]] bool active() const override { return m_active; }
    VirtioSession deactivate() override {
        m_active = false;
        return std::move(m_session);
    }
    void save(StateWriter& writer) const override { writer.section("virtio-rng", 1); }
    void load(StateReader& reader) override { reader.section("virtio-rng", 1); }

    void queue_notified(unsigned queue_index) override {
        answer_chains(m_session, *m_transport, queue_index, [this](const VirtioChain& chain) { return fill(chain); });
    }

  private:
    uint32_t fill(const VirtioChain& chain) {
        std::array<std::byte, 4096> bytes;
        const uint64_t wanted = std::min<uint64_t>(chain.writable_bytes(), k_max_bytes_per_request);
        uint64_t done = 0;
        while (done < wanted) {
            const size_t piece = std::min<uint64_t>(wanted - done, bytes.size());
            // The pool of a running host never blocks; a signal may cut the call short.
            const ssize_t got = getrandom(bytes.data(), piece, GRND_NONBLOCK);
            if (got <= 0 || !chain.write(m_memory, done, bytes.data(), static_cast<uint64_t>(got))) {
                break;
            }
            done += static_cast<uint64_t>(got);
        }
        return static_cast<uint32_t>(done);
    }

    GuestMemory& m_memory;
    VirtioTransport* m_transport = nullptr;
    VirtioSession m_session;
    bool m_active = false;
};

}  // namespace

std::unique_ptr<VirtioDevice> make_virtio_rng(GuestMemory& memory) { return std::make_unique<VirtioRng>(memory); }

}  // namespace skep
