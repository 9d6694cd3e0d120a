// SPDX-License-Identifier: GPL-3.0-or-later
// A private network: the cards of one user's machines that named the same one see each other as on a switch, and nothing
// else. There is no process in the middle. Each machine listens at a socket of its own in the network's folder, and whoever
// comes connects to all that are there; each has the part of the switch that its own frames need: which address is behind
// which connection. What arrives is input from outside: FrameStream bounds it, headers are checked, tables are limited.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "devices/net/frame_link.hpp"
#include "devices/net/threaded_backend.hpp"
#include "vmm/base/result.hpp"

namespace skep {

class PrivateNetwork final : public ThreadedBackend, private FrameLinkOwner {
  public:
    static constexpr size_t k_most_others = 64;
    static constexpr size_t k_most_addresses = 256;  // behind one connection; with more, all of it are forgotten
    static constexpr int k_join_milliseconds = 2000;
    static constexpr int k_patience_milliseconds = 100;

    // folder: the network's, which exists and belongs to this user alone. machine: what the others call this one.
    // Waits for others that join in the same moment, at most k_join_milliseconds. Control thread; in the sandbox, too.
    static Result<std::shared_ptr<PrivateNetwork>> join(NetThread& thread, const std::filesystem::path& folder,
                                                        const std::string& machine);
    ~PrivateNetwork() override;

    // NetBackend. A machine that does not take its frames is waited for k_patience_milliseconds; then frames for it are
    // lost, as in a switch, until it takes some again.
    size_t send(std::span<const NetFrame> frames) override;
    void sink_ready() override;

    // The names of the other machines, sorted. Any thread.
    [[nodiscard]] std::vector<std::string> others() const;

  private:
    struct Other {
        std::shared_ptr<FrameLink> link;
        std::string name;
        size_t addresses = 0;
        bool full = false;     // it has refused frames and not said since that there is room
        bool watched = false;  // its patience is running out
        bool stuck = false;
    };
    using Mac = uint64_t;  // six bytes

    PrivateNetwork(NetThread& thread, std::string machine) : ThreadedBackend(thread), m_machine(std::move(machine)) {}

    // FrameLinkOwner
    size_t link_frames(FrameLink& link, std::span<const NetFrame> frames) override;
    void link_text(FrameLink& link, std::string_view text) override;
    void link_room(FrameLink& link) override;
    void link_closed(FrameLink& link) override;

    [[nodiscard]] Status enter(const std::filesystem::path& folder, std::vector<Fd>& others);
    [[nodiscard]] Status listen();
    [[nodiscard]] std::vector<Fd> connect_to_all() const;
    void accept_others();
    void add_other(Fd socket);
    [[nodiscard]] std::shared_ptr<Other> other_of(const FrameLink& link) const;
    void learn(const std::shared_ptr<Other>& other, Mac address);
    void forget(const Other& other);
    void flood(std::span<const NetFrame> frames);
    void watch(const std::shared_ptr<Other>& other);
    void patience_ends(const std::shared_ptr<Other>& other);

    const std::string m_machine;
    Fd m_folder;
    std::string m_file;  // our socket's, in the folder
    Fd m_listener;
    std::shared_ptr<bool> m_alive = std::make_shared<bool>(true);  // for what waits on the loop; network thread

    mutable std::mutex m_mutex;  // of what follows; FrameLink's may be taken with it, never the other way round
    std::vector<std::shared_ptr<Other>> m_others;
    std::unordered_map<Mac, std::weak_ptr<Other>> m_places;
};

}  // namespace skep
