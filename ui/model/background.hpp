// SPDX-License-Identifier: GPL-3.0-or-later
// Work that may block (disk, connecting, starting a worker) off the window's thread.
#pragma once

#include <QCoreApplication>
#include <QObject>
#include <QPointer>
#include <QString>
#include <QThreadPool>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace skep::ui {

[[nodiscard]] inline QString to_qstring(std::string_view text) {
    return QString::fromUtf8(text.data(), static_cast<qsizetype>(text.size()));
}

// Has `what` done on the window's thread, unless `context` is gone by then. Any thread.
template <typename Context, typename What>
void on_window_thread(const QPointer<Context>& context, What what) {
    QMetaObject::invokeMethod(
        QCoreApplication::instance(),
        [context, what = std::move(what)]() mutable {
            if (context) {
                what();
            }
        },
        Qt::QueuedConnection);
}

// Runs `work` on the thread pool and then `done(result)` on the window's thread, unless `context` is gone by then.
// `work` must not touch `context`.
template <typename Work, typename Done>
void in_background(QObject* context, Work work, Done done) {
    using Value = std::invoke_result_t<Work>;
    auto shared_work = std::make_shared<Work>(std::move(work));
    auto shared_done = std::make_shared<Done>(std::move(done));
    QThreadPool::globalInstance()->start([guard = QPointer<QObject>(context), shared_work, shared_done] {
        auto value = std::make_shared<Value>((*shared_work)());
        on_window_thread(guard, [value, shared_done] { (*shared_done)(std::move(*value)); });
    });
}

}  // namespace skep::ui
