// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/boot/linux_loader.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

#include "vmm/base/bits.hpp"
#include "vmm/base/log.hpp"
#include "vmm/boot/boot_file.hpp"
#include "vmm/boot/e820.hpp"
#include "vmm/boot/entry_state.hpp"
#include "vmm/boot/kernel_payload.hpp"

namespace skep {
namespace {

// Where things go in base memory; the kernel copies them before it uses that memory itself.
constexpr GuestAddress k_gdt = 0x1000;
constexpr GuestAddress k_boot_params = 0x7000;
constexpr GuestAddress k_page_tables = 0x9000;
constexpr GuestAddress k_command_line = 0x2'0000;
constexpr uint64_t k_command_line_room = 0x1'0000;

constexpr uint64_t k_largest_kernel = uint64_t{512} << 20;
constexpr size_t k_sector = 512;
constexpr size_t k_header_start = 0x1f1;

// The fields of struct setup_header that matter here, by their offsets in the file and in struct boot_params.
enum Field : size_t {
    k_setup_sects = 0x1f1,
    k_syssize = 0x1f4,
    k_vid_mode = 0x1fa,
    k_boot_flag = 0x1fe,
    k_jump_length = 0x201,
    k_magic = 0x202,
    k_version = 0x206,
    k_type_of_loader = 0x210,
    k_loadflags = 0x211,
    k_ramdisk_image = 0x218,
    k_ramdisk_size = 0x21c,
    k_cmd_line_ptr = 0x228,
    k_initrd_addr_max = 0x22c,
    k_xloadflags = 0x236,
    k_kernel_alignment = 0x230,
    k_relocatable_kernel = 0x234,
    k_cmdline_size = 0x238,
    k_payload_offset = 0x248,
    k_payload_length = 0x24c,
    k_pref_address = 0x258,
    k_init_size = 0x260,
    k_header_end = 0x264,
};
// Fields of struct boot_params outside the header (Documentation/arch/x86/zero-page.rst).
constexpr size_t k_screen_is_vga = 0x0f, k_lfb_width = 0x12, k_lfb_height = 0x14, k_lfb_depth = 0x16, k_lfb_base = 0x18;
constexpr size_t k_lfb_size = 0x1c, k_lfb_linelength = 0x24, k_lfb_components = 0x26;
constexpr size_t k_acpi_rsdp = 0x70, k_e820_count = 0x1e8, k_e820_table = 0x2d0;
constexpr size_t k_e820_most = 128;
constexpr size_t k_boot_params_bytes = 4096;

constexpr uint16_t k_oldest_protocol = 0x20a;
constexpr uint16_t k_protocol_with_64_bit_entry = 0x20c;
constexpr uint8_t k_loaded_high = 1;
constexpr uint8_t k_kaslr_flag = 2;  // between the decompressor and the kernel: it was moved to a random address
constexpr uint16_t k_kernel_64 = 1;  // XLF_KERNEL_64
constexpr uint64_t k_64_bit_entry_offset = 0x200;

struct Kernel {
    LargeBuffer file;
    std::span<const std::byte> code;  // the protected-mode part
    GuestAddress load_address = 0;
    uint64_t init_size = 0;           // bytes it needs from there before it knows the memory map
    uint64_t initrd_limit = 0;        // last address + 1 an initrd may use
    uint64_t command_line_limit = 0;  // without the NUL
    bool has_64_bit_entry = false;
    GuestAddress entry = 0;  // where it was put last
    bool entry_is_64_bit = false;

    template <typename T>
    [[nodiscard]] T field(size_t offset) const {
        return load_le<T>(file.data() + offset);
    }
};

Status check_header(const std::string& path, const Kernel& kernel) {
    if (kernel.file.size() < k_header_end || kernel.field<uint32_t>(k_magic) != 0x5372'6448 ||
        kernel.field<uint16_t>(k_boot_flag) != 0xaa55) {
        return fail(
            ErrorKind::invalid_input,
            "'{}' is not a Linux kernel (no HdrS signature at 0x202); choose a bzImage, usually called vmlinuz.", path);
    }
    const auto version = kernel.field<uint16_t>(k_version);
    if (version < k_oldest_protocol) {
        return fail(
            ErrorKind::unsupported,
            "The Linux kernel '{}' uses boot protocol {}.{:02}; 2.10 (Linux 2.6.31) or newer is needed: start it "
            "from a CD or disk instead.",
            path, version >> 8, version & 0xff);
    }
    if ((kernel.field<uint8_t>(k_loadflags) & k_loaded_high) == 0) {
        return fail(ErrorKind::unsupported, "The Linux kernel '{}' is a zImage, not a bzImage; choose a bzImage.",
                    path);
    }
    return {};
}

Result<Kernel> parse_kernel(const std::string& path, LargeBuffer content) {
    Kernel kernel;
    kernel.file = std::move(content);
    if (const Status fine = check_header(path, kernel); !fine) {
        return tl::unexpected(fine.error());
    }
    const auto sectors = kernel.field<uint8_t>(k_setup_sects);
    const size_t setup_bytes = (size_t{sectors == 0 ? uint8_t{4} : sectors} + 1) * k_sector;
    const uint64_t code_bytes = uint64_t{kernel.field<uint32_t>(k_syssize)} * 16;
    // syssize is rounded up to 16 bytes, the file need not be.
    if (kernel.file.size() <= setup_bytes || kernel.file.size() - setup_bytes + 15 < code_bytes) {
        return fail(ErrorKind::invalid_input,
                    "The Linux kernel '{}' is truncated: {} bytes where its header promises {}; copy it again.", path,
                    kernel.file.size(), setup_bytes + code_bytes);
    }
    kernel.code = std::span<const std::byte>(kernel.file).subspan(setup_bytes);
    kernel.load_address = kernel.field<uint64_t>(k_pref_address);
    kernel.init_size = std::max<uint64_t>(kernel.field<uint32_t>(k_init_size), kernel.code.size());
    kernel.initrd_limit = uint64_t{kernel.field<uint32_t>(k_initrd_addr_max)} + 1;
    kernel.command_line_limit = std::min<uint64_t>(kernel.field<uint32_t>(k_cmdline_size), k_command_line_room - 1);
    kernel.has_64_bit_entry = kernel.field<uint16_t>(k_version) >= k_protocol_with_64_bit_entry &&
                              (kernel.field<uint16_t>(k_xloadflags) & k_kernel_64) != 0;
    return kernel;
}

Status check_room(const GuestMemory& memory, const std::string& path, const Kernel& kernel) {
    constexpr GuestAddress k_lowest = 0x10'0000;
    if (kernel.load_address < k_lowest || kernel.load_address >= GuestMemory::k_low_ram_limit) {
        return fail(ErrorKind::invalid_input,
                    "The Linux kernel '{}' asks to be loaded at {:#x}, where a PC has no RAM for it.", path,
                    kernel.load_address);
    }
    if (kernel.load_address + kernel.init_size > memory.low_ram_bytes()) {
        return fail(ErrorKind::invalid_input,
                    "The Linux kernel '{}' needs {} MiB of memory to start; the VM has {} MiB: give it more memory.",
                    path, ((kernel.load_address + kernel.init_size) >> 20) + 1, memory.ram_bytes() >> 20);
    }
    return {};
}

KernelPayload payload_of(const Kernel& kernel) {
    const uint64_t offset = kernel.field<uint32_t>(k_payload_offset);
    const uint64_t length = kernel.field<uint32_t>(k_payload_length);
    const bool inside = offset <= kernel.code.size() && length <= kernel.code.size() - offset;
    return {.bytes = inside ? kernel.code.subspan(offset, length) : std::span<const std::byte>{},
            .load_address = kernel.load_address,
            .room = kernel.init_size,
            .alignment = kernel.field<uint8_t>(k_relocatable_kernel) != 0 ? kernel.field<uint32_t>(k_kernel_alignment)
                                                                         : 0};
}

Status place_segment(GuestMemory& memory, const LoadSegment& segment) {
    std::byte* to = memory.ram_at(segment.address, segment.size);
    if (to == nullptr) {
        return fail(ErrorKind::invalid_input, "The Linux kernel has a part at {:#x}, where the VM has no RAM.",
                    segment.address);
    }
    std::memcpy(to, segment.data.data(), segment.data.size());
    std::memset(to + segment.data.size(), 0, segment.size - segment.data.size());
    return {};
}

// The kernel proper, ready at its entry startup_64 or startup_32 as its decompressor would leave it: at the address it
// is linked for, so there is nothing to relocate (and no KASLR).
Status place_unpacked(GuestMemory& memory, const UnpackedKernel& unpacked, Kernel& kernel) {
    for (const LoadSegment& segment : unpacked.image.segments) {
        if (Status put = place_segment(memory, segment); !put) {
            return put;
        }
    }
    kernel.entry = unpacked.image.entry;
    kernel.entry_is_64_bit = unpacked.image.is_64_bit;
    return {};
}

Status place_kernel(GuestMemory& memory, const std::string& path, Kernel& kernel) {
    if (Status room = check_room(memory, path, kernel); !room) {
        return room;
    }
    if (const auto unpacked = unpack_kernel(payload_of(kernel)); unpacked) {
        return place_unpacked(memory, *unpacked, kernel);
    } else {
        log_info("The Linux kernel '{}' unpacks itself in the VM: {}.", path, unpacked.error());
    }
    kernel.entry = kernel.load_address + (kernel.has_64_bit_entry ? k_64_bit_entry_offset : 0);
    kernel.entry_is_64_bit = kernel.has_64_bit_entry;
    return put_into_ram(memory, kernel.load_address, kernel.code.data(), kernel.code.size());
}

struct Placed {
    GuestAddress start = 0;
    uint64_t size = 0;
};

// As high as the kernel allows, so that it is out of the way of unpacking.
Result<Placed> place_initrd(GuestMemory& memory, const std::string& path, const Kernel& kernel) {
    if (path.empty()) {
        return Placed{};
    }
    const uint64_t top = std::min(kernel.initrd_limit, memory.low_ram_bytes());
    const GuestAddress bottom = align_up(kernel.load_address + kernel.init_size, k_page_size);
    const uint64_t room = top > bottom ? align_down(top, k_page_size) - bottom : 0;
    Result<LargeBuffer> content = read_boot_file("initrd", path, std::numeric_limits<uint32_t>::max());
    if (!content) {
        return tl::unexpected(content.error());
    }
    const uint64_t size = content->size();
    if (size > room) {
        return fail(
            ErrorKind::invalid_input,
            "The initrd '{}' has {} MiB, but only {} MiB of the VM's memory are free for it: give the VM more memory.",
            path, (size >> 20) + 1, room >> 20);
    }
    const GuestAddress start = align_down(align_down(top, k_page_size) - size, k_page_size);
    if (const Status put = put_into_ram(memory, start, content->data(), size); !put) {
        return tl::unexpected(put.error());
    }
    return Placed{start, size};
}

Status place_command_line(GuestMemory& memory, const Kernel& kernel, const std::string& text) {
    if (text.size() > kernel.command_line_limit) {
        return fail(ErrorKind::invalid_input,
                    "The kernel command line has {} characters, but this kernel takes at most {}: shorten it.",
                    text.size(), kernel.command_line_limit);
    }
    if (text.find('\0') != std::string::npos) {
        return fail(ErrorKind::invalid_input, "The kernel command line contains a NUL character: remove it.");
    }
    return put_into_ram(memory, k_command_line, text.c_str(), text.size() + 1);
}

// struct screen_info (include/uapi/linux/screen_info.h), as a boot loader fills it after setting a VESA mode.
void describe_screen(std::span<std::byte> params, const BootScreen& screen) {
    constexpr uint8_t k_linear_frame_buffer = 0x23;  // VIDEO_TYPE_VLFB
    constexpr unsigned k_bytes_a_pixel = 4;
    constexpr uint8_t k_components[8] = {8, 16, 8, 8, 8, 0, 8, 24};  // bits and place of red, green, blue, unused
    params[k_screen_is_vga] = std::byte{k_linear_frame_buffer};
    store_le<uint16_t>(&params[k_lfb_width], screen.width);
    store_le<uint16_t>(&params[k_lfb_height], screen.height);
    store_le<uint16_t>(&params[k_lfb_depth], 8 * k_bytes_a_pixel);
    store_le<uint32_t>(&params[k_lfb_base], screen.address);
    store_le<uint32_t>(&params[k_lfb_size], screen.bytes >> 16);
    store_le<uint16_t>(&params[k_lfb_linelength], static_cast<uint16_t>(screen.width * k_bytes_a_pixel));
    std::memcpy(&params[k_lfb_components], k_components, sizeof k_components);
}

std::array<std::byte, k_boot_params_bytes> boot_params(const Kernel& kernel, const PlatformDescription& platform,
                                                       const LinuxFiles& files, const Placed& initrd,
                                                       GuestAddress rsdp) {
    constexpr uint8_t k_unregistered_loader = 0xff;
    constexpr uint16_t k_video_normal = 0xffff;
    std::array<std::byte, k_boot_params_bytes> params{};
    // "The end of the setup header is at 0x202 plus the byte at 0x201"; nothing behind edd_mbr_sig_buffer may be
    // written.
    constexpr size_t k_header_limit = 0x290;
    const size_t header_end =
        std::min({size_t{0x202} + kernel.field<uint8_t>(k_jump_length), k_header_limit, kernel.file.size()});
    std::memcpy(&params[k_header_start], kernel.file.data() + k_header_start, header_end - k_header_start);
    params[k_loadflags] &= ~std::byte{k_kaslr_flag};
    params[k_type_of_loader] = std::byte{k_unregistered_loader};
    store_le(&params[k_vid_mode], k_video_normal);
    store_le(&params[k_cmd_line_ptr], static_cast<uint32_t>(k_command_line));
    store_le(&params[k_ramdisk_image], static_cast<uint32_t>(initrd.start));
    store_le(&params[k_ramdisk_size], static_cast<uint32_t>(initrd.size));
    store_le(&params[k_acpi_rsdp], rsdp);
    if (files.screen) {
        describe_screen(params, *files.screen);
    }
    const std::vector<E820Entry> map = direct_boot_memory_map(platform);
    const std::vector<std::byte> bytes = e820_bytes(map);
    params[k_e820_count] = static_cast<std::byte>(std::min(map.size(), k_e820_most));
    std::memcpy(&params[k_e820_table], bytes.data(), std::min(bytes.size(), k_e820_most * 20));
    return params;
}

Result<CpuState> entry_state(GuestMemory& memory, const Kernel& kernel, const CpuState& reset_state) {
    Result<CpuState> state =
        kernel.entry_is_64_bit ? long_mode_entry(memory, reset_state, k_gdt, k_page_tables, kernel.entry)
                               : protected_mode_entry(memory, reset_state, k_gdt, static_cast<uint32_t>(kernel.entry));
    if (state) {
        state->gpr[k_rsi] = k_boot_params;
    }
    return state;
}

}  // namespace

Result<CpuState> load_linux(GuestMemory& memory, const PlatformDescription& platform, const LinuxFiles& files,
                            GuestAddress rsdp, const CpuState& reset_state) {
    Result<LargeBuffer> content = read_boot_file("Linux kernel", files.kernel, k_largest_kernel);
    if (!content) {
        return tl::unexpected(content.error());
    }
    Result<Kernel> kernel = parse_kernel(files.kernel, std::move(*content));
    if (!kernel) {
        return tl::unexpected(kernel.error());
    }
    Status done = place_kernel(memory, files.kernel, *kernel);
    if (done) {
        done = place_command_line(memory, *kernel, files.command_line);
    }
    if (!done) {
        return tl::unexpected(done.error());
    }
    const Result<Placed> initrd = place_initrd(memory, files.initrd, *kernel);
    if (!initrd) {
        return tl::unexpected(initrd.error());
    }
    const auto params = boot_params(*kernel, platform, files, *initrd, rsdp);
    if (const Status put = put_into_ram(memory, k_boot_params, params.data(), params.size()); !put) {
        return tl::unexpected(put.error());
    }
    return entry_state(memory, *kernel, reset_state);
}

}  // namespace skep
