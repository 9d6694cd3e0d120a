// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/control/network_plug.hpp"

#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <vector>

#include "vmm/base/passed_fds.hpp"
#include "vmm/control/launcher.hpp"

extern char** environ;

namespace skep {
namespace fs = std::filesystem;
namespace {

constexpr int k_child_channel = 3;  // on which both programs find their end
constexpr int k_helper_milliseconds = 5000;
constexpr const char* k_tun = "/dev/net/tun";
// Debian and Arch, Fedora, built by hand.
constexpr std::array k_helpers{"/usr/lib/qemu/qemu-bridge-helper", "/usr/libexec/qemu-bridge-helper",
                               "/usr/lib64/qemu/qemu-bridge-helper", "/usr/local/libexec/qemu-bridge-helper"};

struct Channel {
    Fd ours;
    Fd theirs;
};

Result<Channel> make_channel(int kind) {
    std::array<int, 2> ends{-1, -1};
    if (socketpair(AF_UNIX, kind | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        return fail_errno(errno, "Cannot make a pair of sockets for the network");
    }
    Channel channel{Fd(ends[0]), Fd(ends[1])};
    // dup2 onto itself would keep the close-on-exec flag.
    channel.theirs = Fd(fcntl(channel.theirs.get(), F_DUPFD_CLOEXEC, k_child_channel + 1));
    return channel;
}

// words[0] is the program. messages: where its standard error goes; -1: stays.
Result<pid_t> spawn(std::vector<std::string> words, const Fd& channel, int messages) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);  // the worker's threads have some blocked
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawn_file_actions_adddup2(&actions, channel.get(), k_child_channel);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (messages >= 0) {
        posix_spawn_file_actions_adddup2(&actions, messages, STDERR_FILENO);
    }
    std::vector<char*> arguments;
    for (std::string& word : words) {
        arguments.push_back(word.data());
    }
    arguments.push_back(nullptr);
    pid_t pid = -1;
    const int error = posix_spawn(&pid, words.front().c_str(), &actions, &attributes, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (error != 0) {
        return fail(ErrorKind::not_found, "Cannot start '{}' ({}), which the network needs; 'skepctl doctor' knows more.",
                    words.front(), std::strerror(error));
    }
    return pid;
}

bool is_setuid_root(const char* helper) {
    struct stat info{};
    return stat(helper, &info) == 0 && info.st_uid == 0 && (info.st_mode & S_ISUID) != 0;
}

// The one that works for this user, else one that is there, else null.
const char* find_helper() {
    const auto is_there = [](const char* helper) { return access(helper, X_OK) == 0; };
    const auto works = [&](const char* helper) { return is_there(helper) && (geteuid() == 0 || is_setuid_root(helper)); };
    for (const auto& fits : {std::function<bool(const char*)>(works), std::function<bool(const char*)>(is_there)}) {
        const auto found = std::ranges::find_if(k_helpers, fits);
        if (found != k_helpers.end()) {
            return *found;
        }
    }
    return nullptr;
}

// By its driver's name (ethtool.h): /sys may show another network namespace than this program's.
bool is_bridge(const std::string& interface) {
    const Fd any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ethtool_drvinfo driver{};
    driver.cmd = ETHTOOL_GDRVINFO;
    ifreq request{};
    interface.copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_data = reinterpret_cast<char*>(&driver);
    return ioctl(any.get(), SIOCETHTOOL, &request) == 0 && std::strcmp(driver.driver, "bridge") == 0;
}

// The helper's last words on one line: "access denied by acl file".
std::string words_of(const Fd& messages) {
    std::array<char, 512> text{};
    const ssize_t got = read(messages.get(), text.data(), text.size());
    std::string words(text.data(), static_cast<size_t>(std::max<ssize_t>(got, 0)));
    while (!words.empty() && static_cast<unsigned char>(words.back()) <= 0x20) {
        words.pop_back();
    }
    words.erase(0, words.rfind('\n') == std::string::npos ? 0 : words.rfind('\n') + 1);
    std::erase_if(words, [](char character) { return static_cast<unsigned char>(character) < 0x20; });
    return words.empty() ? "it says nothing" : words;
}

Result<Fd> open_bridge(const std::string& bridge) {
    const char* const helper = find_helper();
    if (helper == nullptr) {
        return fail(ErrorKind::unsupported, "The bridge '{}' needs the program qemu-bridge-helper, which this host does not have: "
                    "install it (Debian's package qemu-system-common), or choose the back end 'user'.", bridge);
    }
    auto channel = make_channel(SOCK_STREAM);
    std::array<int, 2> ends{-1, -1};
    if (!channel || pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) {
        return channel ? fail_errno(errno, "Cannot make a pipe for the network") : tl::unexpected(channel.error());
    }
    const Fd messages(ends[0]);
    Fd theirs(ends[1]);
    const auto pid = spawn({helper, "--use-vnet", fmt::format("--fd={}", k_child_channel), "--br=" + bridge}, channel->theirs, theirs.get());
    if (!pid) {
        return tl::unexpected(pid.error());
    }
    channel->theirs.reset();
    theirs.reset();
    pollfd waiting{channel->ours.get(), POLLIN, 0};
    char mark = 0;
    std::vector<Fd> passed;
    const bool said = poll(&waiting, 1, k_helper_milliseconds) == 1 && receive_with_fds(channel->ours.get(), &mark, 1, passed) > 0;
    if (!said) {
        kill(*pid, SIGKILL);
    }
    waitpid(*pid, nullptr, 0);
    if (passed.size() != 1) {
        return fail(ErrorKind::permission, "The bridge '{}' is not open to you ('{}' says: {}); let root write 'allow {}' into "
                    "/etc/qemu/bridge.conf and set the helper's setuid bit, or choose the back end 'user'.",
                    bridge, helper, words_of(messages), bridge);
    }
    return std::move(passed.front());
}

tl::unexpected<Error> no_tap(const std::string& name, int error) {
    switch (error) {
        case EBUSY: return fail(ErrorKind::in_use, "The tap '{}' is used by another program; end that, or choose another.", name);
        case EINVAL:
            return fail(ErrorKind::invalid_input, "'{}' is neither a tap nor a bridge of this host; choose another interface.", name);
        case EPERM:
            return fail(ErrorKind::permission, "The tap '{0}' is not yours; let root make it so with 'ip tuntap add dev {0} mode tap "
                        "user {1}', or choose the back end 'user'.", name, geteuid());
        default: return fail_errno(error, fmt::format("Cannot open the tap '{}'", name));
    }
}

}  // namespace

fs::path find_network_program() {
    return find_worker_program().value_or(fs::path("/skep-vmm")).parent_path() / "skep-net";
}

Result<Fd> start_network_process(const fs::path& program, PlugMessages messages) {
    const Fd nowhere(messages == PlugMessages::nowhere ? open("/dev/null", O_WRONLY | O_CLOEXEC) : -1);
    auto channel = make_channel(SOCK_SEQPACKET);
    if (!channel) {
        return tl::unexpected(channel.error());
    }
    return spawn({program.string()}, channel->theirs, nowhere.get()).map([&](pid_t pid) {
        waitpid(pid, nullptr, 0);  // it goes on in a session of its own
        return std::move(channel->ours);
    });
}

Result<Fd> open_tap(const std::string& interface) {
    if (if_nametoindex(interface.c_str()) == 0) {
        return fail(ErrorKind::not_found, "This host has no network interface '{}'; choose an existing tap or bridge.", interface);
    }
    if (is_bridge(interface)) {
        return open_bridge(interface);
    }
    Fd tap(open(k_tun, O_RDWR | O_CLOEXEC | O_NONBLOCK));
    if (!tap) {
        return fail(ErrorKind::permission, "The tap '{}' cannot be opened: {} of this host: {}; choose the back end 'user'.", interface,
                    k_tun, std::strerror(errno));
    }
    ifreq request{};
    interface.copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    if (ioctl(tap.get(), TUNSETIFF, &request) != 0) {
        return no_tap(interface, errno);
    }
    return tap;
}

std::string tap_problem() {
    if (access(k_tun, R_OK | W_OK) == 0) {
        return {};
    }
    const char* const helper = find_helper();
    return helper != nullptr ? ""
                             : fmt::format("Taps cannot be opened here ({}: {}), and for bridges the program qemu-bridge-helper is missing.",
                                           k_tun, std::strerror(errno));
}

Result<Fd> open_plug(const NetworkSpec& network, PlugMessages messages) {
    switch (network.backend) {
        case NetworkBackend::user: return start_network_process(find_network_program(), messages);
        case NetworkBackend::tap: return open_tap(network.network);
        case NetworkBackend::socket:
        case NetworkBackend::none: break;
    }
    return Fd();
}

}  // namespace skep
