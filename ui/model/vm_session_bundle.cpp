// SPDX-License-Identifier: GPL-3.0-or-later
// VmSession: what changes the machine's files, in the background.
#include "ui/model/background.hpp"
#include "ui/model/vm_session.hpp"

namespace skep::ui {

void VmSession::update_spec(const QString& title, std::function<Status(VmSpec&)> change, std::function<void()> saved) {
    if (!m_bundle) {
        return;
    }
    in_background(
        this, [bundle = *m_bundle, change = std::move(change)] { return bundle.update(change); },
        [this, title, saved = std::move(saved)](Result<VmSpec> spec) {
            if (!spec) {
                emit failed(title, to_qstring(spec.error().message));
                return;
            }
            refresh({m_bundle->folder(), spec->name, *spec, {}});
            if (saved) {
                saved();
            }
        });
}

void VmSession::rename(const QString& new_name) {
    if (!m_bundle || new_name == m_name) {
        return;
    }
    in_background(
        this,
        [bundle = *m_bundle, name = new_name.toStdString()]() mutable -> Result<Bundle> {
            if (auto done = bundle.rename(name); !done) {
                return tl::unexpected(done.error());
            }
            return bundle;
        },
        [this](Result<Bundle> bundle) {
            if (!bundle) {
                emit failed(tr("“%1” was not renamed").arg(m_name), to_qstring(bundle.error().message));
                return;
            }
            m_bundle = std::move(*bundle);
            m_folder = to_qstring(m_bundle->folder().string());
            if (auto spec = m_bundle->load()) {
                refresh({m_bundle->folder(), spec->name, *spec, {}});
            }
            emit renamed(m_folder);
        });
}

void VmSession::restore_previous() {
    if (!m_bundle) {
        return;
    }
    in_background(
        this,
        [bundle = *m_bundle]() -> Result<VmSpec> {
            if (auto restored = bundle.restore_previous(); !restored) {
                return tl::unexpected(restored.error());
            }
            return bundle.load();
        },
        [this](Result<VmSpec> spec) {
            if (!spec) {
                emit failed(tr("The settings were not restored"), to_qstring(spec.error().message));
                return;
            }
            refresh({m_bundle->folder(), spec->name, *spec, {}});
        });
}

}  // namespace skep::ui
