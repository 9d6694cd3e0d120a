// SPDX-License-Identifier: GPL-3.0-or-later
// The main window: the list of machines on the left, the chosen one on the right.
#pragma once

#include <QMainWindow>
#include <map>
#include <optional>

#include "ui/library/delete_dialog.hpp"
#include "ui/model/jobs.hpp"
#include "ui/model/vm_list_model.hpp"

class QLabel;
class QLineEdit;
class QListView;
class QMenu;
class QPushButton;
class QSortFilterProxyModel;
class QStackedWidget;

namespace skep::ui {

class MessageBar;
class NewSheet;
class VmPage;
class WelcomePage;

class LibraryWindow : public QMainWindow {
    Q_OBJECT
  public:
    explicit LibraryWindow(std::filesystem::path root = machines_folder(), QWidget* parent = nullptr);
    ~LibraryWindow() override;

    [[nodiscard]] VmListModel& model() { return m_model; }
    // Opens the New sheet, with a file already chosen when one is given (`skep some.iso`).
    NewSheet* open_new_sheet(const QString& medium = {});
    // Makes the sample CD, a machine for it, and starts that.
    void try_small_linux();
    void select_folder(const QString& folder);
    [[nodiscard]] VmPage* page_of(VmSession* session) const;

  protected:
    void closeEvent(QCloseEvent* event) override;
    void dragEnterEvent(QDragEnterEvent* event) override;
    void dropEvent(QDropEvent* event) override;

  private:
    QWidget* build_sidebar();
    QWidget* build_content();
    QWidget* build_job_bar();
    void build_menus();
    void add_page(VmSession* session);
    void remove_page(VmSession* session);
    void show_current();
    void show_jobs();
    void update_empty_state();
    void update_no_match();
    void check_host_now();
    void start_new(const QString& folder, bool start);
    void make_sample_machine(const QString& iso);
    void list_menu(const QPoint& at);
    [[nodiscard]] std::vector<VmSession*> selected_sessions() const;
    [[nodiscard]] VmPage* current_page() const;
    void delete_machine(VmSession* session);
    void do_delete(const Bundle& bundle, DiskFate fate, DeleteMode mode);
    void ask_permanently(const Bundle& bundle, DiskFate fate, const QString& why);
    void undo();
    void ask_before_closing();
    void close_with(const QString& action);

    VmListModel m_model;
    JobList m_jobs;
    QSortFilterProxyModel* m_filter;
    QListView* m_list = nullptr;
    QLineEdit* m_search = nullptr;
    QLabel* m_no_match = nullptr;
    QStackedWidget* m_stack = nullptr;
    WelcomePage* m_welcome = nullptr;
    MessageBar* m_host_bar = nullptr;
    MessageBar* m_undo_bar = nullptr;
    QWidget* m_job_bar = nullptr;
    QLabel* m_job_text = nullptr;
    std::map<VmSession*, VmPage*> m_pages;
    std::optional<Deleted> m_deleted;
    bool m_may_close = false;
};

}  // namespace skep::ui
