// SPDX-License-Identifier: GPL-3.0-or-later
// VmSession: one machine of the library as the window sees it: its bundle, its worker if one runs, its state.
#pragma once

#include <QElapsedTimer>
#include <QImage>
#include <QObject>
#include <QSocketNotifier>
#include <QString>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "ui/model/network_state.hpp"
#include "vmm/control/client.hpp"
#include "vmm/control/launcher.hpp"
#include "vmm/control/network_changes.hpp"
#include "vmm/spec/bundle.hpp"

namespace skep::ui {

enum class VmState {
    broken,  // vm.yaml cannot be read
    off,
    starting,
    running,
    paused,
    no_space,  // held: the host's disk is full
    failed,    // ended with an error or a triple fault
    refused,   // could not be started
    crashed,   // the worker stopped unexpectedly
};
[[nodiscard]] QString state_text(VmState state);
[[nodiscard]] bool is_active(VmState state);  // a worker lives

// Window thread; nothing here blocks. Actions report failure by failed(), success by the state that follows.
class VmSession : public QObject {
    Q_OBJECT
  public:
    static constexpr int k_console_count_max = 4;

    explicit VmSession(const BundleEntry& entry, QObject* parent = nullptr);
    ~VmSession() override;

    // What a scan of the library found now.
    void refresh(const BundleEntry& entry);
    // Looks after the worker: attaches to one that runs, notices one that has ended. Cheap; called twice a second.
    void poll();

    [[nodiscard]] const QString& folder() const { return m_folder; }
    [[nodiscard]] const QString& name() const { return m_name; }
    [[nodiscard]] VmState state() const { return m_state; }
    // Why it is in this state; for broken ones what is wrong with vm.yaml. May be empty.
    [[nodiscard]] const QString& reason() const { return m_reason; }
    // What the machine did by itself and the user should know; until dismissed.
    [[nodiscard]] const QString& notice() const { return m_notice; }
    [[nodiscard]] const std::optional<VmSpec>& spec() const { return m_spec; }
    [[nodiscard]] const std::optional<Bundle>& bundle() const { return m_bundle; }
    // What the running machine was started with, as far as this window has seen; else spec().
    [[nodiscard]] const std::optional<VmSpec>& running_spec() const { return m_running_spec ? m_running_spec : m_spec; }
    [[nodiscard]] const MachineStatus& status() const { return m_status; }
    [[nodiscard]] bool attached() const { return m_client.has_value(); }
    [[nodiscard]] const QString& last_line() const { return m_last_line; }
    void set_last_line(const QString& line);
    // A small picture of the guest's screen; null when there is none.
    [[nodiscard]] const QImage& thumbnail() const { return m_thumbnail; }
    void set_thumbnail(const QImage& thumbnail);
    // Medium of the drive now: the running machine's, else the spec's.
    [[nodiscard]] QString cd_file(const QString& drive) const;
    // USB sticks that are plugged into the running machine: file by id.
    [[nodiscard]] const std::map<QString, QString>& sticks() const { return m_sticks; }
    [[nodiscard]] bool changed_while_running() const { return m_changed_while_running; }

    void start();
    void shut_down();
    void power_off();
    void reset_machine();
    void pause();
    void resume();
    void retry();
    void eject(const QString& drive);
    void insert(const QString& drive, const QString& file);
    void attach_stick(const QString& file);
    void detach_stick(const QString& id);
    // The socket goes to the receiver; ask again after every link_up().
    using ConsoleReceiver = std::function<void(unsigned port, ConsoleLink console)>;
    void set_console_receiver(ConsoleReceiver receiver) { m_console_receiver = std::move(receiver); }
    void open_console(unsigned port);
    // The same for the guest's screen: a socket on which the worker speaks RFB.
    using ScreenReceiver = std::function<void(Result<Fd> socket)>;
    void set_screen_receiver(ScreenReceiver receiver) { m_screen_receiver = std::move(receiver); }
    void open_screen();
    // The characters on the screen: screen_text() follows, or failed() when the guest shows pixels.
    void read_screen_text();
    // Saves a changed spec; `title` names the action in an error. A running machine takes it at the next start.
    // `saved` is called once it is saved.
    void update_spec(const QString& title, std::function<Status(VmSpec&)> change, std::function<void()> saved = {});
    // Tells a running machine what it takes at once of changed network settings, which are saved already. A port that is
    // taken is told by failed() and taken out of the settings again.
    void change_networks(const VmSpec& before, const VmSpec& after);
    // The same of the CDs in its drives; one that cannot be inserted is told by failed() and waits for the next start.
    void change_media(const VmSpec& before, const VmSpec& after);
    // The running machine's networks are asked for: networks_changed() when they are known. Empty while it is off.
    void ask_networks();
    [[nodiscard]] const std::vector<NetworkState>& networks() const { return m_networks; }
    void rename(const QString& new_name);
    void restore_previous();
    // The user has seen a crash: the state goes back to off.
    void dismiss_crash();
    void dismiss_notice();

  signals:
    void changed();
    void link_up();
    void guest_reset();
    void screen_text(const QString& text);
    void networks_changed();
    void failed(const QString& title, const QString& message);
    void no_space(const QString& disk, const QString& message);
    void renamed(const QString& folder);

  private:
    struct Pending {
        MessageType type{};
        QString title;
        unsigned port = 0;
        std::function<void()> refused = {};
    };
    void adopt(ControlClient client);
    void attach_now();
    void begin_attach();
    void link_gone();
    void read_link();
    void handle_event(const Message& event);
    void handle_reply(const Reply& reply);
    void read_sticks(const MessageValues& values);
    void send(MessageType type, MessageValues values, const QString& title, unsigned port = 0,
              std::function<void()> refused = {}, const Fd& passed = Fd());
    void send_network_change(const VmSpec& before, const NetworkChange& change, const Result<Fd>& opened);
    void set_state(VmState state, const QString& reason);
    void set_machine_state(const std::string& state, const QString& reason);
    void learn_end();

    QString m_folder;
    QString m_name;
    std::optional<Bundle> m_bundle;
    std::optional<VmSpec> m_spec;
    std::optional<VmSpec> m_running_spec;
    VmState m_state = VmState::off;
    QString m_reason;
    QString m_notice;
    QString m_last_line;
    QImage m_thumbnail;
    MachineStatus m_status;
    std::optional<WorkerProcess> m_process;
    std::optional<ControlClient> m_client;
    std::unique_ptr<QSocketNotifier> m_notifier;
    std::map<int64_t, Pending> m_pending;
    std::map<QString, QString> m_cd_files;
    std::map<QString, QString> m_sticks;
    std::vector<NetworkState> m_networks;
    ConsoleReceiver m_console_receiver;
    ScreenReceiver m_screen_receiver;
    QElapsedTimer m_link_lost;
    bool m_busy = false;  // a background launch or attach is under way
    bool m_was_active = false;
    bool m_dismissed = false;
    bool m_changed_while_running = false;
};

}  // namespace skep::ui
