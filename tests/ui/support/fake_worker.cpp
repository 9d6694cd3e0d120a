// SPDX-License-Identifier: GPL-3.0-or-later
// A worker without a machine, for the window's tests: the real control server and consoles, a pretended guest that
// greets, echoes what is typed and obeys the buttons. "crash" typed at it kills the process as a bug would; "full"
// pretends that the host's disk is full.
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "vmm/base/event_loop.hpp"
#include "vmm/control/network_control.hpp"
#include "vmm/control/run_record.hpp"
#include "vmm/control/runtime_dir.hpp"
#include "vmm/control/server.hpp"
#include "vmm/spec/bundle.hpp"
#include "vmm/spec/network_forward.hpp"
#include "vmm/spec/spec_fields.hpp"

namespace {

using namespace skep;

class FakeGuest : public MachineControl, private NetworkControl {
  public:
    FakeGuest(EventLoop& loop, const Bundle& bundle, const VmSpec& spec)
        : m_loop(loop), m_bundle(bundle), m_console(loop) {
        m_server.emplace(loop, *this, std::vector<ConsoleHub*>{&m_console}, ServerIdentity{spec.id, spec.name, "fake"});
        m_console.set_input_ready([this] { m_loop.post([this] { take_input(); }); });
        say("fake guest " + spec.name + " up\r\nlogin: ");
    }
    Status listen(const std::filesystem::path& path) { return m_server->listen(path); }

    MachineStatus status() override { return {m_state, "", 61000, "interp", "This is a test."}; }
    Status pause() override { return set_state(MachineState::paused); }
    Status resume() override { return set_state(MachineState::running); }
    Status power_button() override { return end(1, "The guest turned itself off."); }
    Status power_off() override { return end(1, "Turned off."); }
    Status reset() override {
        say("\r\nfake guest again\r\nlogin: ");
        m_server->guest_reset();
        return {};
    }
    Status eject(const std::string&) override {
        m_server->cd_changed("cd0", "");
        return {};
    }
    Status insert(const std::string&, const std::string& file) override {
        if (file.find("missing") != std::string::npos) {
            return fail(ErrorKind::not_found, "'{}' does not exist.", file);
        }
        m_server->cd_changed("cd0", file);
        return {};
    }
    Status resize_disk(const std::string&, uint64_t size) override {
        m_disk_bytes = size;
        return {};
    }
    Result<std::string> attach_stick(const std::string& file, StickAccess access, const std::string&) override {
        m_sticks.push_back({"usb" + std::to_string(m_sticks.size()), file, access});
        m_server->usb_changed(m_sticks.back().id, file);
        return m_sticks.back().id;
    }
    Result<std::string> detach_stick(const std::string& id) override {
        std::erase_if(m_sticks, [&](const StickInfo& stick) { return stick.id == id; });
        m_server->usb_changed(id, "");
        return id;
    }
    std::vector<StickInfo> sticks() override { return m_sticks; }
    Status retry() override { return set_state(MachineState::running); }
    NetworkControl* network() override { return this; }
    // One card with an address, a name and a connection; its cable as it was left. One disk, which grows.
    std::string info_json() override {
        return std::string(R"({"networks": [{"id": "net0", "ip": "10.0.2.15", "backend": ")" + m_backend + R"(", "connected_to": ")" + m_connected_to +
               R"(", "bytes_sent": 1000, "bytes_received": 2000, "link": )") +
               (m_link ? "true" : "false") + R"(, "glass": {"names": [{"name": "www.example.org", "addresses": "1.2.3.4", "count": 1}],
               "connections": [{"protocol": "tcp", "guest": "10.0.2.15:40000", "remote": "1.2.3.4:80", "bytes_sent": 1,
               "bytes_received": 2, "open": true}]}}],
               "disks": [{"id": "disk0", "host_size": 3145728, "guest": {"file_systems": 1, "used": 1048576, "other": 0},
               "reclaimable": 2097152, "size": )" +
               std::to_string(m_disk_bytes) + "}]}";
    }

  private:
    Status change_forward(const std::string&, ForwardAction, const std::string& forward) override {
        return forward.starts_with("1111:") ? Status(fail(ErrorKind::in_use, "Port 1111 is taken in this test.")) : Status();
    }
    Status set_link(const std::string&, bool up) override {
        m_link = up;
        return {};
    }
    Status plug(const NetworkSpec& into, Fd descriptor) override {
        if (into.network == "refused") {
            return fail(ErrorKind::io, "That network is refused in this test.");
        }
        if (descriptor.valid() != (into.backend == NetworkBackend::user)) {
            return fail(ErrorKind::protocol, "A descriptor is missing, or there is one too many.");
        }
        m_backend = to_text(into.backend);
        m_connected_to = describe_connection(into);
        return {};
    }
    void say(const std::string& text) {
        m_console.write({reinterpret_cast<const std::byte*>(text.data()), text.size()});
    }
    Status set_state(MachineState state) {
        m_state = state;
        m_server->state_changed(state, "");
        return {};
    }
    Status end(int code, const std::string& reason) {
        m_loop.after(std::chrono::milliseconds(20), [this, code, reason] {
            m_server->shut_down(code, reason);
            (void)record_exit(m_bundle.folder(), code, reason);
            m_loop.quit();
        });
        return {};
    }
    void take_input() {
        std::byte buffer[256];
        const size_t count = m_console.read(buffer, sizeof buffer);
        m_typed.append(reinterpret_cast<const char*>(buffer), count);
        say(std::string(reinterpret_cast<const char*>(buffer), count));
        if (m_typed.find("crash") != std::string::npos) {
            _exit(99);
        }
        if (m_typed.find("triple") != std::string::npos) {
            m_typed.clear();
            (void)end(3, "The guest's processor gave up (triple fault).");
        }
        if (m_typed.find("noboot") != std::string::npos) {
            m_typed.clear();
            say("\r\nBoot failed: not a bootable disk\r\n\r\nNo bootable device.\r\n");
        }
        if (m_typed.find("full") != std::string::npos) {
            m_typed.clear();
            m_state = MachineState::no_space;
            m_server->no_space("disk0", "Free some space, then press Retry.");
        }
    }

    std::vector<StickInfo> m_sticks;
    EventLoop& m_loop;
    const Bundle& m_bundle;
    ConsoleHub m_console;
    std::optional<ControlServer> m_server;
    MachineState m_state = MachineState::running;
    std::string m_typed;
    uint64_t m_disk_bytes = uint64_t{1} << 30;
    bool m_link = true;
    std::string m_backend = "user";
    std::string m_connected_to = "this computer's network";
};

int run(const std::filesystem::path& folder) {
    auto bundle = Bundle::open(folder);
    auto spec = bundle ? bundle->load() : Result<VmSpec>(tl::unexpected(bundle.error()));
    auto lock = RunLock::acquire(folder);
    if (!spec || !lock || spec->notes == "refuse to start") {
        const std::string why = !spec   ? spec.error().message
                                : !lock ? lock.error().message
                                        : "This test refuses to start.";
        (void)!write(STDERR_FILENO, (why + "\n").data(), why.size() + 1);
        return 4;
    }
    (void)record_start(folder);
    EventLoop loop;
    FakeGuest guest(loop, *bundle, *spec);
    const auto path = prepare_socket(spec->id);
    const Status listening = path ? guest.listen(*path) : tl::unexpected(path.error());
    if (!listening) {
        (void)!write(STDERR_FILENO, listening.error().message.data(), listening.error().message.size());
        return 4;
    }
    loop.run();
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    for (int i = 1; i + 1 < argc; ++i) {
        if (std::strcmp(argv[i], "--bundle") == 0) {
            return run(argv[i + 1]);
        }
    }
    return 4;
}
