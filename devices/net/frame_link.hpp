// SPDX-License-Identifier: GPL-3.0-or-later
// A FrameStream that lives on an event loop: reads as long as its owner takes frames, writes when the socket has room.
#pragma once

#include <memory>
#include <mutex>

#include "devices/net/frame_stream.hpp"
#include "vmm/base/event_loop.hpp"

namespace skep {

class FrameLink;

// Called on the loop's thread, with no lock held.
class FrameLinkOwner {
  public:
    virtual ~FrameLinkOwner() = default;
    virtual size_t link_frames(FrameLink& link, std::span<const NetFrame> frames) = 0;  // how many were taken
    virtual void link_text(FrameLink& /*link*/, std::string_view /*text*/) {}
    virtual void link_room(FrameLink& link) = 0;
    // The peer has gone or spoke nonsense. The link may be destroyed here.
    virtual void link_closed(FrameLink& link) = 0;
};

class FrameLink {
  public:
    // Made, destroyed and read on the loop's thread.
    FrameLink(EventLoop& loop, Fd socket, FrameLinkOwner& owner);
    ~FrameLink();
    FrameLink(const FrameLink&) = delete;
    FrameLink& operator=(const FrameLink&) = delete;

    // Any thread: how many frames were taken; after fewer than all, link_room() comes.
    size_t send(std::span<const NetFrame> frames);
    void send_text(std::string_view text);
    // Loop thread: after link_frames() has refused some.
    void resume_reading();

  private:
    void on_events(uint32_t events);
    void read();
    void update_events();
    void watch_for_room();

    EventLoop& m_loop;
    FrameLinkOwner& m_owner;
    std::mutex m_mutex;  // of the stream's way out
    FrameStream m_stream;
    bool m_wants_room = false;
    bool m_asked = false;  // update_events() is on its way to the loop
    bool m_reads = true;
    uint32_t m_events = 0;
    std::shared_ptr<bool> m_alive = std::make_shared<bool>(true);  // for tasks that outlive the link; loop thread
};

}  // namespace skep
