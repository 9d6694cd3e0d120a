// SPDX-License-Identifier: GPL-3.0-or-later
// MOVS STOS LODS CMPS SCAS INS OUTS, once or repeated (SDM 2; SDM 1, 7.3.9). A repetition goes page by page over host
// memory where it can, keeps the registers exact after every step, and breaks off (RIP still at the instruction) when
// somebody wants the processor.
#include <algorithm>

#include "vmm/interp/alu_operations.hpp"
#include "vmm/interp/breakpoints.hpp"
#include "vmm/interp/builders.hpp"
#include "vmm/interp/ea.hpp"
#include "vmm/interp/flags.hpp"
#include "vmm/interp/segments.hpp"

namespace skep::interp {
namespace {

constexpr RegisterOffset k_cx = k_rcx * 8;
constexpr RegisterOffset k_si = k_rsi * 8;
constexpr RegisterOffset k_di = k_rdi * 8;
constexpr RegisterOffset k_ax = k_rax * 8;

struct Step {
    uint64_t done = 1;     // elements
    bool stop = false;     // the repetition ends here (CMPS, SCAS)
    bool faulted = false;  // nothing was done, and leave_with_fault() was called
};
constexpr Step k_faulted{.done = 0, .faulted = true};

// step(most) handles 1..most elements, registers included, and throws before it changes any.
template <typename Stepper>
void repeat(Core& core, const Op& op, Stepper step) {
    if ((op.flags & (k_op_rep | k_op_repne)) == 0) {
        if (step(uint64_t{1}).faulted) {
            core.next_rip = core.rip;
        }
        return;
    }
    uint64_t count = read_reg_sized(core, k_cx, op.address_size);
    while (count != 0) {
        const bool single = (core.requests.load(std::memory_order_relaxed) & k_request_step) != 0;
        const Step made = step(single ? uint64_t{1} : count);
        if (made.faulted) {
            core.next_rip = core.rip;
            return;
        }
        count -= made.done;
        write_reg_sized(core, k_cx, op.address_size, count);
        if (made.stop) {
            return;
        }
        if (count != 0 && core.requests.load(std::memory_order_relaxed) != 0) {
            core.next_rip = core.rip;
            return;
        }
    }
}

bool backward(const Core& core) { return (core.rflags_rest & k_flag_df) != 0; }

// One of the two pointers: where it is now, and its way on.
class Pointer {
  public:
    Pointer(Core& core, const Op& op, RegisterOffset index, unsigned segment)
        : m_core(core), m_size(op.address_size), m_index(index), m_segment(segment),
          m_offset(read_reg_sized(core, index, op.address_size)) {}

    [[nodiscard]] uint64_t linear(unsigned bytes, Access access) const {
        return segment_linear(m_core, m_segment, m_offset, bytes, access);
    }
    // How many elements of `size` bytes, at most `most`, lie ahead on this page, without wrap and inside a segment that
    // needs no closer look; 0: go one by one.
    [[nodiscard]] uint64_t run_ahead(uint64_t most, unsigned size, Access access) const {
        const uint64_t base = m_core.segment_base[m_segment];
        const uint64_t here = m_core.code64 ? base + m_offset : static_cast<uint32_t>(base + m_offset);
        uint64_t bytes = k_page_size - (here & k_page_mask);
        bytes = std::min(bytes, address_mask(m_size) - m_offset);
        uint64_t count = std::min(most, bytes / size);
        if (!m_core.code64) {
            const int64_t limit = access == Access::write ? m_core.write_limit[m_segment] : m_core.read_limit[m_segment];
            const int64_t room = limit - static_cast<int64_t>(m_offset) + 1;
            count = room <= 0 ? 0 : std::min(count, static_cast<uint64_t>(room) / size);
        }
        return count;
    }
    void advance(uint64_t elements, unsigned size) {
        const uint64_t bytes = elements * size;
        const uint64_t offset = backward(m_core) ? m_offset - bytes : m_offset + bytes;
        write_reg_sized(m_core, m_index, m_size, offset);
    }
    [[nodiscard]] unsigned segment() const { return m_segment; }

  private:
    Core& m_core;
    unsigned m_size;
    RegisterOffset m_index;
    unsigned m_segment;
    uint64_t m_offset;
};
Pointer source_of(Core& core, const Op& op) { return {core, op, k_si, op.segment}; }
Pointer destination_of(Core& core, const Op& op) { return {core, op, k_di, k_es}; }

// Host memory for a forward run, or null. It stays good while the next one is looked for.
std::byte* host_run(Core& core, const Pointer& pointer, uint64_t bytes, Access access) {
    return find_host(core, pointer.linear(static_cast<unsigned>(bytes), access), access);
}

// False after a page fault was left for the run loop.
template <typename T>
bool is_paged_in(Core& core, uint64_t linear, Access access) {
    const std::byte* host = access == Access::write ? host_for_write(core, linear, sizeof(T))
                                                    : host_for_read(core, linear, sizeof(T));
    return host != nullptr || page_in(core, linear, sizeof(T), access);
}

template <typename T>
void copy_forward(std::byte* to, const std::byte* from, uint64_t count) {
    const uint64_t bytes = count * sizeof(T);
    if (to <= from || to >= from + bytes) {
        std::memmove(to, from, bytes);
        return;
    }
    for (uint64_t i = 0; i < count; ++i) {  // an overlap that repeats a pattern
        store_le<T>(to + i * sizeof(T), load_le<T>(from + i * sizeof(T)));
    }
}

template <typename T>
Step move_step(Core& core, const Op& op, uint64_t most) {
    Pointer from = source_of(core, op);
    Pointer to = destination_of(core, op);
    if (most > 1 && !backward(core)) {
        uint64_t count = from.run_ahead(most, sizeof(T), Access::read);
        count = std::min(count, to.run_ahead(most, sizeof(T), Access::write));
        if (count > 1) {
            const std::byte* read = host_run(core, from, count * sizeof(T), Access::read);
            std::byte* write = read != nullptr ? host_run(core, to, count * sizeof(T), Access::write) : nullptr;
            if (write != nullptr) {
                copy_forward<T>(write, read, count);
                from.advance(count, sizeof(T));
                to.advance(count, sizeof(T));
                return {.done = count};
            }
        }
    }
    const uint64_t source = from.linear(sizeof(T), Access::read);
    if (!is_paged_in<T>(core, source, Access::read)) {
        return k_faulted;
    }
    const uint64_t target = to.linear(sizeof(T), Access::write);
    if (!is_paged_in<T>(core, target, Access::write)) {
        return k_faulted;
    }
    store<T>(core, target, load<T>(core, source, from.segment()), to.segment());
    from.advance(1, sizeof(T));
    to.advance(1, sizeof(T));
    return {};
}
template <typename T>
void move_string(Core& core, const Op& op) {
    repeat(core, op, [&](uint64_t most) { return move_step<T>(core, op, most); });
}

template <typename T>
Step fill_step(Core& core, const Op& op, uint64_t most) {
    Pointer to = destination_of(core, op);
    const T value = read_reg<T>(core, k_ax);
    if (most > 1 && !backward(core)) {
        const uint64_t count = to.run_ahead(most, sizeof(T), Access::write);
        std::byte* write = count > 1 ? host_run(core, to, count * sizeof(T), Access::write) : nullptr;
        if (write != nullptr) {
            if (sizeof(T) == 1 || value == 0) {
                std::memset(write, static_cast<uint8_t>(value), count * sizeof(T));
            } else {
                for (uint64_t i = 0; i < count; ++i) {
                    store_le<T>(write + i * sizeof(T), value);
                }
            }
            to.advance(count, sizeof(T));
            return {.done = count};
        }
    }
    const uint64_t target = to.linear(sizeof(T), Access::write);
    if (!is_paged_in<T>(core, target, Access::write)) {
        return k_faulted;
    }
    store<T>(core, target, value, to.segment());
    to.advance(1, sizeof(T));
    return {};
}
template <typename T>
void fill_string(Core& core, const Op& op) {
    repeat(core, op, [&](uint64_t most) { return fill_step<T>(core, op, most); });
}

template <typename T>
void load_string(Core& core, const Op& op) {
    repeat(core, op, [&](uint64_t) {
        Pointer from = source_of(core, op);
        const T value = load<T>(core, from.linear(sizeof(T), Access::read), from.segment());
        write_reg<T>(core, k_ax, value);
        from.advance(1, sizeof(T));
        return Step{};
    });
}

// After comparing a with b: does a repetition with this prefix end?
template <typename T>
bool comparison_ends(const Op& op, T a, T b) {
    return (op.flags & k_op_rep) != 0 ? a != b : a == b;
}
template <typename T>
Step compare_step(Core& core, const Op& op, uint64_t most) {
    Pointer from = source_of(core, op);
    Pointer to = destination_of(core, op);
    uint64_t done = 0;
    T a{};
    T b{};
    const uint64_t count = most > 1 && !backward(core) ? std::min(from.run_ahead(most, sizeof(T), Access::read),
                                                                  to.run_ahead(most, sizeof(T), Access::read))
                                                       : 0;
    const std::byte* first = count > 1 ? host_run(core, from, count * sizeof(T), Access::read) : nullptr;
    const std::byte* second = first != nullptr ? host_run(core, to, count * sizeof(T), Access::read) : nullptr;
    if (second != nullptr) {
        do {
            a = load_le<T>(first + done * sizeof(T));
            b = load_le<T>(second + done * sizeof(T));
            ++done;
        } while (done < count && !comparison_ends(op, a, b));
    } else {
        a = load<T>(core, from.linear(sizeof(T), Access::read), from.segment());
        b = load<T>(core, to.linear(sizeof(T), Access::read), to.segment());
        done = 1;
    }
    Cmp::apply(core.status, a, b);
    from.advance(done, sizeof(T));
    to.advance(done, sizeof(T));
    return {.done = done, .stop = comparison_ends(op, a, b)};
}
template <typename T>
void compare_string(Core& core, const Op& op) {
    repeat(core, op, [&](uint64_t most) { return compare_step<T>(core, op, most); });
}

template <typename T>
Step scan_step(Core& core, const Op& op, uint64_t most) {
    Pointer to = destination_of(core, op);
    const T wanted = read_reg<T>(core, k_ax);
    uint64_t done = 0;
    T seen{};
    const uint64_t count = most > 1 && !backward(core) ? to.run_ahead(most, sizeof(T), Access::read) : 0;
    if (const std::byte* read = count > 1 ? host_run(core, to, count * sizeof(T), Access::read) : nullptr) {
        do {
            seen = load_le<T>(read + done * sizeof(T));
            ++done;
        } while (done < count && !comparison_ends(op, wanted, seen));
    } else {
        seen = load<T>(core, to.linear(sizeof(T), Access::read), to.segment());
        done = 1;
    }
    Cmp::apply(core.status, wanted, seen);
    to.advance(done, sizeof(T));
    return {.done = done, .stop = comparison_ends(op, wanted, seen)};
}
template <typename T>
void scan_string(Core& core, const Op& op) {
    repeat(core, op, [&](uint64_t most) { return scan_step<T>(core, op, most); });
}

// The memory operand is checked before the port is touched: what a device gives must not be lost to a fault.
template <typename T>
void input_string(Core& core, const Op& op) {
    const auto port = read_reg<uint16_t>(core, k_rdx * 8);
    check_io_permission(core, port, sizeof(T));
    repeat(core, op, [&](uint64_t) {
        Pointer to = destination_of(core, op);
        const uint64_t linear = to.linear(sizeof(T), Access::write);
        check_store(core, linear, sizeof(T), to.segment());
        note_port_access(core, port, sizeof(T));
        store<T>(core, linear, static_cast<T>(core.io->port_read(port, sizeof(T))), to.segment());
        to.advance(1, sizeof(T));
        return Step{};
    });
}
template <typename T>
void output_string(Core& core, const Op& op) {
    const auto port = read_reg<uint16_t>(core, k_rdx * 8);
    check_io_permission(core, port, sizeof(T));
    repeat(core, op, [&](uint64_t) {
        Pointer from = source_of(core, op);
        const T value = load<T>(core, from.linear(sizeof(T), Access::read), from.segment());
        note_port_access(core, port, sizeof(T));
        core.io->port_write(port, sizeof(T), value);
        from.advance(1, sizeof(T));
        return Step{};
    });
}

template <template <typename> class Family>
PlainHandler by_size(unsigned size) {
    switch (size) {
        case 1: return Family<uint8_t>::handler;
        case 2: return Family<uint16_t>::handler;
        case 4: return Family<uint32_t>::handler;
        default: return Family<uint64_t>::handler;
    }
}
template <typename T>
struct Move { static constexpr PlainHandler handler = move_string<T>; };
template <typename T>
struct Fill { static constexpr PlainHandler handler = fill_string<T>; };
template <typename T>
struct Load { static constexpr PlainHandler handler = load_string<T>; };
template <typename T>
struct Compare { static constexpr PlainHandler handler = compare_string<T>; };
template <typename T>
struct Scan { static constexpr PlainHandler handler = scan_string<T>; };

PlainHandler choose(ZydisMnemonic mnemonic) {
    switch (mnemonic) {
        case ZYDIS_MNEMONIC_MOVSB: return by_size<Move>(1);
        case ZYDIS_MNEMONIC_MOVSW: return by_size<Move>(2);
        case ZYDIS_MNEMONIC_MOVSD: return by_size<Move>(4);
        case ZYDIS_MNEMONIC_MOVSQ: return by_size<Move>(8);
        case ZYDIS_MNEMONIC_STOSB: return by_size<Fill>(1);
        case ZYDIS_MNEMONIC_STOSW: return by_size<Fill>(2);
        case ZYDIS_MNEMONIC_STOSD: return by_size<Fill>(4);
        case ZYDIS_MNEMONIC_STOSQ: return by_size<Fill>(8);
        case ZYDIS_MNEMONIC_LODSB: return by_size<Load>(1);
        case ZYDIS_MNEMONIC_LODSW: return by_size<Load>(2);
        case ZYDIS_MNEMONIC_LODSD: return by_size<Load>(4);
        case ZYDIS_MNEMONIC_LODSQ: return by_size<Load>(8);
        case ZYDIS_MNEMONIC_CMPSB: return by_size<Compare>(1);
        case ZYDIS_MNEMONIC_CMPSW: return by_size<Compare>(2);
        case ZYDIS_MNEMONIC_CMPSD: return by_size<Compare>(4);
        case ZYDIS_MNEMONIC_CMPSQ: return by_size<Compare>(8);
        case ZYDIS_MNEMONIC_SCASB: return by_size<Scan>(1);
        case ZYDIS_MNEMONIC_SCASW: return by_size<Scan>(2);
        case ZYDIS_MNEMONIC_SCASD: return by_size<Scan>(4);
        case ZYDIS_MNEMONIC_SCASQ: return by_size<Scan>(8);
        case ZYDIS_MNEMONIC_INSB: return input_string<uint8_t>;
        case ZYDIS_MNEMONIC_INSW: return input_string<uint16_t>;
        case ZYDIS_MNEMONIC_INSD: return input_string<uint32_t>;
        case ZYDIS_MNEMONIC_OUTSB: return output_string<uint8_t>;
        case ZYDIS_MNEMONIC_OUTSW: return output_string<uint16_t>;
        case ZYDIS_MNEMONIC_OUTSD: return output_string<uint32_t>;
        default: return nullptr;
    }
}

}  // namespace

bool build_string(const Source& from, Decoded& to) {
    const ZydisInstructionCategory category = from.instruction.meta.category;
    if (category != ZYDIS_CATEGORY_STRINGOP && category != ZYDIS_CATEGORY_IOSTRINGOP) {
        return false;
    }
    const PlainHandler handler = choose(from.mnemonic());
    if (handler == nullptr) {
        return false;
    }
    Op& op = to.op;
    op.address_size = static_cast<uint8_t>(from.instruction.address_width / 8);
    op.segment = k_ds;
    for (unsigned i = 0; i < from.instruction.operand_count; ++i) {
        if (from.is_memory(i) && register_offset(from.operands[i].mem.base) == k_si) {
            op.segment = static_cast<uint8_t>(from.operands[i].mem.segment - ZYDIS_REGISTER_ES);
        }
    }
    set_plain(to, handler);
    return true;
}

}  // namespace skep::interp
