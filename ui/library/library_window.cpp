// SPDX-License-Identifier: GPL-3.0-or-later
// LibraryWindow: layout, selection, the New sheet. Deleting and closing are in library_actions.cpp.
#include "ui/library/library_window.hpp"

#include <QApplication>
#include <QCloseEvent>
#include <QDragEnterEvent>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QListView>
#include <QMenuBar>
#include <QMessageBox>
#include <QMimeData>
#include <QProgressBar>
#include <QPushButton>
#include <QSettings>
#include <QShortcut>
#include <QSortFilterProxyModel>
#include <QSplitter>
#include <QStackedWidget>
#include <QVBoxLayout>

#include "ui/library/host_check_dialog.hpp"
#include "ui/library/keys_dialog.hpp"
#include "ui/library/vm_delegate.hpp"
#include "ui/library/vm_page.hpp"
#include "ui/library/welcome_page.hpp"
#include "ui/model/background.hpp"
#include "ui/newvm/new_sheet.hpp"
#include "ui/settings/preferences_dialog.hpp"
#include "ui/widgets/dialogs.hpp"
#include "ui/widgets/message_bar.hpp"
#include "ui/widgets/theme.hpp"

namespace skep::ui {

LibraryWindow::LibraryWindow(std::filesystem::path root, QWidget* parent)
    : QMainWindow(parent), m_model(std::move(root)), m_filter(new QSortFilterProxyModel(this)) {
    setObjectName(QStringLiteral("libraryWindow"));
    setWindowTitle(tr("Skep"));
    setAcceptDrops(true);
    m_filter->setSourceModel(&m_model);
    m_filter->setFilterCaseSensitivity(Qt::CaseInsensitive);
    m_filter->setSortCaseSensitivity(Qt::CaseInsensitive);
    m_filter->setSortLocaleAware(true);
    m_filter->sort(0);
    auto* splitter = new QSplitter(this);
    splitter->setObjectName(QStringLiteral("librarySplitter"));
    splitter->addWidget(build_sidebar());
    splitter->addWidget(build_content());
    splitter->setStretchFactor(1, 1);
    splitter->setChildrenCollapsible(false);
    splitter->setSizes({240, 740});
    setCentralWidget(splitter);
    build_menus();
    connect(&m_model, &VmListModel::session_added, this, &LibraryWindow::add_page);
    connect(&m_model, &VmListModel::session_removed, this, &LibraryWindow::remove_page);
    connect(&m_model, &VmListModel::scanned, this, &LibraryWindow::update_empty_state);
    connect(&m_jobs, &JobList::changed, this, &LibraryWindow::show_jobs);
    setMinimumSize(720, 420);  // the page's buttons fit
    resize(980, 640);
    restoreGeometry(QSettings().value(QStringLiteral("window/geometry")).toByteArray());
    show_jobs();
    check_host_now();
}

LibraryWindow::~LibraryWindow() {
    // Pages refer to sessions, which go with the model.
    for (const auto& [session, page] : m_pages) {
        delete page;
    }
}

QWidget* LibraryWindow::build_sidebar() {
    auto* side = new QWidget(this);
    auto* create = new QPushButton(tr("&New…"), side);
    create->setObjectName(QStringLiteral("newButton"));
    create->setAccessibleName(tr("New virtual machine"));
    connect(create, &QPushButton::clicked, this, [this] { open_new_sheet(); });
    m_search = new QLineEdit(side);
    m_search->setObjectName(QStringLiteral("searchField"));
    m_search->setAccessibleName(tr("Search machines"));
    m_search->setPlaceholderText(tr("Search"));
    m_search->setClearButtonEnabled(true);
    connect(m_search, &QLineEdit::textChanged, m_filter, &QSortFilterProxyModel::setFilterFixedString);
    m_list = new QListView(side);
    m_list->setObjectName(QStringLiteral("vmList"));
    m_list->setAccessibleName(tr("Virtual machines"));
    m_list->setModel(m_filter);
    m_list->setItemDelegate(new VmDelegate(m_list));
    m_list->setSelectionMode(QAbstractItemView::ExtendedSelection);
    m_list->setContextMenuPolicy(Qt::CustomContextMenu);
    m_list->setUniformItemSizes(true);
    m_no_match = new QLabel(side);
    m_no_match->setObjectName(QStringLiteral("noMatch"));
    m_no_match->setTextFormat(Qt::PlainText);
    m_no_match->setWordWrap(true);
    m_no_match->hide();
    connect(m_search, &QLineEdit::textChanged, this, &LibraryWindow::update_no_match);
    auto* remove = new QShortcut(QKeySequence::Delete, m_list);
    remove->setContext(Qt::WidgetShortcut);
    connect(remove, &QShortcut::activated, this, [this] {
        if (VmPage* page = current_page()) {
            delete_machine(page->session());
        }
    });
    connect(m_list, &QListView::customContextMenuRequested, this, &LibraryWindow::list_menu);
    connect(m_list->selectionModel(), &QItemSelectionModel::currentChanged, this, &LibraryWindow::show_current);
    connect(m_list, &QListView::activated, this, [this] {
        if (VmPage* page = current_page()) {
            page->focus_work();
        }
    });
    auto* layout = new QVBoxLayout(side);
    layout->setContentsMargins(6, 6, 0, 6);
    layout->addWidget(create);
    layout->addWidget(m_search);
    layout->addWidget(m_no_match);
    layout->addWidget(m_list, 1);
    return side;
}

void LibraryWindow::update_no_match() {
    const bool none = m_filter->rowCount() == 0 && m_model.rowCount() > 0;
    m_no_match->setText(tr("No machine is named like “%1”.").arg(m_search->text()));
    m_no_match->setVisible(none);
}

QWidget* LibraryWindow::build_content() {
    auto* content = new QWidget(this);
    m_host_bar = new MessageBar(QStringLiteral("hostBar"), MessageLevel::warning, content);
    m_host_bar->add_button(QStringLiteral("hostDetails"), tr("Details…"), [this] {
        auto* dialog = new HostCheckDialog(this);
        dialog->setAttribute(Qt::WA_DeleteOnClose);
        dialog->open();
    });
    m_host_bar->add_button(QStringLiteral("hostDismiss"), tr("Dismiss"), [this] { m_host_bar->hide(); });
    m_undo_bar = new MessageBar(QStringLiteral("undoBar"), MessageLevel::information, content);
    m_undo_bar->add_button(QStringLiteral("undoDelete"), tr("&Undo"), [this] { undo(); });
    m_undo_bar->add_button(QStringLiteral("undoDismiss"), tr("Dismiss"), [this] { m_undo_bar->hide(); });
    m_stack = new QStackedWidget(content);
    m_welcome = new WelcomePage(m_stack);
    m_stack->addWidget(m_welcome);
    connect(m_welcome, &WelcomePage::new_requested, this, [this] { open_new_sheet(); });
    connect(m_welcome, &WelcomePage::try_requested, this, &LibraryWindow::try_small_linux);
    m_welcome->set_try_reason(find_sample_maker().isEmpty() ? tr("The program that makes it is not installed")
                                                            : QString());
    auto* layout = new QVBoxLayout(content);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(0);
    layout->addWidget(m_host_bar);
    layout->addWidget(m_undo_bar);
    layout->addWidget(m_stack, 1);
    layout->addWidget(build_job_bar());
    return content;
}

QWidget* LibraryWindow::build_job_bar() {
    m_job_bar = new QWidget(this);
    m_job_bar->setObjectName(QStringLiteral("jobBar"));
    m_job_text = new QLabel(m_job_bar);
    m_job_text->setObjectName(QStringLiteral("jobText"));
    m_job_text->setTextFormat(Qt::PlainText);
    auto* busy = new QProgressBar(m_job_bar);
    busy->setRange(0, 0);
    busy->setMaximumWidth(140);
    busy->setAccessibleName(tr("Working"));
    auto* cancel = new QPushButton(tr("Cancel"), m_job_bar);
    cancel->setObjectName(QStringLiteral("jobCancel"));
    cancel->setAccessibleName(tr("Cancel the work"));
    connect(cancel, &QPushButton::clicked, this, [this] {
        if (!m_jobs.jobs().empty()) {
            m_jobs.jobs().front()->cancel();
        }
    });
    auto* layout = new QHBoxLayout(m_job_bar);
    layout->addWidget(m_job_text, 1);
    layout->addWidget(busy);
    layout->addWidget(cancel);
    return m_job_bar;
}

void LibraryWindow::show_jobs() {
    const auto& jobs = m_jobs.jobs();
    m_job_bar->setVisible(!jobs.empty());
    if (!jobs.empty()) {
        m_job_text->setText(tr("%1: %2").arg(jobs.front()->title(), jobs.front()->step()));
    }
}

void LibraryWindow::build_menus() {
    const auto add = [this](QMenu* menu, const QString& name, const QString& text, const QKeySequence& keys,
                            auto action) {
        QAction* entry = menu->addAction(text);
        entry->setObjectName(name);
        entry->setShortcut(keys);
        connect(entry, &QAction::triggered, this, action);
    };
    QMenu* file = menuBar()->addMenu(tr("&File"));
    add(file, QStringLiteral("menuNew"), tr("&New machine…"), QKeySequence(tr("Ctrl+Shift+N")),
        [this] { open_new_sheet(); });
    add(file, QStringLiteral("menuTry"), tr("&Try a small Linux"), {}, [this] { try_small_linux(); });
    file->addSeparator();
    add(file, QStringLiteral("menuPreferences"), tr("&Preferences…"), {}, [this] {
        auto* dialog = new PreferencesDialog(this);
        dialog->setAttribute(Qt::WA_DeleteOnClose);
        connect(dialog, &QDialog::accepted, this, [this] {
            apply_theme(saved_theme());
            for (const auto& [session, page] : m_pages) {
                page->read_preferences();
            }
        });
        dialog->open();
    });
    file->addSeparator();
    add(file, QStringLiteral("menuQuit"), tr("&Quit"), QKeySequence(tr("Ctrl+Shift+Q")), [this] { close(); });
    QMenu* machine = menuBar()->addMenu(tr("&Machine"));
    connect(machine, &QMenu::aboutToShow, this, [this, machine, add] {
        machine->clear();
        VmPage* page = current_page();
        if (page == nullptr) {
            machine->addAction(tr("Choose a machine first"))->setEnabled(false);
            return;
        }
        page->fill_machine_menu(machine);
        add(machine, QStringLiteral("menuLog"), tr("Sho&w log"), {}, [page] { page->show_log(); });
        add(machine, QStringLiteral("menuFolder"), tr("&Open folder"), {}, [page] { page->open_folder(); });
        add(machine, QStringLiteral("menuDelete"), tr("De&lete…"), {},
            [this, page] { delete_machine(page->session()); });
    });
    QMenu* help = menuBar()->addMenu(tr("&Help"));
    add(help, QStringLiteral("menuKeys"), tr("&Keyboard…"), {}, [this] { show_keys(this); });
    add(help, QStringLiteral("menuHostCheck"), tr("&Host check…"), {}, [this] {
        auto* dialog = new HostCheckDialog(this);
        dialog->setAttribute(Qt::WA_DeleteOnClose);
        dialog->open();
    });
    add(help, QStringLiteral("menuAbout"), tr("&About Skep"), {}, [this] {
        QMessageBox::about(this, tr("About Skep"),
                           tr("Skep %1\nVirtual machines for the Linux desktop.\nGPL-3.0-or-later")
                               .arg(QApplication::applicationVersion()));
    });
}

void LibraryWindow::check_host_now() {
    in_background(
        this, [] { return check_host(probe_host()); },
        [this](const std::vector<HostFinding>& findings) {
            const QString cause = blocking_finding(findings);
            m_host_bar->set_text(cause.isEmpty() ? QString() : tr("This computer is not ready to run machines"), cause);
        });
}

void LibraryWindow::add_page(VmSession* session) {
    auto* page = new VmPage(session, m_stack);
    m_pages[session] = page;
    m_stack->addWidget(page);
    connect(page, &VmPage::delete_requested, this, [this, session] { delete_machine(session); });
    connect(session, &VmSession::renamed, &m_model, &VmListModel::rescan);
}

void LibraryWindow::remove_page(VmSession* session) {
    const auto it = m_pages.find(session);
    if (it != m_pages.end()) {
        delete it->second;
        m_pages.erase(it);
    }
}

VmPage* LibraryWindow::page_of(VmSession* session) const {
    const auto it = m_pages.find(session);
    return it == m_pages.end() ? nullptr : it->second;
}

void LibraryWindow::update_empty_state() {
    m_welcome->set_library_empty(m_model.rowCount() == 0);
    update_no_match();
    if (!m_list->currentIndex().isValid() && m_model.rowCount() > 0) {
        m_list->setCurrentIndex(m_filter->index(0, 0));
    }
    show_current();
}

void LibraryWindow::show_current() {
    VmPage* page = current_page();
    m_stack->setCurrentWidget(page != nullptr ? static_cast<QWidget*>(page) : m_welcome);
    setWindowTitle(page != nullptr ? tr("%1 — Skep").arg(page->session()->name()) : tr("Skep"));
}

VmPage* LibraryWindow::current_page() const {
    auto* session = m_list->currentIndex().data(VmListModel::session_role).value<VmSession*>();
    return session != nullptr ? page_of(session) : nullptr;
}

void LibraryWindow::select_folder(const QString& folder) {
    VmSession* session = m_model.find(folder);
    if (session != nullptr) {
        m_search->clear();
        m_list->setCurrentIndex(m_filter->mapFromSource(m_model.index(m_model.row_of(session))));
        if (VmPage* page = page_of(session)) {
            page->focus_work();
        }
    }
}

NewSheet* LibraryWindow::open_new_sheet(const QString& medium) {
    auto* sheet = new NewSheet(NewVmDraft(m_model.root()), read_host_facts(), this);
    sheet->setAttribute(Qt::WA_DeleteOnClose);
    connect(sheet, &NewSheet::created, this, &LibraryWindow::start_new);
    if (!medium.isEmpty()) {
        sheet->choose_medium(medium);
    }
    sheet->open();
    return sheet;
}

void LibraryWindow::start_new(const QString& folder, bool start) {
    m_model.rescan_now();
    select_folder(folder);
    VmSession* session = m_model.find(folder);
    if (start && session != nullptr) {
        session->start();
    }
}

void LibraryWindow::try_small_linux() {
    const QString maker = find_sample_maker();
    if (maker.isEmpty()) {
        show_error(this, tr("The small Linux was not made"),
                   tr("The program “skep-make-sample” is not installed: reinstall Skep, or pick a CD image with New."));
        return;
    }
    auto* job = new SampleJob(maker, sample_file());
    connect(job, &SampleJob::succeeded, this, [this, job] { make_sample_machine(job->output()); });
    connect(job, &SampleJob::failed, this,
            [this](const QString& message) { show_error(this, tr("The small Linux was not made"), message); });
    m_jobs.add(job);
    job->run();
}

void LibraryWindow::make_sample_machine(const QString& iso) {
    in_background(
        this,
        [root = m_model.root(), file = iso.toStdString()]() -> Result<Bundle> {
            auto medium = inspect_medium(file);
            if (!medium) {
                return tl::unexpected(medium.error());
            }
            NewVmDraft draft(root);
            draft.use_medium(*medium);
            draft.spec().name = unique_name("Small Linux", root);
            draft.spec().memory_mib = 512;
            draft.spec().display = DisplayKind::none;  // it speaks on the serial port
            draft.set_disk_gib(0);
            return draft.create();
        },
        [this](const Result<Bundle>& bundle) {
            if (!bundle) {
                show_error(this, tr("The small Linux was not made"), to_qstring(bundle.error().message));
                return;
            }
            start_new(to_qstring(bundle->folder().string()), true);
        });
}

void LibraryWindow::dragEnterEvent(QDragEnterEvent* event) {
    if (event->mimeData()->hasUrls() && event->mimeData()->urls().constFirst().isLocalFile()) {
        event->acceptProposedAction();
    }
}

void LibraryWindow::dropEvent(QDropEvent* event) {
    if (event->mimeData()->hasUrls()) {
        event->acceptProposedAction();
        open_new_sheet(event->mimeData()->urls().constFirst().toLocalFile());
    }
}

}  // namespace skep::ui
