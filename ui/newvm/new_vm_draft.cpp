// SPDX-License-Identifier: GPL-3.0-or-later
// NewVmDraft: from a medium to a bundle.
#include "ui/newvm/new_vm_draft.hpp"

#include <QCoreApplication>

#include "devices/formats/new_disk.hpp"
#include "ui/model/background.hpp"
#include "vmm/spec/network_forward.hpp"
#include "vmm/spec/validate.hpp"

namespace skep::ui {

namespace {

QString tr(const char* text) {
    return QCoreApplication::translate("NewVmDraft", text);
}

// Names, and everything a medium decides, start afresh with every medium.
VmSpec fresh_spec(const std::filesystem::path& root, const std::string& name) {
    VmSpec spec;
    spec.name = unique_name(name, root);
    spec.memory_mib = 1024;
    add_network(spec);
    return spec;
}

std::string file_stem(const std::string& path) {
    const std::string stem = std::filesystem::path(path).stem().string();
    return name_problem(stem).empty() ? stem : std::string("New VM");
}

Firmware firmware_for(const MediumInfo& medium) {
    return best_firmware(medium) == BootBy::uefi ? Firmware::uefi : Firmware::bios;
}

}  // namespace

NewVmDraft::NewVmDraft(std::filesystem::path root) : m_root(std::move(root)) {
    use_nothing();
}

void NewVmDraft::use_nothing() {
    m_spec = fresh_spec(m_root, "New VM");
    m_medium.reset();
    m_problem.clear();
}

void NewVmDraft::use_failed_medium(const QString& path, const QString& problem) {
    use_nothing();
    m_problem = problem.isEmpty() ? tr("'%1' cannot be used.").arg(path) : problem;
}

void NewVmDraft::use_medium(const MediumInfo& medium) {
    use_nothing();
    m_medium = medium;
    m_problem = to_qstring(medium.problem);
    switch (medium.kind) {
        case MediumKind::iso:
            use_iso(medium);
            break;
        case MediumKind::raw_disk:
        case MediumKind::qcow2:
            use_disk(medium);
            break;
        case MediumKind::linux_kernel:
        case MediumKind::multiboot_kernel:
            m_spec = fresh_spec(m_root, file_stem(medium.path));
            m_spec.firmware = medium.kind == MediumKind::linux_kernel ? Firmware::linux_kernel : Firmware::multiboot;
            m_spec.kernel = medium.path;
            m_spec.append = medium.kind == MediumKind::linux_kernel ? "console=ttyS0" : "";
            if (medium.kind == MediumKind::multiboot_kernel) {
                m_spec.networks.clear();
            }
            m_disk_gib = 0;
            break;
        case MediumKind::vmdk:
        case MediumKind::vdi:
        case MediumKind::vhd:
            m_problem = tr("'%1' is a %2; convert it first: “skepctl disk convert %1 NEW.qcow2”.")
                            .arg(to_qstring(medium.path), QString::fromLatin1(describe(medium.kind)));
            break;
        case MediumKind::elf:
            m_problem = tr("'%1' is a program, not a CD image, disk or kernel: choose another file.")
                            .arg(to_qstring(medium.path));
            break;
    }
}

void NewVmDraft::use_iso(const MediumInfo& medium) {
    m_spec = fresh_spec(m_root, medium.os.vm_name);
    m_spec.os = medium.os.id;
    m_spec.memory_mib = medium.os.memory_mib;
    m_spec.cpus = std::max(1U, medium.os.cpus);
    m_spec.cds.push_back({"cd0", medium.path, {}});
    m_spec.display = DisplayKind::vga;  // whatever an installer or live system shows, it shows there
    m_disk_gib = medium.os.needs_disk ? medium.os.disk_gib : 0;
    m_spec.firmware = firmware_for(medium);
}

void NewVmDraft::use_disk(const MediumInfo& medium) {
    m_spec = fresh_spec(m_root, file_stem(medium.path));
    DiskSpec disk;
    disk.id = "disk0";
    disk.file = medium.path;
    disk.bus = m_disk_bus;
    disk.format = medium.kind == MediumKind::qcow2 ? DiskFormat::qcow2 : DiskFormat::raw;
    m_spec.disks.push_back(disk);
    m_spec.firmware = firmware_for(medium);
    m_spec.display = DisplayKind::vga;
    m_disk_gib = 0;
}

QString NewVmDraft::medium_problem() const {
    if (!m_problem.isEmpty() || !m_medium || !boots_from_drives(m_spec.firmware)) {
        return m_problem;
    }
    return to_qstring(firmware_problem(*m_medium, m_spec.firmware == Firmware::uefi ? BootBy::uefi : BootBy::bios));
}

QString NewVmDraft::recognised_text() const {
    if (!m_medium) {
        return {};
    }
    const OsGuess& os = m_medium->os;
    const QString kind = QString::fromLatin1(describe(m_medium->kind));
    if (os.name.empty()) {
        return os.confidence == Confidence::none ? tr("%1, system not recognised: general settings").arg(kind) : kind;
    }
    const QString name = to_qstring(os.name);
    switch (os.confidence) {
        case Confidence::certain:
            return name;
        case Confidence::likely:
            return tr("%1 (probably)").arg(name);
        case Confidence::guess:
            return tr("%1 (a guess)").arg(name);
        case Confidence::none:
            break;
    }
    return tr("%1, system not recognised: general settings").arg(kind);
}

uint64_t NewVmDraft::free_bytes() const {
    std::filesystem::path place = m_root;
    std::error_code error;
    while (!place.empty() && !std::filesystem::exists(place, error) && place.has_relative_path()) {
        place = place.parent_path();
    }
    const auto space = std::filesystem::space(place, error);
    return error ? 0 : space.available;
}

QString NewVmDraft::unattended_problem() const {
    if (!m_medium) {
        return tr("Choose a Debian installer CD or a cloud image first.");
    }
    return to_qstring(skep::unattended_problem(m_spec, unattended_kind(*m_medium)));
}

// The new disk, and the answers for whoever installs to it.
Status NewVmDraft::fill(const Bundle& bundle) const {
    auto spec = bundle.load();
    if (!spec) {
        return tl::unexpected(spec.error());
    }
    if (m_disk_gib != 0) {
        if (auto disk = bundle.create_disk(*spec, new_disk(uint64_t{m_disk_gib} << 30, m_disk_bus, m_disk_format)); !disk) {
            return tl::unexpected(disk.error());
        }
    }
    if (m_answers && m_medium) {
        const auto answers = answers_from(*m_answers);
        if (!answers) {
            return tl::unexpected(answers.error());
        }
        if (auto prepared = prepare_unattended(bundle, *spec, *m_medium, *answers); !prepared) {
            return prepared;
        }
    }
    return bundle.save(*spec);
}

Result<Bundle> NewVmDraft::create() const {
    auto bundle = Bundle::create(m_root, m_spec);
    if (!bundle || (m_disk_gib == 0 && !m_answers)) {
        return bundle;
    }
    if (auto filled = fill(*bundle); !filled) {
        (void)bundle->remove(DeleteMode::permanently);  // the first failure is the one to tell
        return tl::unexpected(filled.error());
    }
    return bundle;
}

}  // namespace skep::ui
