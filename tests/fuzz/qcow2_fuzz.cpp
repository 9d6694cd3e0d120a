// SPDX-License-Identifier: GPL-3.0-or-later
// libFuzzer entry: any bytes as a qcow2 image, looked through, changed, checked and repaired.
#include "devices/formats/qcow2_create.hpp"
#include "tests/fuzz/image_fuzz.hpp"

namespace {

using namespace skep;

constexpr uint64_t k_most_places = 64;

void change(qcow2::Store& store, uint64_t at) {
    if (store.make_writable(at) != 0) {
        return;
    }
    qcow2::ClusterRun run;
    if (store.refcounts().allocate(1, run) != 0) {
        return;
    }
    const uint64_t old = store.entry(at);
    store.set_entry(at, (run.first << store.header().cluster_bits) | qcow2::k_copied);
    store.release_later(old);
    if (store.commit() == 0) {
        static_cast<void>(store.drop_released(store.take_released()));
    }
}

void look_through(const uint8_t* data, size_t size, ImageAccess access) {
    fuzz::MemoryFile memory(data, size);
    auto store = qcow2::Store::open(memory, size, "fuzz", {.access = access, .cache_bytes = 4096});
    if (!store) {
        return;
    }
    const uint64_t step = std::max<uint64_t>((*store)->header().size / k_most_places, 512);
    for (uint64_t at = 0; at < (*store)->header().size; at += step) {
        if ((*store)->load(at) != 0) {
            continue;
        }
        const qcow2::ClusterPlace place = (*store)->place(at);
        if (place.kind == qcow2::ClusterKind::compressed) {
            static_cast<void>((*store)->compressed_place(place.host));
        }
        if (access == ImageAccess::read_write && place.kind != qcow2::ClusterKind::damaged) {
            change(**store, at);
        }
    }
    static_cast<void>(check_qcow2(**store, size, access == ImageAccess::read_write ? Repair::everything : Repair::nothing));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size != 0) {
        look_through(data, size, ImageAccess::read_only);
        look_through(data, size, ImageAccess::read_write);
    }
    return 0;
}
