// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/boot/multiboot.hpp"

#include <algorithm>
#include <cstring>

#include "vmm/base/bits.hpp"
#include "vmm/boot/boot_file.hpp"
#include "vmm/boot/byte_writer.hpp"
#include "vmm/boot/e820.hpp"
#include "vmm/boot/entry_state.hpp"
#include "vmm/boot/multiboot_image.hpp"

namespace skep {
namespace {

constexpr uint64_t k_largest_file = uint64_t{1} << 31;
constexpr size_t k_most_modules = 256;
constexpr GuestAddress k_base_memory_end = 0x9'fc00;
constexpr GuestAddress k_extended_memory = 0x10'0000;
constexpr uint32_t k_loader_magic = 0x2bad'b002;
constexpr const char* k_loader_name = "Skep";

// Flags of the boot information (3.3).
constexpr uint32_t k_has_memory = 1, k_has_command_line = 1 << 2, k_has_modules = 1 << 3, k_has_map = 1 << 6;
constexpr uint32_t k_has_loader_name = 1 << 9, k_has_frame_buffer = 1 << 12;
constexpr size_t k_information_bytes = 120;  // of which the last four are nothing

Status place_segment(GuestMemory& memory, const std::string& path, const LoadSegment& segment) {
    const GuestAddress end = segment.address + segment.size;
    const bool in_base = end <= k_base_memory_end;
    const bool in_extended = segment.address >= k_extended_memory && end <= memory.low_ram_bytes();
    if (!in_base && !in_extended) {
        return fail(
            ErrorKind::invalid_input,
            "The multiboot kernel '{}' wants to be loaded at {:#x}-{:#x}, where the VM with {} MiB has no RAM for it: "
            "give the VM more memory.",
            path, segment.address, end, memory.ram_bytes() >> 20);
    }
    std::byte* to = memory.ram_at(segment.address, segment.size);
    if (to == nullptr) {
        return fail(ErrorKind::invalid_input, "The multiboot kernel '{}' does not fit into the VM's memory.", path);
    }
    std::memcpy(to, segment.data.data(), segment.data.size());
    std::memset(to + segment.data.size(), 0, segment.size - segment.data.size());
    return {};
}

struct PlacedModule {
    uint32_t start = 0, end = 0, text = 0;
};

// Everything behind the kernel: modules on page boundaries, then the boot information with its texts and lists.
class Information {
  public:
    Information(GuestMemory& memory, GuestAddress free) : m_memory(memory), m_next(align_up(free, k_page_size)) {}

    Status add_module(const MultibootModule& module) {
        Result<LargeBuffer> content = read_boot_file("multiboot module", module.path, k_largest_file);
        if (!content) {
            return tl::unexpected(content.error());
        }
        if (m_next > m_memory.low_ram_bytes() || content->size() > m_memory.low_ram_bytes() - m_next) {
            return fail(
                ErrorKind::invalid_input,
                "The multiboot module '{}' has {} MiB and does not fit into the VM's memory of {} MiB: give it more.",
                module.path, (content->size() >> 20) + 1, m_memory.ram_bytes() >> 20);
        }
        if (const Status put = put_into_ram(m_memory, m_next, content->data(), content->size()); !put) {
            return put;
        }
        m_modules.push_back({static_cast<uint32_t>(m_next), static_cast<uint32_t>(m_next + content->size()), 0});
        m_next = align_up(m_next + content->size(), k_page_size);
        return {};
    }

    // Gives the address of the boot information; it starts on a page, followed by the GDT for the entry.
    Result<GuestAddress> finish(const PlatformDescription& platform, const MultibootFiles& files,
                                const std::optional<MultibootScreen>& screen);
    [[nodiscard]] GuestAddress gdt() const { return m_next + k_information_bytes; }

  private:
    // Appends to the area behind the fixed part; gives the guest address of what was added.
    uint32_t add(std::span<const std::byte> bytes) {
        const auto address = static_cast<uint32_t>(m_next + m_area.size());
        m_area.bytes(bytes).zeros(align_up(m_area.size(), 4) - m_area.size());
        return address;
    }
    uint32_t add_text(const std::string& text) { return add(std::as_bytes(std::span(text.c_str(), text.size() + 1))); }
    uint32_t add_module_list(const MultibootFiles& files);

    GuestMemory& m_memory;
    GuestAddress m_next;
    std::vector<PlacedModule> m_modules;
    ByteWriter m_area;
};

uint32_t Information::add_module_list(const MultibootFiles& files) {
    for (size_t i = 0; i < m_modules.size(); ++i) {
        m_modules[i].text = add_text(files.modules[i].command_line);
    }
    ByteWriter list;
    for (const PlacedModule& module : m_modules) {
        list.u32(module.start).u32(module.end).u32(module.text).u32(0);
    }
    return add(list.content());
}

std::vector<std::byte> memory_map_bytes(const PlatformDescription& platform) {
    constexpr uint32_t k_entry_bytes = 20;  // without the size field itself (3.3)
    ByteWriter map;
    for (const E820Entry& entry : direct_boot_memory_map(platform)) {
        map.u32(k_entry_bytes).u64(entry.start).u64(entry.size).u32(static_cast<uint32_t>(entry.type));
    }
    return map.take();
}

void put_frame_buffer(ByteWriter& fixed, const MultibootScreen& screen) {
    constexpr uint8_t k_rgb = 1, k_text = 2;
    const bool is_text = screen.mode.mode == MultibootVideo::Mode::text;
    fixed.u64(screen.address).u32(screen.mode.width * screen.mode.depth / 8).u32(screen.mode.width).u32(screen.mode.height);
    fixed.u8(static_cast<uint8_t>(screen.mode.depth)).u8(is_text ? k_text : k_rgb);
    for (const uint8_t position : {16, 8, 0}) {  // red, green, blue: where they are, and how many bits
        fixed.u8(is_text ? 0 : position).u8(is_text ? 0 : 8);
    }
}

Result<GuestAddress> Information::finish(const PlatformDescription& platform, const MultibootFiles& files,
                                         const std::optional<MultibootScreen>& screen) {
    m_area.zeros(k_information_bytes + k_entry_gdt_bytes);
    const std::string command_line =
        files.command_line.empty() ? files.kernel : files.kernel + " " + files.command_line;
    const uint32_t text = add_text(command_line);
    const uint32_t modules = add_module_list(files);
    const std::vector<std::byte> map = memory_map_bytes(platform);
    const uint32_t map_address = add(map);
    const uint32_t loader = add_text(k_loader_name);

    uint32_t flags = k_has_memory | k_has_command_line | k_has_map | k_has_loader_name;
    flags |= (m_modules.empty() ? 0 : k_has_modules) | (screen ? k_has_frame_buffer : 0);
    ByteWriter fixed;
    fixed.u32(flags).u32(k_base_memory_end >> 10).u32((m_memory.low_ram_bytes() - k_extended_memory) >> 10);
    fixed.u32(0).u32(text).u32(m_modules.size()).u32(modules).zeros(16);
    fixed.u32(map.size()).u32(map_address).zeros(12).u32(loader);
    if (screen) {
        constexpr size_t k_frame_buffer_fields = 88;
        fixed.zeros(k_frame_buffer_fields - fixed.size());
        put_frame_buffer(fixed, *screen);
    }
    std::copy(fixed.content().begin(), fixed.content().end(), m_area.content().begin());
    if (const Status put = put_into_ram(m_memory, m_next, m_area.content().data(), m_area.size()); !put) {
        return tl::unexpected(put.error());
    }
    return m_next;
}

// Loads the kernel; gives where free memory starts behind it.
Result<GuestAddress> place_kernel(GuestMemory& memory, const std::string& path, const MultibootImage& image) {
    GuestAddress end = k_extended_memory;
    for (const LoadSegment& segment : image.segments) {
        if (const Status placed = place_segment(memory, path, segment); !placed) {
            return tl::unexpected(placed.error());
        }
        end = std::max(end, segment.address + segment.size);
    }
    return end;
}

}  // namespace

Result<CpuState> load_multiboot(GuestMemory& memory, const PlatformDescription& platform, const MultibootFiles& files,
                                const SetMultibootScreen& set_screen, const CpuState& reset_state) {
    if (memory.low_ram_bytes() <= k_extended_memory || files.modules.size() > k_most_modules) {
        return fail(ErrorKind::invalid_input,
                    "A multiboot kernel needs more than 1 MiB of memory and takes at most {} modules.", k_most_modules);
    }
    const Result<LargeBuffer> file = read_boot_file("multiboot kernel", files.kernel, k_largest_file);
    if (!file) {
        return tl::unexpected(file.error());
    }
    const Result<MultibootImage> image = parse_multiboot_image(files.kernel, *file);
    if (!image) {
        return tl::unexpected(image.error());
    }
    const Result<GuestAddress> free = place_kernel(memory, files.kernel, *image);
    if (!free) {
        return tl::unexpected(free.error());
    }
    Information information(memory, *free);
    for (const MultibootModule& module : files.modules) {
        if (const Status added = information.add_module(module); !added) {
            return tl::unexpected(added.error());
        }
    }
    const std::optional<MultibootScreen> screen = set_screen ? std::optional(set_screen(image->video)) : std::nullopt;
    const Result<GuestAddress> address = information.finish(platform, files, screen);
    if (!address) {
        return tl::unexpected(address.error());
    }
    Result<CpuState> state = protected_mode_entry(memory, reset_state, information.gdt(), image->entry);
    if (state) {
        state->gpr[k_rax] = k_loader_magic;
        state->gpr[k_rbx] = *address;
    }
    return state;
}

}  // namespace skep
