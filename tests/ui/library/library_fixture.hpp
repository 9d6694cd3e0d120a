// SPDX-License-Identifier: GPL-3.0-or-later
// The main window with a library of its own and real worker processes without a machine.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>

#include <QAction>
#include <QSettings>
#include <memory>

#include "tests/ui/support/test_library.hpp"
#include "ui/console/console_view.hpp"
#include "ui/library/library_window.hpp"
#include "ui/library/vm_page.hpp"
#include "ui/model/vm_session.hpp"
#include "vmm/control/launcher.hpp"

namespace skep::ui {

class LibraryWindowTest : public LibraryTest {
  protected:
    LibraryWindowTest() { QSettings().clear(); }
    ~LibraryWindowTest() override {
        m_window.reset();
        for (const BundleEntry& entry : list_bundles(m_root)) {
            if (auto bundle = Bundle::open(entry.folder)) {
                const WorkerState worker = worker_state(*bundle);
                if (worker.life == WorkerLife::running && worker.pid > 1) {
                    kill(worker.pid, SIGKILL);
                }
            }
        }
    }
    void open() {
        m_window = std::make_unique<LibraryWindow>(m_root);
        m_window->show();
        EXPECT_TRUE(wait_for([&] { return m_window->model().scanned_once(); }));
    }
    template <typename Widget>
    Widget* get(const char* name, QWidget* in = nullptr) {
        auto* widget = (in != nullptr ? in : m_window.get())->findChild<Widget*>(QString::fromLatin1(name));
        EXPECT_NE(widget, nullptr) << name;
        return widget;
    }
    VmSession* session(int row = 0) { return m_window->model().session(row); }
    VmPage* page(int row = 0) { return m_window->page_of(session(row)); }
    [[nodiscard]] bool becomes(VmState state) {
        return wait_for([&] { return session() != nullptr && session()->state() == state; });
    }
    void start_machine(UsbKind usb = UsbKind::automatic) {
        ASSERT_TRUE(make_machine("one").update([usb](VmSpec& spec) -> Status {
            spec.usb = usb;
            return {};
        }));
        open();
        get<QAction>("actionStart", page())->trigger();
        ASSERT_TRUE(becomes(VmState::running));
        ASSERT_TRUE(wait_for([&] { return page()->console(0)->attached(); }));
    }
    std::unique_ptr<LibraryWindow> m_window;
};

}  // namespace skep::ui
