// SPDX-License-Identifier: GPL-3.0-or-later
// A worker without a machine, for the tests of the launcher and of skepctl: it keeps the start contract and the control
// protocol, prints a line on its console and echoes input in capitals. What the notes of its spec say, it does:
// "refuse" ends at once with a sentence, "crash" kills itself, "exit N" (with --stdio) ends with that code at the end of
// a line of input, "hang" never ends by itself, "mute" listens and says nothing, "late" listens only after half a second.
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

#include "tests/support/fake_control.hpp"
#include "vmm/control/run_record.hpp"
#include "vmm/control/runtime_dir.hpp"
#include "vmm/control/server.hpp"
#include "vmm/control/stdio_console.hpp"
#include "vmm/spec/bundle.hpp"
#include "vmm/spec/spec_yaml.hpp"

namespace skep {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

class WorkerMachine final : public FakeMachineControl {
  public:
    explicit WorkerMachine(EventLoop& loop) : m_loop(loop) {}

  protected:
    Status remember(const std::string& what, MachineState state) override {
        m_state = state;
        if (what == "power_off" || what == "power_button") {
            m_loop.after(std::chrono::milliseconds(1), [this] { m_loop.quit(); });
        }
        return {};
    }

  private:
    EventLoop& m_loop;
};

template <typename Console>
void echo_input(Console& console) {
    std::array<std::byte, 256> chunk;
    while (const size_t count = console.read(chunk.data(), chunk.size())) {
        for (size_t index = 0; index < count; ++index) {
            chunk[index] = static_cast<std::byte>(std::toupper(static_cast<int>(chunk[index])));
        }
        console.write(std::span(chunk).first(count));
    }
}

int run_bundle(const std::string& folder) {
    const auto bundle = Bundle::open(folder);
    const auto spec = bundle->load();
    const auto lock = RunLock::acquire(folder);
    if (!lock || !record_start(folder)) {
        return 4;
    }
    if (spec->notes == "refuse") {
        std::fprintf(stderr, "The kernel '/x' is not a Linux kernel.\n");
        [[maybe_unused]] const Status recorded = record_exit(folder, 4, "");
        return 4;
    }
    if (spec->notes == "crash") {
        raise(SIGKILL);
    }
    if (spec->notes == "late") {
        std::this_thread::sleep_for(std::chrono::milliseconds(500));
    }
    EventLoop loop;
    WorkerMachine machine(loop);
    ConsoleHub console(loop);
    console.set_input_ready([&] { echo_input(console); });
    ControlServer server(loop, machine, {&console}, {spec->id, spec->name, "test"});
    if (const Status listening = server.listen(prepare_socket(spec->id).value()); !listening) {
        return 4;
    }
    console.write(bytes_of("login: "));
    if (spec->notes == "mute") {
        pause();
    }
    loop.run();
    console.close();
    const Status recorded = record_exit(folder, 1, "The guest has powered off.");
    server.shut_down(1, "The guest has powered off.");
    return recorded ? 1 : 4;
}

int run_stdio(const std::string& file) {
    std::ifstream stream(file);
    const auto spec = parse_spec(std::string(std::istreambuf_iterator<char>(stream), {}));
    if (!spec) {
        std::fprintf(stderr, "%s\n", spec.error().message.c_str());
        return 4;
    }
    std::atomic<bool> got_input{false};
    StdioConsole console(STDIN_FILENO, STDOUT_FILENO);
    console.set_input_ready([&] {
        echo_input(console);
        got_input = true;
    });
    console.write(bytes_of(fmt::format("{} MiB, {} cpus, {} disks, on reboot {}\n", spec->memory_mib, spec->cpus,
                                       spec->disks.size(), spec->on_reboot == OnReboot::exit ? "exit" : "restart")));
    while (spec->notes == "hang" || (!got_input && spec->notes.starts_with("exit"))) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return spec->notes.starts_with("exit ") ? std::atoi(spec->notes.c_str() + 5) : 1;
}

}  // namespace
}  // namespace skep

int main(int argc, char** argv) {
    if (argc == 3 && std::string_view(argv[1]) == "--bundle") {
        return skep::run_bundle(argv[2]);
    }
    if (argc == 4 && std::string_view(argv[1]) == "--spec") {
        return skep::run_stdio(argv[2]);
    }
    return 4;
}
