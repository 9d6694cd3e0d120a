// SPDX-License-Identifier: GPL-3.0-or-later
// Images of other programs, read only: each is a map from blocks of the disk to places in the file.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "devices/block/block_backend.hpp"
#include "devices/block/image_file.hpp"
#include "devices/formats/image.hpp"
#include "devices/formats/metadata_file.hpp"

namespace skep {

struct BlockMap {
    uint64_t size = 0;         // of the disk, bytes
    uint64_t block_bytes = 0;  // of the disk that one entry describes; a multiple of 512
    std::vector<uint64_t> blocks;  // offset in the file; k_zeros: reads as zeros
    bool compressed = false;   // entries lead to VMDK grains with a marker before their zlib stream
    static constexpr uint64_t k_zeros = ~uint64_t{0};
};

// Each reads the tables of one format and checks them against the file's size. Errors: invalid_input with what is
// wrong in `path`, unsupported (an image that needs another one, or a log to be replayed), io.
Result<BlockMap> read_vdi_map(MetadataFile& file, uint64_t file_size, const std::string& path);
Result<BlockMap> read_vhd_map(MetadataFile& file, uint64_t file_size, const std::string& path);
Result<BlockMap> read_vhdx_map(MetadataFile& file, uint64_t file_size, const std::string& path);
Result<BlockMap> read_vmdk_map(MetadataFile& file, uint64_t file_size, const std::string& path);
Result<BlockMap> read_block_map(ImageFormat format, MetadataFile& file, uint64_t file_size, const std::string& path);

// What is common to their checks. `count` entries of `entry_bytes` at `offset` lie inside the file and are not absurd.
[[nodiscard]] Status check_table_place(uint64_t offset, uint64_t count, uint64_t entry_bytes, uint64_t file_size, const std::string& path);
[[nodiscard]] tl::unexpected<Error> damaged_image(const std::string& path, const std::string& what);

// One thread carries requests out, one after the other: this is for import, not for running machines.
class BlockMapImage final : public BlockBackend {
  public:
    BlockMapImage(std::string path, BlockMap map, ImageFile file);
    ~BlockMapImage() override;
    [[nodiscard]] const BlockInfo& info() const override { return m_info; }
    void submit(BlockRequest request) override;
    void drain() override;
    void set_on_no_space(std::function<void(const std::string&)>) override {}
    void retry() override {}
    void cancel_held() override {}

  private:
    void run();
    [[nodiscard]] BlockStatus perform(const BlockRequest& request);
    [[nodiscard]] HostError read(uint64_t offset, std::span<uint8_t> to);
    [[nodiscard]] HostError load_grain(uint64_t at);

    std::string m_path;
    BlockMap m_map;
    ImageFile m_file;
    MetadataFile m_reader;
    BlockInfo m_info;
    uint64_t m_grain_at = BlockMap::k_zeros;  // what m_grain holds
    std::vector<uint8_t> m_grain;
    std::mutex m_mutex;
    std::condition_variable m_changed;
    std::condition_variable m_idle;
    std::deque<BlockRequest> m_queue;
    bool m_busy = false;
    bool m_quit = false;
    std::thread m_thread;
};

}  // namespace skep
