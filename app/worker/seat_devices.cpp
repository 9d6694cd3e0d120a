// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/worker/seat_devices.hpp"

#include "devices/audio/hda_controller.hpp"
#include "devices/video/vga_adapter.hpp"
#include "devices/virtio/virtio_input.hpp"
#include "devices/virtio/virtio_pci.hpp"
#include "devices/virtio/virtio_vga.hpp"
#include "display/sdl/audio_sdl.hpp"
#include "display/sound/silent_sound.hpp"
#include "vmm/boot/firmware.hpp"

namespace skep {
namespace {

constexpr PciAddress k_keyboard_address{24, 0};
constexpr PciAddress k_tablet_address{25, 0};

}  // namespace

Status add_display(const VmSpec& spec, DeviceContext& context, BuiltMachine& built) {
    if (spec.display == DisplayKind::none) {
        return {};
    }
    Machine& machine = *built.machine;
    auto vram = machine.memory().add_device_memory(k_display_memory_bytes);
    const bool is_virtio = spec.display == DisplayKind::virtio;
    auto image = load_option_rom(is_virtio ? "vgabios-virtio.bin" : "vgabios-stdvga.bin");
    if (!vram || !image) {
        return tl::unexpected(vram ? image.error() : vram.error());
    }
    std::byte* rom = machine.memory().add_rom(*image);
    if (rom == nullptr) {
        return fail(ErrorKind::no_space, "There is no memory left on this host for the display.");
    }
    built.screen = std::make_unique<Screen>();
    built.vga_bios = {rom, image->size()};
    const VgaConfig config{.vram = *vram, .rom = {rom, image->size()}};
    WriteLog& log = machine.write_log();
    if (is_virtio) {
        machine.add_device(std::make_unique<VirtioVga>(context, k_display_address, config, log, *built.screen));
    } else {
        machine.add_device(std::make_unique<VgaAdapter>(context, k_display_address, config, log, *built.screen));
    }
    return {};
}

void add_sound(const VmSpec& spec, DeviceContext& context, Machine& machine) {
    std::shared_ptr<SoundBackend> host;
    switch (spec.effective_sound()) {
        case SoundKind::automatic:
        case SoundKind::none: return;
        case SoundKind::silent: host = std::make_shared<SilentSound>(); break;
        case SoundKind::sdl: host = std::make_shared<SdlSound>(); break;
    }
    machine.add_device(std::make_unique<HdaController>(context, std::move(host)));
}

// Who looks at a screen wants to point at it exactly: a tablet, and a keyboard without the 8042's bottleneck. Until the
// guest has a driver for them, the PS/2 ones are heard.
void add_input(DeviceContext& context, BuiltMachine& built) {
    if (!built.screen) {
        return;
    }
    Machine& machine = *built.machine;
    machine.add_device(std::make_unique<VirtioPci>(context, "virtio-input-keyboard", k_keyboard_address,
                                                   make_virtio_keyboard(machine.memory(), *built.input)));
    machine.add_device(std::make_unique<VirtioPci>(context, "virtio-input-tablet", k_tablet_address,
                                                   make_virtio_tablet(machine.memory(), *built.input)));
}

}  // namespace skep
