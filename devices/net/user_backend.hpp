// SPDX-License-Identifier: GPL-3.0-or-later
// The host's network by address translation, for which nobody needs rights. What parses the guest's packets is a process
// of its own (skep-net), sandboxed and started anew when it dies; here is the other end of the socket to it.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "devices/net/frame_link.hpp"
#include "devices/net/nat_report.hpp"
#include "devices/net/threaded_backend.hpp"
#include "vmm/base/result.hpp"
#include "vmm/spec/network_forward.hpp"

namespace skep {

struct UserBackendConfig {
    bool restricted = false;
    std::vector<NetworkForward> forwards;
};

class UserBackend final : public ThreadedBackend, private FrameLinkOwner {
  public:
    // channel: to a skep-net that was started for it. Fails when that says nothing, or a forward's port is taken. Control
    // thread; in the sandbox, too.
    static Result<std::shared_ptr<UserBackend>> start(NetThread& thread, Fd channel, const UserBackendConfig& config);
    // Waits a moment for the process to end, and so for its ports to be free.
    ~UserBackend() override;

    // NetBackend
    size_t send(std::span<const NetFrame> frames) override;
    void sink_ready() override;
    void set_offloads(const NetOffloads& offloads) override;

    // Control thread. Waits for the answer, at most k_answer_milliseconds.
    Status add_forward(const NetworkForward& forward);
    Status remove_forward(const NetworkForward& forward);
    [[nodiscard]] std::vector<NetworkForward> forwards() const;
    // Any thread: as of a second ago.
    [[nodiscard]] NatReport report() const;
    // How often the process has been started anew.
    [[nodiscard]] unsigned restarts() const;

    static constexpr int k_answer_milliseconds = 3000;

  private:
    explicit UserBackend(NetThread& thread) : ThreadedBackend(thread) {}

    // FrameLinkOwner
    size_t link_frames(FrameLink& link, std::span<const NetFrame> frames) override;
    void link_text(FrameLink& link, std::string_view text) override;
    void link_room(FrameLink& link) override;
    void link_closed(FrameLink& link) override;

    [[nodiscard]] Result<Fd> receive_socket(std::string& why) const;
    void on_channel();
    void use_socket(Fd socket);
    [[nodiscard]] Status ask(const std::string& words);
    [[nodiscard]] std::string offloads_text() const;

    Fd m_channel;  // to the process that starts the other
    bool m_restricted = false;

    mutable std::mutex m_mutex;
    std::condition_variable m_answered;
    std::shared_ptr<FrameLink> m_link;  // null while there is no process; replaced on the network thread
    NetOffloads m_offloads;
    std::vector<NetworkForward> m_forwards;
    unsigned m_last_question = 0;
    std::map<unsigned, std::optional<std::string>> m_questions;  // waiting; the answer is an error or empty
    NatReport m_report;
    unsigned m_restarts = 0;
};

}  // namespace skep
