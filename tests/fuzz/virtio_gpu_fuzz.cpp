// SPDX-License-Identifier: GPL-3.0-or-later
// libFuzzer entry: the virtio GPU with the VGA on the same function, driven by the operations of virtio_language.hpp and
//   11 command {queue:1, command:1, resource:1, x:1, y:1, width:1, height:1, offset:2, format:1, broken word:1, value:4}
//              a well-formed one of which one word may then be broken
//   12 pixels  {offset:2, count:1, bytes}   into the memory behind the resources
//   13 look    a viewer takes what has changed: it must be what is there
//   14 size    {width:2, height:2}          a viewer's window
//   15 dispi   {index:1, value:2}           of the VGA
#include <array>
#include <cstring>
#include <memory>

#include "devices/virtio/virtio_vga.hpp"
#include "tests/fuzz/video_memory.hpp"
#include "tests/fuzz/virtio_language.hpp"
#include "vmm/base/log.hpp"

namespace skep::test {
namespace {

using fuzz::Input;

constexpr uint16_t k_queues = 2;
constexpr GuestAddress k_command = VirtioDriver::k_buffers, k_answer = k_command + 0x1000, k_backing = 0x9'0000;
constexpr uint32_t k_backing_piece = 0x4000;

struct GpuMachine : FakeMachine {
    GpuMachine() : vram(*memory->add_device_memory(256 << 10)) {
        fuzz::make_cheap_to_clear(vram);
        context.pci = &bus;
        bus.reset();
        vga = std::make_unique<VirtioVga>(context, VirtioDriver::k_address, VgaConfig{.vram = vram, .rom = {}}, log, screen);
        vga->reset();
        view = std::make_unique<Screen::View>(screen);
    }
    ~GpuMachine() { view.reset(); }
    void dispi(uint16_t index, uint16_t value) {
        ports.write(0x1ce, 2, index);
        ports.write(0x1cf, 2, value);
    }

    PciBus bus{context};
    std::span<std::byte> vram;
    FakeWriteLog log;
    Screen screen;
    std::unique_ptr<VirtioVga> vga;
    std::unique_ptr<Screen::View> view;
    Screen::Update update;
};

// Header and body, as words: all of the device's structures are made of them.
using Command = std::array<uint32_t, 24>;

template <typename Body>
size_t put(Command& command, size_t at, const Body& body) {
    std::memcpy(&command[at], &body, sizeof body);
    return at + sizeof body / sizeof(uint32_t);
}

class Session {
  public:
    Session(GpuMachine& machine, GpuMachine& other)
        : m_machine(machine), m_other(other), m_virtio(machine, machine.bus, *machine.vga, k_queues) {
        // A small picture of the VGA's to look at until there is another.
        machine.dispi(1, 64);
        machine.dispi(2, 16);
        machine.dispi(3, 32);
        machine.dispi(4, 0x41);
    }

    void step(Input& input) {
        switch (const unsigned operation = input.take<uint8_t>() % 16; operation) {
            case 11: command(input); break;
            case 12: {
                const GuestAddress at = k_backing + input.take<uint16_t>();
                const auto bytes = input.take_bytes(input.take<uint8_t>());
                (void)m_machine.memory->write(at, bytes.data(), bytes.size());
                break;
            }
            case 13: look(); break;
            case 14: {
                const uint32_t width = input.take<uint16_t>();
                (void)m_machine.screen.suggest_size({width, input.take<uint16_t>()});
                break;
            }
            case 15: {
                const uint16_t index = input.take<uint8_t>() % 12;
                m_machine.dispi(index, input.take<uint16_t>());
                break;
            }
            default: m_virtio.step(operation, input);
        }
    }

    // A viewer that has followed every change sees what one does that comes now.
    void look() {
        m_machine.update = m_machine.view->take();
        if (m_machine.screen.text()) {
            return;  // the VGA's matter
        }
        const std::vector<std::byte> state = m_virtio.saved();
        StateReader reader(state);
        m_other.vga->pause();
        m_other.vga->load(reader);
        m_other.vga->resume();
        m_other.update = m_other.view->take();
        if (!fuzz::same_picture(*m_machine.update.surface, *m_other.update.surface)) {
            __builtin_trap();
        }
    }

  private:
    // Returns the words.
    static size_t fill(Command& command, Input& input) {
        constexpr std::array<uint32_t, 11> k_types{
            gpu::k_resource_create_2d,  gpu::k_resource_attach_backing, gpu::k_set_scanout,     gpu::k_transfer_to_host_2d,
            gpu::k_resource_flush,      gpu::k_resource_detach_backing, gpu::k_resource_unref,  gpu::k_update_cursor,
            gpu::k_get_display_info,    gpu::k_get_edid,                gpu::k_move_cursor};
        constexpr std::array<uint32_t, 8> k_formats{1, 2, 3, 4, 67, 68, 121, 134};
        const uint32_t type = k_types[input.take<uint8_t>() % k_types.size()];
        const uint32_t resource = input.take<uint8_t>() % 4;
        const uint32_t x = input.take<uint8_t>(), y = input.take<uint8_t>();
        const uint32_t width = input.take<uint8_t>(), height = input.take<uint8_t>();
        const gpu::Rect rect{x, y, width, height};
        const uint64_t offset = input.take<uint16_t>();
        const uint32_t format = k_formats[input.take<uint8_t>() % k_formats.size()];
        size_t end = put(command, 0, gpu::Header{type, resource & 1, offset, 0, 0});
        switch (type) {
            case gpu::k_resource_create_2d:
                return put(command, end, gpu::ResourceCreate2d{resource, format, width, height});
            case gpu::k_resource_attach_backing: {
                end = put(command, end, gpu::AttachBacking{resource, 3});
                for (uint32_t piece = 0; piece < 3; ++piece) {
                    const uint64_t at = k_backing + (x + piece * 3) % 8 * k_backing_piece;
                    end = put(command, end, gpu::MemoryEntry{at, k_backing_piece - y * 4, 0});
                }
                return end;
            }
            case gpu::k_set_scanout: return put(command, end, gpu::SetScanout{rect, 0, resource});
            case gpu::k_resource_flush: return put(command, end, gpu::ResourceFlush{rect, resource, 0});
            case gpu::k_transfer_to_host_2d:
                return put(command, end, gpu::TransferToHost2d{rect, offset, resource, 0});
            case gpu::k_update_cursor: return put(command, end, gpu::UpdateCursor{0, x, y, 0, resource, width, height, 0});
            default: return put(command, end, gpu::ResourceId{type == gpu::k_get_edid ? 0 : resource, 0});
        }
    }
    void command(Input& input) {
        const uint16_t queue = m_virtio.take_queue(input);
        Command command{};
        const size_t words = fill(command, input);
        const auto broken = input.take<uint8_t>();
        const auto value = input.take<uint32_t>();
        if (broken >= 0xe0) {
            command[broken % words] = value;
        }
        (void)m_machine.memory->write(k_command, command.data(), sizeof command);
        m_virtio.driver().add(queue, 0,
                              {{k_command, static_cast<uint32_t>(words * sizeof(uint32_t)), false}, {k_answer, 0x1000, true}});
        m_virtio.driver().kick(queue);
    }

    GpuMachine& m_machine;
    GpuMachine& m_other;
    fuzz::VirtioSession m_virtio;
};

}  // namespace
}  // namespace skep::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    skep::set_log_level(skep::LogLevel::error);
    static skep::test::GpuMachine machine;
    static skep::test::GpuMachine other;
    skep::test::Session session(machine, other);
    skep::fuzz::Input input(data, size);
    while (!input.empty()) {
        session.step(input);
    }
    session.look();
    return 0;
}
