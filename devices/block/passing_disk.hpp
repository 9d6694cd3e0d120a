// SPDX-License-Identifier: GPL-3.0-or-later
// A disk in front of another, which passes everything on: for those that change, or look at, only what they are about.
#pragma once

#include <memory>
#include <utility>

#include "devices/block/block_backend.hpp"

namespace skep {

class PassingDisk : public BlockBackend {
  public:
    [[nodiscard]] const BlockInfo& info() const override { return m_disk->info(); }
    void submit(BlockRequest request) override { m_disk->submit(std::move(request)); }
    void drain() override { m_disk->drain(); }
    void set_on_no_space(std::function<void(const std::string& sentence)> report) override {
        m_disk->set_on_no_space(std::move(report));
    }
    void retry() override { m_disk->retry(); }
    void cancel_held() override { m_disk->cancel_held(); }
    Status grow(uint64_t size) override { return m_disk->grow(size); }

  protected:
    explicit PassingDisk(std::shared_ptr<BlockBackend> disk) : m_disk(std::move(disk)) {}

    std::shared_ptr<BlockBackend> m_disk;
};

}  // namespace skep
