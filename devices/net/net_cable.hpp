// SPDX-License-Identifier: GPL-3.0-or-later
// The cable between a card and a back end. It can be pulled and plugged elsewhere while the machine runs; it counts, and
// notes by which addresses the guest is known.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "devices/net/guest_addresses.hpp"
#include "devices/net/net_backend.hpp"

namespace skep {

// A network card as its cable sees it. Called without locks; the card takes its gate.
class NetCard {
  public:
    virtual ~NetCard() = default;
    // On the back end's thread, as NetSink's.
    virtual size_t frames_arrived(std::span<const NetFrame> frames) = 0;
    virtual void room_made() = 0;
    // The cable's state is another. Control thread.
    virtual void link_changed() = 0;
};

struct NetCounters {
    uint64_t frames_sent = 0;  // by the guest
    uint64_t bytes_sent = 0;
    uint64_t frames_received = 0;
    uint64_t bytes_received = 0;
    uint64_t dropped = 0;  // both ways
};

class NetCable final : private NetSink {
  public:
    enum class Link { down, up };

    explicit NetCable(Link link) : m_is_up(link == Link::up) {}
    ~NetCable() override;
    NetCable(const NetCable&) = delete;
    NetCable& operator=(const NetCable&) = delete;

    // --- the card's side: set_card() without its gate, the rest with it --------------------------------
    // Once; null when the card goes: nothing of the card is called any more when it returns.
    void set_card(NetCard* card);
    // As NetBackend::send(). With the cable pulled, everything is taken and lost.
    size_t send(std::span<const NetFrame> frames);
    void request_room();
    void card_ready();  // after frames_arrived() has refused some
    void set_offloads(const NetOffloads& offloads);
    [[nodiscard]] bool is_up() const { return m_is_up.load(std::memory_order_relaxed); }

    // --- control thread, the card's gate not held ------------------------------------------------
    // Null: a cable that ends nowhere.
    void connect(std::shared_ptr<NetBackend> backend);
    void set_link(Link link);
    [[nodiscard]] NetCounters counters() const;  // any thread
    [[nodiscard]] GuestAddresses addresses() const;

  private:
    // NetSink
    size_t receive(std::span<const NetFrame> frames) override;
    void room() override;

    [[nodiscard]] std::shared_ptr<NetBackend> backend() const;
    [[nodiscard]] bool fits(const NetHeader& header, const NetOffloads& offloads) const;
    size_t receive_unfit(const NetFrame& frame);
    void note_addresses(std::span<const NetFrame> frames);
    void note_answer(const NetFrame& frame);
    void count_received(std::span<const NetFrame> frames);

    NetCard* m_card = nullptr;
    std::atomic<bool> m_is_up;
    mutable std::mutex m_mutex;  // of what follows; never held during calls
    std::shared_ptr<NetBackend> m_backend;
    NetOffloads m_offloads;
    GuestAddresses m_addresses;
    std::atomic<uint64_t> m_frames_sent{0}, m_bytes_sent{0}, m_frames_received{0}, m_bytes_received{0}, m_dropped{0};
};

}  // namespace skep
