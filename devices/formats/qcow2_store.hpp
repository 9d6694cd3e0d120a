// SPDX-License-Identifier: GPL-3.0-or-later
// The tables of a qcow2 image: where each guest cluster lies, kept in memory and written in an order that no power cut
// can turn into lost or shared clusters.
//
// The order (commit): refcounts, barrier, L2 and L1 entries, barrier, and only then are clusters reused that these
// entries no longer name. Data is written before its L2 entry is set, so the first barrier covers it.
//
// Between commits the changed words go into a log (qcow2_log.hpp), so that what completed survives the worker's death.
#pragma once

#include <memory>
#include <mutex>
#include <unordered_set>
#include <vector>

#include "devices/block/image_lock.hpp"
#include "devices/formats/acknowledged.hpp"
#include "devices/formats/metadata_file.hpp"
#include "devices/formats/qcow2_header.hpp"
#include "devices/formats/qcow2_refcounts.hpp"

namespace skep::qcow2 {

enum class ClusterKind : uint8_t {
    unallocated,     // the backing file's, or zeros
    zero,            // reads as zeros
    zero_allocated,  // reads as zeros; `host` is kept for it
    data,
    compressed,  // `host` is the L2 entry itself
    damaged,     // the entry is impossible
};

struct ClusterPlace {
    ClusterKind kind = ClusterKind::unallocated;
    uint64_t host = 0;     // offset in the file
    bool alone = false;    // used once: may be written in place
};

// "Compressed Clusters Descriptor": where the compressed bytes lie (the end is rounded up to sectors).
struct CompressedPlace {
    uint64_t offset = 0;
    uint64_t length = 0;
};

struct L2Table {
    std::vector<uint8_t> bytes;  // as on the disk, big-endian
    uint64_t l1_index = 0;
    uint64_t dirty_from = ~uint64_t{0}, dirty_to = 0;  // bytes
    uint64_t last_used = 0;
};

struct StoreOptions {
    ImageAccess access = ImageAccess::read_write;
    uint64_t cache_bytes = uint64_t{32} << 20;  // of L2 tables; 32 MiB serve 256 GiB of 64 KiB clusters
    Acknowledged acknowledged = Acknowledged::in_memory;
    uint64_t session = host_session();  // which log is believed
};

// One thread at a time, except peek() and its table under mutex().
class Store {
  public:
    // `engine` outlives the store. Errors: invalid_input, unsupported, io.
    static Result<std::unique_ptr<Store>> open(FileEngine& engine, uint64_t file_size, const std::string& path,
                                               const StoreOptions& options);
    [[nodiscard]] const Header& header() const { return m_header; }
    [[nodiscard]] MetadataFile& file() { return m_file; }
    [[nodiscard]] Refcounts& refcounts() { return m_refcounts; }
    [[nodiscard]] const std::vector<uint64_t>& l1() const { return m_l1; }
    [[nodiscard]] const std::string& path() const { return m_path; }

    // --- reading where clusters lie ---
    [[nodiscard]] std::mutex& mutex() { return m_mutex; }
    [[nodiscard]] uint64_t l1_index(uint64_t guest_offset) const { return guest_offset >> (m_header.cluster_bits + m_header.l2_bits()); }
    // With mutex() held: the table that describes `guest_offset` is in memory (or known not to exist).
    [[nodiscard]] bool is_loaded(uint64_t guest_offset) const {
        const uint64_t index = l1_index(guest_offset);
        return m_slots[index] != nullptr || (m_l1[index] & k_offset_mask) == 0;
    }
    // With mutex() held; loaded.
    [[nodiscard]] ClusterPlace place(uint64_t guest_offset);
    // On the owner's thread, without it.
    [[nodiscard]] ClusterPlace place_now(uint64_t guest_offset) {
        const std::lock_guard lock(m_mutex);
        return place(guest_offset);
    }
    [[nodiscard]] uint64_t entry(uint64_t guest_offset) const;
    [[nodiscard]] CompressedPlace compressed_place(uint64_t entry) const;
    // Brings the table of `guest_offset` into memory. May commit first to make room.
    [[nodiscard]] HostError load(uint64_t guest_offset);

    // --- changing it: on the owner's thread ---
    // Loads it and makes it this image's own, so that set_entry() may follow.
    [[nodiscard]] HostError make_writable(uint64_t guest_offset);
    void set_entry(uint64_t guest_offset, uint64_t value);
    // The host clusters that `old_entry` names lose a user once the new entries are durable.
    void release_later(uint64_t old_entry);
    [[nodiscard]] bool dirty() const { return m_dirty; }
    // Acknowledged::in_file, with mutex() held: entries have changed that no file knows of yet. Nobody may tell the guest
    // of a write to their clusters before log_changes().
    [[nodiscard]] bool has_unlogged() const { return m_unlogged; }
    // All changes so far survive the process. Errors as commit(), and to be repeated like it.
    [[nodiscard]] HostError log_changes();
    // At the very end, after the last commit().
    void close_log();
    // All of the above is durable after this, and every data write completed before. May be repeated after an error.
    [[nodiscard]] HostError commit();
    // Entries whose replacement is durable; the caller makes sure that no transfer uses their clusters any more, ...
    [[nodiscard]] std::vector<uint64_t> take_released();
    // ... and then lets them go; fully unused clusters are punched out of the file.
    [[nodiscard]] HostError drop_released(const std::vector<uint64_t>& entries);
    [[nodiscard]] HostError write_header_field(uint64_t at, uint64_t value);
    // Appends to the virtual disk (a multiple of 512, not smaller); durable when it returns.
    [[nodiscard]] Status grow(uint64_t new_size);

  private:
    Store(FileEngine& engine, Header header, uint64_t file_size, std::string path, const StoreOptions& options);
    [[nodiscard]] Status load_l1();
    [[nodiscard]] Status take_over_log(ImageAccess access);
    [[nodiscard]] HostError write_words(const std::map<uint64_t, uint64_t>& words);
    [[nodiscard]] Status begin_writing();
    void entry_changed(uint64_t offset, uint64_t value);  // with mutex() held
    [[nodiscard]] HostError make_room();
    [[nodiscard]] HostError write_l2_tables();
    [[nodiscard]] HostError write_l1_entries();
    [[nodiscard]] HostError release_clusters(uint64_t entry, std::vector<uint64_t>& unused);
    [[nodiscard]] HostError check_table(L2Table& table) const;
    void install(std::unique_ptr<L2Table> table);

    MetadataFile m_file;
    Header m_header;
    std::string m_path;
    StoreOptions m_options;
    std::unordered_set<uint64_t> m_metadata;
    uint64_t m_file_clusters;
    Refcounts m_refcounts;
    std::unique_ptr<TableLog> m_log;
    std::mutex m_mutex;                             // of m_l1, m_slots, the tables' bytes and m_unlogged
    bool m_unlogged = false;
    std::vector<uint64_t> m_l1;                     // host byte order
    std::vector<std::unique_ptr<L2Table>> m_slots;  // by L1 index
    uint64_t m_loaded_tables = 0;
    uint64_t m_clock = 0;
    std::vector<uint64_t> m_dirty_l1;
    uint64_t m_dirty_tables = 0;
    std::vector<uint64_t> m_releasing;  // L2 entries whose replacement is not durable yet
    std::vector<uint64_t> m_released;
    bool m_dirty = false;
};

}  // namespace skep::qcow2
