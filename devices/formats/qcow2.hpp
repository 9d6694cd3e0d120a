// SPDX-License-Identifier: GPL-3.0-or-later
// A qcow2 image, versions 2 and 3, as a block back end.
//
// Reads and writes of clusters that lie where they may be written go straight to the host, any number at a time. All
// else (loading tables, allocation, copy-on-write, discard, flush) is carried out by one thread, which owns the tables.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "devices/block/block_backend.hpp"
#include "devices/block/file_engine.hpp"
#include "devices/formats/qcow2_store.hpp"
#include "vmm/base/fd.hpp"

namespace skep {

struct Qcow2Options {
    ImageAccess access = ImageAccess::read_write;
    IoMethod method = IoMethod::automatic;
    uint64_t cache_bytes = uint64_t{32} << 20;
    // Changed tables are durable at the latest after this time without a flush, so that a power cut costs little of what
    // was not flushed. 0: only at flushes.
    unsigned commit_seconds = 1;
    Acknowledged acknowledged = Acknowledged::in_memory;
    uint64_t session = qcow2::host_session();
};

// Decompresses clusters; one thread at a time. Errors: EIO.
class Qcow2Decompressor {
  public:
    explicit Qcow2Decompressor(qcow2::Compression kind) : m_kind(kind) {}
    // `to` is filled whole.
    [[nodiscard]] HostError decompress(std::span<const uint8_t> from, std::span<uint8_t> to) const;

  private:
    qcow2::Compression m_kind;
};

class Qcow2Image final : public BlockBackend {
  public:
    // `engine` works on `fd` or, in tests, on anything (fd then is empty). `backing` may be null. Errors as
    // qcow2::Store::open.
    static Result<std::shared_ptr<Qcow2Image>> open(const std::string& path, Fd fd, std::unique_ptr<FileEngine> engine,
                                                    uint64_t file_size, std::shared_ptr<BlockBackend> backing,
                                                    const Qcow2Options& options);
    // Finishes what is in flight and writes the tables; what is held is completed with no_space.
    ~Qcow2Image() override;

    [[nodiscard]] const BlockInfo& info() const override { return m_info; }
    void submit(BlockRequest request) override;
    void drain() override;
    void set_on_no_space(std::function<void(const std::string&)> report) override;
    void retry() override;
    void cancel_held() override;
    Status grow(uint64_t size) override;

  private:
    struct Request {
        BlockRequest request;
        uint64_t begin = 0, end = 0;  // of the virtual disk
        uint64_t at = 0;              // up to here parts have been started
        unsigned parity = 0;          // which in-flight count it is in
        std::atomic<unsigned> parts{1};
        std::atomic<BlockStatus> status{BlockStatus::ok};
    };
    using RequestPtr = std::shared_ptr<Request>;
    // One transfer of a request, restarted where the host moved less than asked.
    struct Part {
        RequestPtr request;
        FileOpKind kind = FileOpKind::read;
        uint64_t host = 0;
        std::vector<iovec> buffers;
        std::function<void(HostError)> done;  // null: the request's part ends
    };
    using PartPtr = std::shared_ptr<Part>;
    struct Extent {
        qcow2::ClusterPlace place;
        uint64_t guest = 0, length = 0;
    };
    // Guest clusters whose new place is being written; others wait for the entry.
    struct Allocation {
        uint64_t first = 0, count = 0;  // guest clusters
        uint64_t host = 0;              // offset of the first
        bool reused = false;            // a zero cluster's own place: nothing to give back
        std::vector<uint8_t> head, tail;
        std::vector<RequestPtr> waiting;
    };
    using AllocationPtr = std::shared_ptr<Allocation>;
    struct Held {
        RequestPtr request;
        std::function<void()> again;
        std::function<void()> cancel;
    };

    Qcow2Image(Fd fd, std::unique_ptr<FileEngine> engine, std::unique_ptr<qcow2::Store> store,
               std::shared_ptr<BlockBackend> backing, const Qcow2Options& options);

    // qcow2.cpp: requests in and out
    [[nodiscard]] bool is_valid(const Request& request) const;
    [[nodiscard]] bool start_directly(const RequestPtr& request);
    // `counted`: how many of the parts to come the request counts already.
    void start_extents(const RequestPtr& request, const std::vector<Extent>& extents, unsigned counted);
    [[nodiscard]] std::vector<iovec> slice(const Request& request, uint64_t guest, uint64_t length) const;
    void read_backing(const RequestPtr& request, const Extent& extent);
    void start_part(const PartPtr& part);
    void part_moved(const PartPtr& part, int64_t result);
    void part_failed(const PartPtr& part, HostError error);
    void end_part(const RequestPtr& request, BlockStatus status = BlockStatus::ok);
    void finish(const RequestPtr& request);
    void complete(const RequestPtr& request, BlockStatus status);

    // qcow2_thread.cpp: the thread that owns the tables
    void start_op(FileOp op);
    void post(std::function<void()> work);
    void run();
    void release_unused();
    void flush_all();
    void begin_work();
    void end_work();
    void end_logged(const RequestPtr& request);
    void log_changes(bool more_to_come);
    void hold(Held held);
    [[nodiscard]] HostError commit();
    void sync_failed();
    void sync_directly(const RequestPtr& request);

    // qcow2_slow.cpp, on that thread
    void advance(const RequestPtr& request);
    [[nodiscard]] bool advance_read(const RequestPtr& request);
    void fail_rest(const RequestPtr& request, HostError error);
    [[nodiscard]] HostError read_compressed(const RequestPtr& request, const Extent& extent);
    [[nodiscard]] uint64_t cluster_end(uint64_t guest) const { return ((guest >> m_cluster_bits) + 1) << m_cluster_bits; }
    [[nodiscard]] uint64_t table_end(uint64_t guest) const;
    [[nodiscard]] HostError read_now(uint64_t guest, std::span<uint8_t> to);
    [[nodiscard]] HostError read_backing_now(uint64_t guest, std::span<uint8_t> to);
    [[nodiscard]] HostError load_compressed(uint64_t entry);

    // qcow2_write.cpp, on that thread
    [[nodiscard]] bool advance_write(const RequestPtr& request);
    [[nodiscard]] AllocationPtr allocation_at(uint64_t guest_cluster) const;
    [[nodiscard]] HostError allocate(const RequestPtr& request, const qcow2::ClusterPlace& place);
    [[nodiscard]] HostError fill_edges(Allocation& allocation, uint64_t begin, uint64_t end, const qcow2::ClusterPlace& place);
    void write_allocation(const RequestPtr& request, const AllocationPtr& allocation, uint64_t begin, uint64_t end);
    void link(const RequestPtr& request, const AllocationPtr& allocation);
    void abandon(const AllocationPtr& allocation, HostError error);
    void wake(const AllocationPtr& allocation);
    // qcow2_zero.cpp, on that thread
    [[nodiscard]] bool advance_discard(const RequestPtr& request);
    [[nodiscard]] bool advance_zeroes(const RequestPtr& request);
    [[nodiscard]] HostError unmap(uint64_t guest, bool keep_place, bool must_read_zero);
    void write_zeros(const RequestPtr& request, uint64_t end);

    Fd m_fd;
    BlockInfo m_info;
    unsigned m_cluster_bits;
    Qcow2Options m_options;
    std::shared_ptr<BlockBackend> m_backing;
    std::unique_ptr<FileEngine> m_engine;
    std::unique_ptr<qcow2::Store> m_store;
    Qcow2Decompressor m_decompressor;
    uint64_t m_decompressed_entry = 0;  // what m_decompressed holds
    std::vector<uint8_t> m_decompressed;
    std::map<uint64_t, AllocationPtr> m_allocations;  // by first guest cluster
    std::vector<RequestPtr> m_unlogged;                // parts that end when the tables' changes are in the log

    std::mutex m_mutex;
    std::condition_variable m_changed;
    std::condition_variable m_idle;
    std::deque<std::function<void()>> m_work;
    std::vector<RequestPtr> m_flushes;
    std::vector<Held> m_held;
    std::function<void(const std::string&)> m_report_no_space;
    unsigned m_active = 0;                    // work posted, operations of the host
    std::array<uint64_t, 2> m_in_flight{};    // requests by parity
    unsigned m_parity = 0;
    std::vector<uint64_t> m_released;         // of the thread: durable, requests may still use their clusters
    std::vector<uint64_t> m_retiring;         // released entries waiting for requests of the other parity
    bool m_quit = false;
    std::atomic<bool> m_tables_dirty{false};  // set before a request that changed them is completed
    std::atomic<bool> m_sync_failed{false};
    std::atomic<uint64_t> m_errors{0};
    std::thread m_thread;
};

}  // namespace skep
