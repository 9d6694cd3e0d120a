// SPDX-License-Identifier: GPL-3.0-or-later
// VmSession: the link to a worker on Qt's event loop.
#include "ui/model/vm_session.hpp"

#include <QJsonDocument>
#include <QJsonObject>
#include <QFileInfo>

#include "ui/model/background.hpp"
#include "vmm/control/medium_changes.hpp"

namespace skep::ui {

namespace {

const char* const k_program = "skep";

// Notes, the system's name and the CDs count at once; everything else waits for the next start.
bool differs_for_the_guest(VmSpec one, VmSpec other) {
    for (VmSpec* spec : {&one, &other}) {
        spec->notes.clear();
        spec->os.clear();
        for (CdSpec& cd : spec->cds) {
            cd.file.clear();
        }
        for (NetworkSpec& network : spec->networks) {  // what a running machine takes at once
            network = {.id = network.id, .card = network.card, .backend = {}, .network = {}, .mac = network.mac, .forwards = {}, .unknown = network.unknown};
        }
    }
    return one != other;
}

}  // namespace

QString state_text(VmState state) {
    switch (state) {
        case VmState::broken:
            return VmSession::tr("Broken settings");
        case VmState::off:
            return VmSession::tr("Off");
        case VmState::starting:
            return VmSession::tr("Starting");
        case VmState::running:
            return VmSession::tr("Running");
        case VmState::paused:
            return VmSession::tr("Paused");
        case VmState::no_space:
            return VmSession::tr("Disk full");
        case VmState::failed:
            return VmSession::tr("Failed");
        case VmState::refused:
            return VmSession::tr("Not started");
        case VmState::crashed:
            return VmSession::tr("Stopped unexpectedly");
    }
    return {};
}

bool is_active(VmState state) {
    return state == VmState::starting || state == VmState::running || state == VmState::paused ||
           state == VmState::no_space;
}

VmSession::VmSession(const BundleEntry& entry, QObject* parent)
    : QObject(parent), m_folder(to_qstring(entry.folder.string())) {
    refresh(entry);
}

VmSession::~VmSession() = default;

void VmSession::refresh(const BundleEntry& entry) {
    if (!m_bundle) {
        if (auto bundle = Bundle::open(entry.folder)) {
            m_bundle = std::move(*bundle);
        }
    }
    const QString name = to_qstring(entry.name);
    const bool was_changed = m_changed_while_running;
    bool same = name == m_name && entry.spec == m_spec;
    if (m_running_spec && entry.spec) {
        m_changed_while_running = differs_for_the_guest(*m_running_spec, *entry.spec);
    }
    same = same && was_changed == m_changed_while_running;
    m_name = name;
    m_spec = entry.spec;
    if (!m_spec && !is_active(m_state)) {
        set_state(VmState::broken, to_qstring(entry.error));
    } else if (m_spec && m_state == VmState::broken) {
        set_state(VmState::off, {});
    } else if (!same) {
        emit changed();
    }
}

void VmSession::set_last_line(const QString& line) {
    if (line != m_last_line) {
        m_last_line = line;
        emit changed();
    }
}

void VmSession::set_thumbnail(const QImage& thumbnail) {
    m_thumbnail = thumbnail;
    emit changed();
}

QString VmSession::cd_file(const QString& drive) const {
    if (const auto it = m_cd_files.find(drive); it != m_cd_files.end() && is_active(m_state)) {
        return it->second;
    }
    const CdSpec* cd = m_spec ? m_spec->find_cd(drive.toStdString()) : nullptr;
    return cd != nullptr ? to_qstring(cd->file) : QString();
}

void VmSession::set_state(VmState state, const QString& reason) {
    if (state == m_state && reason == m_reason) {
        return;
    }
    m_state = state;
    m_reason = reason;
    if (is_active(state)) {
        m_was_active = true;
        m_dismissed = false;
        m_running_spec = m_running_spec ? m_running_spec : m_spec;
    } else {
        m_running_spec.reset();
        m_cd_files.clear();
        m_sticks.clear();
        m_thumbnail = {};
        m_changed_while_running = false;
        m_status = {};
    }
    emit changed();
}

void VmSession::set_machine_state(const std::string& state, const QString& reason) {
    if (state == "starting") {
        set_state(VmState::starting, reason);
    } else if (state == "running") {
        set_state(VmState::running, reason);
    } else if (state == "paused") {
        set_state(VmState::paused, reason);
    } else if (state == "no_space") {
        set_state(VmState::no_space, reason);
    }
    // "stopped" is followed by the end of the worker, which learn_end() reports.
}

void VmSession::poll() {
    if (m_busy || !m_bundle) {
        return;
    }
    if (m_client) {
        send(MessageType::status, {}, {});
        return;
    }
    learn_end();
}

void VmSession::learn_end() {
    const auto reaped = m_process ? m_process->reap() : std::nullopt;
    const WorkerState worker = reaped ? *reaped : worker_state(*m_bundle);
    if (reaped) {
        m_process.reset();
    }
    if (worker.life == WorkerLife::running) {
        // One that has just closed its link is about to go.
        constexpr int k_grace_ms = 1000;
        if (!m_link_lost.isValid() || m_link_lost.elapsed() > k_grace_ms) {
            begin_attach();
        }
        return;
    }
    m_link_lost.invalidate();
    if (m_dismissed && !m_was_active) {
        return;
    }
    m_was_active = false;
    if (!m_spec) {
        return;
    }
    const QString message = to_qstring(worker.explanation);
    const int code = worker.exit_code.value_or(0);
    if (worker.life == WorkerLife::crashed) {
        if (reaped || m_state != VmState::crashed) {  // what its parent has learned is not forgotten again
            set_state(VmState::crashed, message);
        }
    } else if (worker.life == WorkerLife::ended && code >= static_cast<int>(ExitCode::triple_fault)) {
        set_state(VmState::failed, message);
    } else {
        set_state(VmState::off, message);
    }
}

void VmSession::dismiss_crash() {
    m_dismissed = true;
    if (!is_active(m_state) && m_state != VmState::broken) {
        set_state(VmState::off, {});
    }
}

void VmSession::dismiss_notice() {
    m_notice.clear();
    emit changed();
}

void VmSession::begin_attach() {
    m_busy = true;
    in_background(
        this, [bundle = *m_bundle] { return attach(bundle, k_program, std::chrono::milliseconds(2000)); },
        [this](Result<ControlClient> client) {
            m_busy = false;
            if (client) {
                adopt(std::move(*client));
            } else if (client.error().kind != ErrorKind::not_found) {
                // It runs, but does not speak to us (an incompatible program, another user's): say why.
                set_state(VmState::running, to_qstring(client.error().message));
            }
        });
}

void VmSession::start() {
    if (m_busy || !m_bundle || is_active(m_state)) {
        return;
    }
    m_busy = true;
    set_state(VmState::starting, {});
    in_background(
        this,
        [bundle = *m_bundle, session = QPointer<VmSession>(this)] {
            return launch(bundle, k_program, {}, [session](const std::string& sentence) {
                on_window_thread(session, [session, sentence] { session->set_state(VmState::starting, to_qstring(sentence)); });
            });
        },
        [this](Result<Launched> launched) {
            m_busy = false;
            if (launched) {
                m_process = std::move(launched->process);
                adopt(std::move(launched->client));
                return;
            }
            m_was_active = false;
            m_dismissed = true;
            set_state(VmState::refused, to_qstring(launched.error().message));
        });
}

void VmSession::adopt(ControlClient client) {
    m_client = std::move(client);
    m_pending.clear();
    m_link_lost.invalidate();
    m_notifier = std::make_unique<QSocketNotifier>(m_client->fd(), QSocketNotifier::Read);
    connect(m_notifier.get(), &QSocketNotifier::activated, this, &VmSession::read_link);
    set_state(VmState::running, {});
    send(MessageType::status, {}, {});
    send(MessageType::usb_list, {}, {});
    emit link_up();
    read_link();  // whatever came with the greeting
}

void VmSession::read_link() {
    while (m_client) {
        auto arrived = m_client->poll();
        if (!arrived) {
            link_gone();
            return;
        }
        if (arrived->empty()) {
            return;
        }
        for (const Incoming& incoming : *arrived) {
            if (const auto* event = std::get_if<Message>(&incoming)) {
                handle_event(*event);
            } else {
                handle_reply(std::get<Reply>(incoming));
            }
        }
    }
}

void VmSession::link_gone() {
    m_notifier.reset();
    m_client.reset();
    m_pending.clear();
    m_networks.clear();
    m_link_lost.start();
    learn_end();
}

void VmSession::handle_event(const Message& event) {
    switch (event.type) {
        case MessageType::state_changed:
            set_machine_state(event.text("state"), to_qstring(event.text("reason")));
            break;
        case MessageType::no_space:
            set_state(VmState::no_space, to_qstring(event.text("message")));
            emit no_space(to_qstring(event.text("disk")), to_qstring(event.text("message")));
            break;
        case MessageType::guest_reset:
            emit guest_reset();
            break;
        case MessageType::usb_changed:
            if (event.text("file").empty()) {
                m_sticks.erase(to_qstring(event.text("stick")));
            } else {
                m_sticks[to_qstring(event.text("stick"))] = to_qstring(event.text("file"));
            }
            emit changed();
            break;
        case MessageType::cd_changed:
            m_cd_files[to_qstring(event.text("drive"))] = to_qstring(event.text("file"));
            if (const QString reason = to_qstring(event.text("reason")); !reason.isEmpty()) {
                m_notice = reason;
            }
            emit changed();
            break;
        default:
            break;
    }
}

void VmSession::handle_reply(const Reply& reply) {
    const auto it = m_pending.find(reply.id);
    if (it == m_pending.end()) {
        return;
    }
    const Pending pending = it->second;
    m_pending.erase(it);
    if (pending.type == MessageType::screen_open && m_client && m_screen_receiver) {
        m_screen_receiver(reply.result.map([this](const MessageValues&) { return m_client->take_fd(); }));
        return;
    }
    if (!reply.result) {
        if (!pending.title.isEmpty()) {
            emit failed(pending.title, to_qstring(reply.result.error().message));
        }
        if (pending.refused) {
            pending.refused();
        }
        return;
    }
    if (pending.type == MessageType::info) {
        m_networks = parse_networks(std::get<JsonText>(reply.result->at("info")).text);
        emit networks_changed();
    } else if (pending.type == MessageType::status) {
        m_status = status_from(*reply.result);
        set_machine_state(to_text(m_status.state), to_qstring(m_status.reason));
    } else if (pending.type == MessageType::console_open && m_client) {
        ConsoleLink console = m_client->take_console(*reply.result);
        if (console.socket.valid() && m_console_receiver) {
            m_console_receiver(pending.port, std::move(console));
        }
    } else if (pending.type == MessageType::usb_list) {
        read_sticks(*reply.result);
    } else if (pending.type == MessageType::screen_text) {
        emit screen_text(to_qstring(Message{pending.type, reply.id, *reply.result}.text("text")));
    }
}

void VmSession::read_sticks(const MessageValues& values) {
    m_sticks.clear();
    const auto& text = std::get<JsonText>(values.at("sticks")).text;
    const QJsonObject sticks = QJsonDocument::fromJson(QByteArray::fromStdString(text)).object();
    for (auto stick = sticks.begin(); stick != sticks.end(); ++stick) {
        m_sticks[stick.key()] = stick.value().toObject().value(QStringLiteral("file")).toString();
    }
    emit changed();
}

void VmSession::send(MessageType type, MessageValues values, const QString& title, unsigned port, std::function<void()> refused,
                     const Fd& passed) {
    if (!m_client) {
        if (!title.isEmpty()) {
            emit failed(title, tr("“%1” is not running.").arg(m_name));
        }
        return;
    }
    const auto id = m_client->start_request(type, std::move(values), passed);
    if (!id) {
        link_gone();
        return;
    }
    m_pending[*id] = {type, title, port, std::move(refused)};
}

void VmSession::shut_down() {
    send(MessageType::power_button, {}, tr("“%1” was not asked to shut down").arg(m_name));
}
void VmSession::power_off() {
    send(MessageType::power_off, {}, tr("“%1” was not turned off").arg(m_name));
}
void VmSession::reset_machine() {
    send(MessageType::reset, {}, tr("“%1” was not reset").arg(m_name));
}
void VmSession::pause() {
    send(MessageType::pause, {}, tr("“%1” was not paused").arg(m_name));
}
void VmSession::resume() {
    send(MessageType::resume, {}, tr("“%1” was not resumed").arg(m_name));
}
void VmSession::retry() {
    send(MessageType::retry, {}, tr("“%1” could not go on").arg(m_name));
}

void VmSession::eject(const QString& drive) {
    if (is_active(m_state)) {
        send(MessageType::eject, {{"drive", drive.toStdString()}}, tr("The CD was not ejected"));
    }
    update_spec(tr("The CD was not ejected"), [id = drive.toStdString()](VmSpec& spec) -> Status {
        if (CdSpec* cd = spec.find_cd(id)) {
            cd->file.clear();
        }
        return {};
    });
}

void VmSession::insert(const QString& drive, const QString& file) {
    if (is_active(m_state)) {
        send(MessageType::insert, {{"drive", drive.toStdString()}, {"file", file.toStdString()}},
             tr("The CD was not changed"));
    }
    update_spec(tr("The CD was not changed"),
                [id = drive.toStdString(), path = file.toStdString()](VmSpec& spec) -> Status {
                    if (CdSpec* cd = spec.find_cd(id)) {
                        cd->file = path;
                    } else {
                        spec.cds.push_back({id, path, {}});
                    }
                    return {};
                });
}

void VmSession::change_media(const VmSpec& before, const VmSpec& after) {
    if (!m_client) {
        return;
    }
    for (const MediumChange& change : medium_changes(before, after)) {
        send(change.type(), change.values(), tr("The CD was not changed"));
    }
}

void VmSession::attach_stick(const QString& file) {
    send(MessageType::usb_attach, {{"file", file.toStdString()}}, tr("The USB stick was not plugged in"));
}

void VmSession::detach_stick(const QString& id) {
    send(MessageType::usb_detach, {{"stick", id.toStdString()}}, tr("The USB stick was not ejected"));
}

void VmSession::open_console(unsigned port) {
    send(MessageType::console_open, {{"port", static_cast<int64_t>(port)}}, tr("The console was not opened"), port);
}

void VmSession::open_screen() {
    send(MessageType::screen_open, {}, tr("The screen was not opened"));
}

void VmSession::read_screen_text() {
    send(MessageType::screen_text, {}, tr("The screen's text was not copied"));
}

}  // namespace skep::ui
