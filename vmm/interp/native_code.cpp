// SPDX-License-Identifier: GPL-3.0-or-later
// Native code of the interpreter: the store of generated functions. See native_code.hpp.
#include "vmm/interp/native_code.hpp"

#include <asmjit/core.h>

#include <cstring>
#include <deque>
#include <mutex>
#include <string>
#include <unordered_map>

namespace skep::interp {

namespace {

// Never destroyed: handlers may run until the process ends.
class NativeStore {
  public:
    static NativeStore& instance() {
        static auto* store = new NativeStore;
        return *store;
    }

    const NativeOp* intern(NativeOp properties, std::span<const uint8_t> code) {
        const std::string key = make_key(properties, code);
        const std::lock_guard lock(m_mutex);
        if (const auto found = m_ops.find(key); found != m_ops.end())
            return found->second;
        void* execute = nullptr;
        void* write = nullptr;
        if (m_allocator.alloc(&execute, &write, code.size()) != asmjit::kErrorOk)
            return nullptr;
        std::memcpy(write, code.data(), code.size());
        properties.run = reinterpret_cast<NativeFunction>(execute);
        m_storage.push_back(properties);
        m_ops.emplace(key, &m_storage.back());
        return &m_storage.back();
    }

  private:
    NativeStore() : m_allocator(&parameters()) {}

    static const asmjit::JitAllocator::CreateParams& parameters() {
        static asmjit::JitAllocator::CreateParams params;
        params.options = asmjit::JitAllocatorOptions::kUseDualMapping;
        params.blockSize = 1u << 20;
        return params;
    }

    static std::string make_key(const NativeOp& p, std::span<const uint8_t> code) {
        const std::array<uint8_t, 14> head = {uint8_t(p.unit), p.memory_bytes, p.alignment, p.loads, p.stores,
                                              p.sets_flags, p.uses_mxcsr, p.uses_mmx, p.waits, p.arithmetic,
                                              p.result_slot, p.element_bytes, p.scalar, 0};
        std::string key(reinterpret_cast<const char*>(head.data()), head.size());
        key.append(reinterpret_cast<const char*>(code.data()), code.size());
        return key;
    }

    std::mutex m_mutex;
    asmjit::JitAllocator m_allocator;
    std::deque<NativeOp> m_storage;
    std::unordered_map<std::string, const NativeOp*> m_ops;
};

}  // namespace

void NativeEmitter::bytes(std::initializer_list<unsigned> values) {
    for (const unsigned value : values) {
        if (m_size == m_code.size()) {
            m_overflowed = true;
            return;
        }
        m_code[m_size++] = static_cast<uint8_t>(value);
    }
}

void NativeEmitter::word(uint32_t value) {
    bytes({value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, value >> 24});
}

void NativeEmitter::append(std::span<const uint8_t> code) {
    for (const uint8_t byte : code)
        bytes({byte});
}

void NativeEmitter::patch32(size_t at, uint32_t value) {
    if (at + 4 <= m_size)
        std::memcpy(m_code.data() + at, &value, 4);
}

const NativeOp* intern_native_op(NativeOp properties, std::span<const uint8_t> code) {
    return NativeStore::instance().intern(properties, code);
}

}  // namespace skep::interp
