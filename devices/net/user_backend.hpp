// SPDX-License-Identifier: GPL-3.0-or-later
// The host's network by address translation, for which nobody needs rights. What parses the guest's packets is a process
// of its own (skep-net), sandboxed and started anew when it dies; here is the other end of the socket to it.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "devices/net/frame_link.hpp"
#include "devices/net/nat_report.hpp"
#include "devices/net/net_backend.hpp"
#include "devices/net/net_thread.hpp"
#include "vmm/base/result.hpp"
#include "vmm/spec/network_forward.hpp"

namespace skep {

struct UserBackendConfig {
    bool restricted = false;
    std::vector<NetworkForward> forwards;
};

class UserBackend final : public NetBackend, private FrameLinkOwner {
  public:
    // Starts `program` (skep-net); fails when it cannot be, or a forward's port is taken. Control thread, before the
    // sandbox closes.
    static Result<std::shared_ptr<UserBackend>> start(NetThread& thread, const std::filesystem::path& program,
                                                      const UserBackendConfig& config);
    ~UserBackend() override;

    // NetBackend
    void attach(NetSink* sink) override;
    size_t send(std::span<const NetFrame> frames) override;
    void request_room() override;
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
    explicit UserBackend(NetThread& thread) : m_thread(thread) {}

    // FrameLinkOwner
    size_t link_frames(FrameLink& link, std::span<const NetFrame> frames) override;
    void link_text(FrameLink& link, std::string_view text) override;
    void link_room(FrameLink& link) override;
    void link_closed(FrameLink& link) override;

    [[nodiscard]] Status spawn(const std::filesystem::path& program);
    [[nodiscard]] Result<Fd> receive_socket(std::string& why) const;
    void on_channel();
    void use_socket(Fd socket);
    [[nodiscard]] Status ask(const std::string& words);
    [[nodiscard]] std::string offloads_text() const;

    NetThread& m_thread;
    Fd m_channel;  // to the process that starts the other
    pid_t m_pid = -1;
    NetSink* m_sink = nullptr;  // network thread
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
