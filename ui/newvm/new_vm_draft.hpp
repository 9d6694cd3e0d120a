// SPDX-License-Identifier: GPL-3.0-or-later
// NewVmDraft: the machine that a New sheet describes, before it exists. No widgets.
#pragma once

#include <QString>
#include <filesystem>
#include <optional>

#include "vmm/media/medium.hpp"
#include "vmm/spec/bundle.hpp"
#include "vmm/spec/vm_spec.hpp"
#include "vmm/unattended/unattended.hpp"

namespace skep::ui {

class NewVmDraft {
  public:
    explicit NewVmDraft(std::filesystem::path root = machines_folder());

    // Prefills everything from what was found on the medium. What cannot start a machine is kept out of the spec
    // and explained by medium_problem().
    void use_medium(const MediumInfo& medium);
    void use_failed_medium(const QString& path, const QString& problem);
    void use_nothing();

    [[nodiscard]] const std::optional<MediumInfo>& medium() const { return m_medium; }
    // One sentence; empty when the medium is good or none is chosen.
    // Also says when the chosen firmware does not start it.
    [[nodiscard]] QString medium_problem() const;
    // "Debian 12 (network installer)" with how sure that is, or what kind of file it is.
    [[nodiscard]] QString recognised_text() const;

    [[nodiscard]] VmSpec& spec() { return m_spec; }
    [[nodiscard]] const VmSpec& spec() const { return m_spec; }
    // Size of the new disk in GiB; 0: none.
    [[nodiscard]] unsigned disk_gib() const { return m_disk_gib; }
    void set_disk_gib(unsigned gib) { m_disk_gib = gib; }
    [[nodiscard]] DiskBus disk_bus() const { return m_disk_bus; }
    void set_disk_bus(DiskBus bus) { m_disk_bus = bus; }
    // Of the new disk: raw or qcow2.
    [[nodiscard]] DiskFormat disk_format() const { return m_disk_format; }
    void set_disk_format(DiskFormat format) { m_disk_format = format; }
    // Why the chosen medium takes no answers beforehand; empty: it does.
    [[nodiscard]] QString unattended_problem() const;
    void set_answers(std::optional<AnswerForm> form) { m_answers = std::move(form); }
    [[nodiscard]] const std::filesystem::path& root() const { return m_root; }
    // Bytes free where the disk would be made; 0 when unknown.
    [[nodiscard]] uint64_t free_bytes() const;

    // Blocks on the disk. A failure leaves nothing behind.
    [[nodiscard]] Result<Bundle> create() const;

  private:
    void use_iso(const MediumInfo& medium);
    void use_disk(const MediumInfo& medium);
    [[nodiscard]] Status fill(const Bundle& bundle) const;

    std::filesystem::path m_root;
    VmSpec m_spec;
    std::optional<MediumInfo> m_medium;
    QString m_problem;
    std::optional<AnswerForm> m_answers;
    unsigned m_disk_gib = 20;
    DiskBus m_disk_bus = DiskBus::virtio;
    DiskFormat m_disk_format = DiskFormat::raw;
};

}  // namespace skep::ui
