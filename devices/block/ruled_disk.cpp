// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/block/ruled_disk.hpp"

#include <utility>

#include "devices/block/passing_disk.hpp"

namespace skep {
namespace {

class RuledDisk final : public PassingDisk {
  public:
    RuledDisk(std::shared_ptr<BlockBackend> disk, DiskRules rules)
        : PassingDisk(std::move(disk)), m_rules(rules), m_info(m_disk->info()) {
        m_info.can_discard = m_info.can_discard && rules.discard;
    }

    [[nodiscard]] const BlockInfo& info() const override { return m_info; }

    void submit(BlockRequest request) override {
        if (m_rules.through) {
            request.durability = Durability::through;
        }
        if (!m_rules.discard) {
            request.may_unmap = false;
            if (request.op == BlockOp::discard) {  // its completion must come later: nothing is read instead
                request = {.op = BlockOp::read,
                           .buffers = {},
                           .done = [done = std::move(request.done)](BlockStatus) { done(BlockStatus::unsupported); }};
            }
        }
        m_disk->submit(std::move(request));
    }

    Status grow(uint64_t size) override {
        return m_disk->grow(size).map([&] { m_info.size = m_disk->info().size; });
    }

  private:
    DiskRules m_rules;
    BlockInfo m_info;
};

}  // namespace

std::shared_ptr<BlockBackend> with_rules(std::shared_ptr<BlockBackend> disk, DiskRules rules) {
    if (rules == DiskRules{}) {
        return disk;
    }
    return std::make_shared<RuledDisk>(std::move(disk), rules);
}

}  // namespace skep
