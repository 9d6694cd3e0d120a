// SPDX-License-Identifier: GPL-3.0-or-later
// A tap interface of the host (Documentation/networking/tuntap.rst), which somebody else has opened (vmm/control,
// network_plug.hpp). With a virtio_net_hdr in front of each frame (IFF_VNET_HDR) checksums and segmentation are the
// kernel's; without, what the guest left to others is done here.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "devices/net/threaded_backend.hpp"
#include "vmm/base/result.hpp"

namespace skep {

class TapBackend final : public ThreadedBackend {
  public:
    // tap: kind invalid_input when it is none. Control thread; in the sandbox, too.
    static Result<std::shared_ptr<TapBackend>> start(NetThread& thread, Fd tap);
    ~TapBackend() override;

    // NetBackend. While the interface is down, frames are lost.
    size_t send(std::span<const NetFrame> frames) override;
    void sink_ready() override;
    void set_offloads(const NetOffloads& offloads) override;

    [[nodiscard]] bool has_header() const { return m_header_bytes != 0; }

  private:
    static constexpr size_t k_batch = 16;  // frames of one round of reading

    TapBackend(NetThread& thread, Fd tap) : ThreadedBackend(thread), m_fd(std::move(tap)) {}
    [[nodiscard]] Status set_up();
    enum class Sent { taken, no_room };
    [[nodiscard]] Sent send_one(const NetFrame& frame);
    [[nodiscard]] Sent write_pieces(std::span<const iovec> pieces);
    void on_events(uint32_t events);
    void read();
    [[nodiscard]] bool fill();
    [[nodiscard]] bool deliver();
    void update_events();

    Fd m_fd;
    size_t m_header_bytes = 0;
    std::mutex m_mutex;
    bool m_wants_room = false;       // with the lock
    bool m_asked = false;            // with the lock: update_events() is on its way
    std::vector<iovec> m_pieces;     // of send(): with the card's gate
    std::vector<uint8_t> m_scratch;  // the same

    // Network thread
    bool m_reads = true;
    bool m_gone = false;  // the interface was deleted
    uint32_t m_events = 0;
    std::vector<uint8_t> m_received;  // k_batch places of the largest size
    std::vector<NetFrame> m_frames;   // read, and not taken from m_first on
    std::vector<iovec> m_frame_pieces;
    size_t m_first = 0;
};

}  // namespace skep
