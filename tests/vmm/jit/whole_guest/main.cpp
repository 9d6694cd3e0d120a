// SPDX-License-Identifier: GPL-3.0-or-later
// whole-guest --kernel FILE --initrd FILE [--engine jit|interp] [--type COMMAND]...: boots Linux on an engine and writes down
// everything that comes from outside, then runs the same on the interpreter, step by step, and says the first difference.
// It ends at the prompt behind the last command typed. No device may write to memory: one processor, no disks, and no
// kvmclock (the kernel is told so).
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <chrono>
#include <cstring>
#include <deque>
#include <mutex>

#include "app/worker/machine_builder.hpp"
#include "tests/vmm/jit/whole_guest/recorder.hpp"
#include "tests/vmm/jit/whole_guest/replayer.hpp"
#include "vmm/device/char_backend.hpp"
#include "vmm/jit/hypervisor.hpp"

namespace {

using namespace skep;

struct Options {
    std::string kernel, initrd, engine = "jit", append = "console=ttyS0 no-kvmclock", prompt = "# ";
    std::vector<std::string> commands;
    uint64_t memory_mib = 256;
    uint32_t threshold = 32;
    unsigned mark_interval = 64;
    bool print = false;
};

class Keyboard final : public CharBackend {
  public:
    void write(std::span<const std::byte>) override {}
    void set_input_ready(std::function<void()> ready) override { m_ready = std::move(ready); }
    size_t read(std::byte* to, size_t size) override {
        const std::lock_guard lock(m_mutex);
        const size_t count = std::min(size, m_waiting.size());
        for (size_t i = 0; i < count; ++i) {
            to[i] = static_cast<std::byte>(m_waiting.front());
            m_waiting.pop_front();
        }
        return count;
    }
    void type(const std::string& text) {
        {
            const std::lock_guard lock(m_mutex);
            m_waiting.insert(m_waiting.end(), text.begin(), text.end());
        }
        m_ready();
    }

  private:
    std::mutex m_mutex;
    std::deque<char> m_waiting;
    std::function<void()> m_ready;
};

// Memory with the same contents and the same map.
std::unique_ptr<GuestMemory> copy_of(const GuestMemory& memory) {
    auto copy = GuestMemory::create(memory.ram_bytes());
    if (!copy) {
        return nullptr;
    }
    std::memcpy((*copy)->ram().data(), memory.ram().data(), memory.ram_bytes());
    for (const MemoryRange& range : (*copy)->ranges()) {
        (*copy)->unmap(range.start, range.size);
    }
    for (MemoryRange range : memory.ranges()) {
        if (memory.marks_of(range.host) != nullptr) {
            range.host = (*copy)->ram().data() + (range.host - memory.ram().data());
        }
        (*copy)->map(range);
    }
    return std::move(*copy);
}

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int run(const Options& options) {
    std::unique_ptr<Hypervisor> engine = std::make_unique<interp::InterpHypervisor>();
    if (options.engine == "jit") {
        engine = std::make_unique<jit::JitHypervisor>(jit::JitOptions{.tuning = {.threshold = options.threshold}});
    }
    whole_guest::Recorder recorder(*engine, options.mark_interval);
    VmSpec spec;
    spec.id = make_uuid();
    spec.name = "whole-guest";
    spec.memory_mib = options.memory_mib;
    spec.firmware = Firmware::linux_kernel;
    spec.kernel = options.kernel;
    spec.initrd = options.initrd;
    spec.append = options.append;
    spec.rng = false;
    Keyboard keyboard;
    BuildInputs inputs{.spec = spec,
                       .resolve = [](const std::string& file) -> Result<std::filesystem::path> { return file; },
                       .folder = {},
                       .hypervisor = recorder,
                       .serial = {&keyboard},
                       .debug_console = nullptr,
                       .on_event = [](const MachineEvent&) {},
                       .on_no_space = [](const std::string&, const std::string&) {}};
    auto built = build_machine(inputs);
    if (!built) {
        fmt::print(stderr, "{}\n", built.error().message);
        return 2;
    }
    Machine& machine = *built->machine;
    CpuState start_state;
    std::unique_ptr<GuestMemory> start_memory;
    recorder.on_start = [&](const CpuState& state) {
        start_state = state;
        start_memory = copy_of(machine.memory());
    };
    size_t typed = 0;
    recorder.on_console = [&](const std::string& console) {
        if (options.print) {
            std::fputc(console.back(), stdout);
        }
        if (!console.ends_with(options.prompt)) {
            return false;
        }
        if (typed == options.commands.size()) {
            return true;
        }
        keyboard.type(options.commands[typed++] + "\n");
        return false;
    };
    const auto start = std::chrono::steady_clock::now();
    if (Status started = machine.start(); !started) {
        fmt::print(stderr, "{}\n", started.error().message);
        return 2;
    }
    recorder.wait_for_end();
    machine.pause();
    const whole_guest::Record& record = recorder.record();
    fmt::print("{}: {:.1f} s, {} events, {} interrupts, {} marks\n", options.engine, seconds_since(start), record.events.size(),
               record.interrupts.size(), record.marks.size());
    std::fflush(stdout);
    const auto again = std::chrono::steady_clock::now();
    whole_guest::Replayer replayer(record, std::move(start_memory), start_state);
    const std::string difference = replayer.run();
    fmt::print("interp: {:.1f} s, {} instructions, {} events repeated: {}\n", seconds_since(again), replayer.instructions(),
               replayer.events(), difference.empty() ? "equal" : difference);
    return difference.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app("A whole guest twice");
    app.add_option("--kernel", options.kernel, "bzImage")->required();
    app.add_option("--initrd", options.initrd, "initial RAM disk");
    app.add_option("--append", options.append, "kernel command line");
    app.add_option("--engine", options.engine, "of the first run: jit or interp");
    app.add_option("--threshold", options.threshold, "of the translator");
    app.add_option("--memory", options.memory_mib, "MiB");
    app.add_option("--mark-interval", options.mark_interval, "interrupts between two comparisons of memory");
    app.add_option("--prompt", options.prompt, "what the guest's console ends with when it waits");
    app.add_option("--type", options.commands, "commands, one at each prompt");
    app.add_flag("--print", options.print, "the guest's console");
    CLI11_PARSE(app, argc, argv);
    return run(options);
}
