// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/net/private_network.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "devices/net/offload.hpp"
#include "vmm/base/log.hpp"

namespace skep {
namespace {

constexpr std::string_view k_socket_end = ".sock";
constexpr std::string_view k_hello = "hello ";
constexpr size_t k_longest_name = 64;
constexpr size_t k_addresses_bytes = 12;  // of both ends, in a frame's front
constexpr uint64_t k_group = uint64_t{1} << 40;

uint64_t mac_at(const uint8_t* bytes) {
    uint64_t mac = 0;
    for (size_t index = 0; index < 6; ++index) {
        mac = mac << 8 | bytes[index];
    }
    return mac;
}

// By way of the folder's descriptor: the path itself may be longer than an address takes (unix(7)).
sockaddr_un address_of(const Fd& folder, const std::string& file) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = fmt::format("/proc/self/fd/{}/{}", folder.get(), file);
    std::copy_n(path.begin(), std::min(path.size(), sizeof address.sun_path - 1), address.sun_path);
    return address;
}

Fd new_socket() { return Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)); }

std::vector<std::string> sockets_in(const Fd& folder) {
    std::vector<std::string> files;
    const std::unique_ptr<DIR, int (*)(DIR*)> list(fdopendir(openat(folder.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)), &closedir);
    while (const dirent* const entry = list ? readdir(list.get()) : nullptr) {
        if (std::string_view(entry->d_name).ends_with(k_socket_end)) {
            files.emplace_back(entry->d_name);
        }
    }
    return files;
}

}  // namespace

Result<std::shared_ptr<PrivateNetwork>> PrivateNetwork::join(NetThread& thread, const std::filesystem::path& folder,
                                                             const std::string& machine) {
    std::shared_ptr<PrivateNetwork> network(new PrivateNetwork(thread, machine));
    std::vector<Fd> others;
    if (Status entered = network->enter(folder, others); !entered) {
        return tl::unexpected(entered.error());
    }
    thread.run([&] {
        for (Fd& other : others) {
            network->add_other(std::move(other));
        }
        thread.loop().add(network->m_listener.get(), EPOLLIN, [self = network.get()](uint32_t) { self->accept_others(); });
    });
    return network;
}

// What was posted before has run when this is.
PrivateNetwork::~PrivateNetwork() {
    m_thread.run([this] {
        *m_alive = false;
        if (m_listener) {
            m_thread.loop().remove(m_listener.get());
        }
        std::vector<std::shared_ptr<Other>> gone;
        const std::lock_guard lock(m_mutex);
        gone.swap(m_others);
    });
    if (!m_file.empty()) {
        unlinkat(m_folder.get(), m_file.c_str(), 0);
    }
}

// One at a time, so that of two who come together exactly one finds the other. The lock goes with whoever holds it.
Status PrivateNetwork::enter(const std::filesystem::path& folder, std::vector<Fd>& others) {
    m_folder = Fd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!m_folder) {
        return fail_errno(errno, fmt::format("Cannot open the private network's folder '{}'", folder.string()));
    }
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::milliseconds(k_join_milliseconds);
    while (flock(m_folder.get(), LOCK_EX | LOCK_NB) != 0) {
        if (std::chrono::steady_clock::now() > give_up) {
            return fail(ErrorKind::in_use, "Another machine has been joining the private network in '{}' for too long; end what hangs, "
                        "then try again.", folder.string());
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    Status listening = listen();
    if (listening) {
        others = connect_to_all();
    }
    flock(m_folder.get(), LOCK_UN);
    return listening;
}

Status PrivateNetwork::listen() {
    uint64_t number = 0;
    [[maybe_unused]] const ssize_t got = getrandom(&number, sizeof number, 0);
    const std::string file = fmt::format("{}-{:016x}{}", getpid(), number, k_socket_end);
    const sockaddr_un address = address_of(m_folder, file);
    m_listener = new_socket();
    if (!m_listener || bind(m_listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(m_listener.get(), k_most_others) != 0) {
        return fail_errno(errno, "Cannot join the private network: no socket in its folder");
    }
    m_file = file;
    return {};
}

// A socket on which nobody listens was left by a machine that was killed.
std::vector<Fd> PrivateNetwork::connect_to_all() const {
    std::vector<Fd> others;
    for (const std::string& file : sockets_in(m_folder)) {
        const sockaddr_un address = address_of(m_folder, file);
        Fd socket = file == m_file || others.size() == k_most_others ? Fd() : new_socket();
        if (!socket) {
            continue;
        }
        if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
            others.push_back(std::move(socket));
        } else if (errno == ECONNREFUSED) {
            unlinkat(m_folder.get(), file.c_str(), 0);
        } else {
            log_warning("network: a machine on the private network cannot be reached: {}", std::strerror(errno));
        }
    }
    return others;
}

void PrivateNetwork::accept_others() {
    while (true) {
        Fd socket(accept4(m_listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!socket) {
            return;
        }
        if (others().size() < k_most_others) {
            add_other(std::move(socket));
        } else {
            log_warning("network: the private network is full: {} other machines", k_most_others);
        }
    }
}

void PrivateNetwork::add_other(Fd socket) {
    auto other = std::make_shared<Other>();
    other->link = std::make_shared<FrameLink>(m_thread.loop(), std::move(socket), static_cast<FrameLinkOwner&>(*this));
    other->link->send_text(std::string(k_hello) + m_machine);
    const std::lock_guard lock(m_mutex);
    m_others.push_back(std::move(other));
}

void PrivateNetwork::sink_ready() {
    m_thread.loop().post([this] {
        std::vector<std::shared_ptr<Other>> all;
        {
            const std::lock_guard lock(m_mutex);
            all = m_others;
        }
        for (const auto& other : all) {
            other->link->resume_reading();
        }
    });
}

// Frames in a row for the same machine go in one call.
size_t PrivateNetwork::send(std::span<const NetFrame> frames) {
    const std::lock_guard lock(m_mutex);
    const auto place_of = [&](const NetFrame& frame) -> std::shared_ptr<Other> {
        std::array<uint8_t, k_addresses_bytes> front{};
        copy_front(frame, front);
        const auto found = m_places.find(mac_at(front.data()));
        return found == m_places.end() ? nullptr : found->second.lock();
    };
    size_t done = 0;
    std::shared_ptr<Other> next = frames.empty() ? nullptr : place_of(frames.front());
    while (done < frames.size()) {
        const std::shared_ptr<Other> other = std::exchange(next, nullptr);
        size_t count = 1;
        for (; done + count < frames.size(); ++count) {
            next = place_of(frames[done + count]);
            if (next != other) {
                break;
            }
        }
        const auto run = frames.subspan(done, count);
        if (!other) {
            flood(run);
        } else if (!other->stuck) {
            const size_t taken = other->link->send(run);
            if (taken < run.size()) {
                watch(other);
                return done + taken;
            }
        }
        done += count;
    }
    return done;
}

// For everybody, or for an address that nobody has shown yet. Who has no room loses them.
void PrivateNetwork::flood(std::span<const NetFrame> frames) {
    for (const auto& other : m_others) {
        if (!other->stuck && !other->full) {
            other->full = other->link->send(frames) < frames.size();
        }
    }
}

// With the lock.
void PrivateNetwork::watch(const std::shared_ptr<Other>& other) {
    other->full = true;
    if (std::exchange(other->watched, true)) {
        return;
    }
    m_thread.loop().post([this, alive = m_alive, weak = std::weak_ptr(other)] {
        m_thread.loop().after(std::chrono::milliseconds(k_patience_milliseconds), [this, alive, weak] {
            if (*alive) {
                patience_ends(weak.lock());
            }
        });
    });
}

void PrivateNetwork::patience_ends(const std::shared_ptr<Other>& other) {
    {
        const std::lock_guard lock(m_mutex);
        if (other) {
            other->watched = false;
            other->stuck = other->full;
        }
    }
    if (m_sink != nullptr) {
        m_sink->room();
    }
}

std::shared_ptr<PrivateNetwork::Other> PrivateNetwork::other_of(const FrameLink& link) const {
    const auto found = std::ranges::find(m_others, &link, [](const auto& other) { return other->link.get(); });
    return found == m_others.end() ? nullptr : *found;
}

// With the lock. The address may move from one machine to another, as a cable may.
void PrivateNetwork::learn(const std::shared_ptr<Other>& other, Mac address) {
    if ((address & k_group) != 0) {
        return;
    }
    std::weak_ptr<Other>& place = m_places[address];
    const auto before = place.lock();
    if (before == other) {
        return;
    }
    if (before) {
        --before->addresses;
    }
    place = other;
    if (++other->addresses > k_most_addresses) {
        forget(*other);
        other->addresses = 0;
    }
}

void PrivateNetwork::forget(const Other& other) {
    std::erase_if(m_places, [&](const auto& entry) {
        const auto there = entry.second.lock();
        return !there || there.get() == &other;
    });
}

size_t PrivateNetwork::link_frames(FrameLink& link, std::span<const NetFrame> frames) {
    {
        const std::lock_guard lock(m_mutex);
        const auto other = other_of(link);
        for (const NetFrame& frame : frames) {
            std::array<uint8_t, k_addresses_bytes> front{};
            copy_front(frame, front);
            if (other) {
                learn(other, mac_at(&front[6]));
            }
        }
    }
    const auto is_sound = [](const NetFrame& frame) { return header_is_sound(frame.header, frame.bytes); };
    size_t done = 0;
    while (done < frames.size() && m_sink != nullptr) {
        const auto bad = std::find_if_not(frames.begin() + static_cast<ptrdiff_t>(done), frames.end(), is_sound);
        const auto good = frames.subspan(done, static_cast<size_t>(bad - frames.begin()) - done);
        const size_t taken = good.empty() ? 0 : std::min(m_sink->receive(good), good.size());
        if (taken < good.size()) {
            return done + taken;
        }
        done += good.size() + (bad == frames.end() ? 0 : 1);  // one that asks for nonsense is lost
    }
    return frames.size();
}

void PrivateNetwork::link_text(FrameLink& link, std::string_view text) {
    if (!text.starts_with(k_hello)) {
        return;
    }
    std::string name(text.substr(k_hello.size(), k_longest_name));
    std::erase_if(name, [](char character) { return static_cast<unsigned char>(character) < 0x20 || character == 0x7f; });
    const std::lock_guard lock(m_mutex);
    if (const auto other = other_of(link); other && other->name.empty()) {
        log_info("network: '{}' is on the private network", name);
        other->name = std::move(name);
    }
}

void PrivateNetwork::link_room(FrameLink& link) {
    {
        const std::lock_guard lock(m_mutex);
        if (const auto other = other_of(link)) {
            other->full = other->stuck = false;
        }
    }
    if (m_sink != nullptr) {
        m_sink->room();
    }
}

void PrivateNetwork::link_closed(FrameLink& link) {
    std::shared_ptr<Other> gone;
    {
        const std::lock_guard lock(m_mutex);
        gone = other_of(link);
        if (!gone) {
            return;
        }
        log_info("network: '{}' has left the private network", gone->name);
        forget(*gone);
        std::erase(m_others, gone);
    }
    m_thread.loop().post([gone] {});  // not while its link is being used
    if (m_sink != nullptr) {
        m_sink->room();  // somebody may wait for it
    }
}

std::vector<std::string> PrivateNetwork::others() const {
    std::vector<std::string> names;
    const std::lock_guard lock(m_mutex);
    for (const auto& other : m_others) {
        names.push_back(other->name);
    }
    std::ranges::sort(names);
    return names;
}

}  // namespace skep
