// SPDX-License-Identifier: GPL-3.0-or-later
// Integer operations as the host's own instructions; their flags go to Core::status as LAHF and SETO give them.
#pragma once

#include <cstdint>

namespace skep::interp {

// `instruction` followed by the saving of the flags into AX. Flags in use: [s] holds the status before.
#define SKEP_SAVE_FLAGS "\n\tlahf\n\tseto %%al"
#define SKEP_LOAD_CARRY "bt $8, %[s]\n\t"                // the guest's CF becomes the host's
#define SKEP_LOAD_FLAGS "add $0x7f, %%al\n\tsahf\n\t"    // all six, from AX

// a op= b.
#define SKEP_BINARY_OPERATION(Name, mnemonic, writes)                                                        \
    struct Name {                                                                                            \
        static constexpr bool k_writes = writes;                                                             \
        template <typename T>                                                                                \
        static T apply(uint16_t& status, T a, T b) {                                                         \
            uint16_t flags;                                                                                  \
            asm(mnemonic " %[b], %[a]" SKEP_SAVE_FLAGS : [a] "+r"(a), "=a"(flags) : [b] "r"(b) : "cc");      \
            status = flags;                                                                                  \
            return a;                                                                                        \
        }                                                                                                    \
        template <typename T>                                                                                \
        static void apply_locked(uint16_t& status, T* a, T b) {                                              \
            uint16_t flags;                                                                                  \
            asm volatile("lock " mnemonic " %[b], %[a]" SKEP_SAVE_FLAGS                                      \
                         : [a] "+m"(*a), "=a"(flags) : [b] "r"(b) : "cc", "memory");                         \
            status = flags;                                                                                  \
        }                                                                                                    \
    }
#define SKEP_CARRY_OPERATION(Name, mnemonic)                                                                 \
    struct Name {                                                                                            \
        static constexpr bool k_writes = true;                                                               \
        template <typename T>                                                                                \
        static T apply(uint16_t& status, T a, T b) {                                                         \
            uint16_t flags;                                                                                  \
            asm(SKEP_LOAD_CARRY mnemonic " %[b], %[a]" SKEP_SAVE_FLAGS                                       \
                : [a] "+r"(a), "=a"(flags) : [b] "r"(b), [s] "r"(uint32_t{status}) : "cc");                  \
            status = flags;                                                                                  \
            return a;                                                                                        \
        }                                                                                                    \
        template <typename T>                                                                                \
        static void apply_locked(uint16_t& status, T* a, T b) {                                              \
            uint16_t flags;                                                                                  \
            asm volatile(SKEP_LOAD_CARRY "lock " mnemonic " %[b], %[a]" SKEP_SAVE_FLAGS                      \
                         : [a] "+m"(*a), "=a"(flags) : [b] "r"(b), [s] "r"(uint32_t{status}) : "cc", "memory"); \
            status = flags;                                                                                  \
        }                                                                                                    \
    }
SKEP_BINARY_OPERATION(Add, "add", true);
SKEP_BINARY_OPERATION(Sub, "sub", true);
SKEP_BINARY_OPERATION(And, "and", true);
SKEP_BINARY_OPERATION(Or, "or", true);
SKEP_BINARY_OPERATION(Xor, "xor", true);
SKEP_CARRY_OPERATION(Adc, "adc");
SKEP_CARRY_OPERATION(Sbb, "sbb");
#undef SKEP_BINARY_OPERATION
#undef SKEP_CARRY_OPERATION

// Only flags come of these.
struct Cmp {
    static constexpr bool k_writes = false;
    template <typename T>
    static T apply(uint16_t& status, T a, T b) {
        uint16_t flags;
        asm("cmp %[b], %[a]" SKEP_SAVE_FLAGS : "=a"(flags) : [a] "r"(a), [b] "r"(b) : "cc");
        status = flags;
        return a;
    }
};
struct Test {
    static constexpr bool k_writes = false;
    template <typename T>
    static T apply(uint16_t& status, T a, T b) {
        uint16_t flags;
        asm("test %[b], %[a]" SKEP_SAVE_FLAGS : "=a"(flags) : [a] "r"(a), [b] "r"(b) : "cc");
        status = flags;
        return a;
    }
};

// One operand.
#define SKEP_UNARY_OPERATION(Name, mnemonic)                                                                 \
    struct Name {                                                                                            \
        template <typename T>                                                                                \
        static T apply(uint16_t& status, T a) {                                                              \
            uint16_t flags;                                                                                  \
            asm(SKEP_LOAD_CARRY mnemonic " %[a]" SKEP_SAVE_FLAGS                                             \
                : [a] "+r"(a), "=a"(flags) : [s] "r"(uint32_t{status}) : "cc");                              \
            status = flags;                                                                                  \
            return a;                                                                                        \
        }                                                                                                    \
        template <typename T>                                                                                \
        static void apply_locked(uint16_t& status, T* a) {                                                   \
            uint16_t flags;                                                                                  \
            if constexpr (sizeof(T) == 1) {                                                                  \
                asm volatile(SKEP_LOAD_CARRY "lock " mnemonic "b %[a]" SKEP_SAVE_FLAGS                       \
                             : [a] "+m"(*a), "=a"(flags) : [s] "r"(uint32_t{status}) : "cc", "memory");      \
            } else if constexpr (sizeof(T) == 2) {                                                           \
                asm volatile(SKEP_LOAD_CARRY "lock " mnemonic "w %[a]" SKEP_SAVE_FLAGS                       \
                             : [a] "+m"(*a), "=a"(flags) : [s] "r"(uint32_t{status}) : "cc", "memory");      \
            } else if constexpr (sizeof(T) == 4) {                                                           \
                asm volatile(SKEP_LOAD_CARRY "lock " mnemonic "l %[a]" SKEP_SAVE_FLAGS                       \
                             : [a] "+m"(*a), "=a"(flags) : [s] "r"(uint32_t{status}) : "cc", "memory");      \
            } else {                                                                                         \
                asm volatile(SKEP_LOAD_CARRY "lock " mnemonic "q %[a]" SKEP_SAVE_FLAGS                       \
                             : [a] "+m"(*a), "=a"(flags) : [s] "r"(uint32_t{status}) : "cc", "memory");      \
            }                                                                                                \
            status = flags;                                                                                  \
        }                                                                                                    \
    }
SKEP_UNARY_OPERATION(Inc, "inc");
SKEP_UNARY_OPERATION(Dec, "dec");
SKEP_UNARY_OPERATION(Neg, "neg");
#undef SKEP_UNARY_OPERATION

struct Not {
    template <typename T>
    static T apply(uint16_t&, T a) { return static_cast<T>(~a); }
    template <typename T>
    static void apply_locked(uint16_t&, T* a) { __atomic_fetch_xor(a, static_cast<T>(~T{0}), __ATOMIC_SEQ_CST); }
};

// Shifts and rotates by a count that is not 0 after masking; all flags go in, as rotates keep most of them.
#define SKEP_SHIFT_OPERATION(Name, mnemonic)                                                                 \
    struct Name {                                                                                            \
        template <typename T>                                                                                \
        static T apply(uint16_t& status, T a, uint8_t count) {                                               \
            uint16_t flags = status;                                                                         \
            asm(SKEP_LOAD_FLAGS mnemonic " %%cl, %[a]" SKEP_SAVE_FLAGS                                       \
                : [a] "+r"(a), "+a"(flags) : "c"(count) : "cc");                                             \
            status = flags;                                                                                  \
            return a;                                                                                        \
        }                                                                                                    \
    }
SKEP_SHIFT_OPERATION(Shl, "shl");
SKEP_SHIFT_OPERATION(Shr, "shr");
SKEP_SHIFT_OPERATION(Sar, "sar");
SKEP_SHIFT_OPERATION(Rol, "rol");
SKEP_SHIFT_OPERATION(Ror, "ror");
SKEP_SHIFT_OPERATION(Rcl, "rcl");
SKEP_SHIFT_OPERATION(Rcr, "rcr");
#undef SKEP_SHIFT_OPERATION
#define SKEP_DOUBLE_SHIFT(Name, mnemonic)                                                                    \
    struct Name {                                                                                            \
        template <typename T>                                                                                \
        static T apply(uint16_t& status, T a, T b, uint8_t count) {                                          \
            uint16_t flags = status;                                                                         \
            asm(SKEP_LOAD_FLAGS mnemonic " %%cl, %[b], %[a]" SKEP_SAVE_FLAGS                                 \
                : [a] "+&r"(a), "+&a"(flags) : [b] "r"(b), "c"(count) : "cc");                               \
            status = flags;                                                                                  \
            return a;                                                                                        \
        }                                                                                                    \
    }
SKEP_DOUBLE_SHIFT(Shld, "shld");
SKEP_DOUBLE_SHIFT(Shrd, "shrd");
#undef SKEP_DOUBLE_SHIFT

}  // namespace skep::interp
