// SPDX-License-Identifier: GPL-3.0-or-later
// Jobs, and the one that makes the sample guest.
#include "ui/model/jobs.hpp"

#include <QCoreApplication>
#include <QDir>
#include <QFile>
#include <QFileInfo>
#include <QStandardPaths>
#include <algorithm>

namespace skep::ui {

void Job::set_step(const QString& step) {
    m_step = step;
    emit progressed(step);
}

void Job::finish() {
    emit finished();
    deleteLater();
}

void JobList::add(Job* job) {
    job->setParent(this);
    m_jobs.push_back(job);
    connect(job, &Job::progressed, this, &JobList::changed);
    connect(job, &Job::finished, this, [this, job] {
        std::erase(m_jobs, job);
        emit changed();
    });
    emit changed();
}

SampleJob::SampleJob(QString program, QString output, QObject* parent)
    : Job(tr("Making a small Linux"), parent),
      m_program(std::move(program)),
      m_output(std::move(output)),
      m_partial(m_output + QStringLiteral(".part")) {
    connect(&m_process, &QProcess::readyReadStandardOutput, this, &SampleJob::read_steps);
    connect(&m_process, &QProcess::finished, this, &SampleJob::ended);
    connect(&m_process, &QProcess::errorOccurred, this, [this](QProcess::ProcessError error) {
        if (error == QProcess::FailedToStart) {
            emit failed(tr("'%1' could not be started: %2").arg(m_program, m_process.errorString()));
            finish();
        }
    });
}

SampleJob::~SampleJob() {
    m_process.disconnect(this);
    if (m_process.state() != QProcess::NotRunning) {
        m_process.kill();
        m_process.waitForFinished(2000);
        QFile::remove(m_partial);
    }
}

void SampleJob::run() {
    set_step(tr("Starting"));
    m_process.start(m_program, {m_partial});
}

void SampleJob::cancel() {
    m_cancelled = true;
    m_process.kill();
}

void SampleJob::read_steps() {
    while (m_process.canReadLine()) {
        const QString line = QString::fromUtf8(m_process.readLine()).trimmed();
        if (line.startsWith(QStringLiteral("STEP "))) {
            set_step(line.mid(5));
        }
    }
}

void SampleJob::ended(int code, QProcess::ExitStatus status) {
    if (m_cancelled) {
        QFile::remove(m_partial);
        finish();
        return;
    }
    if (status == QProcess::NormalExit && code == 0 && QFileInfo(m_partial).size() > 0) {
        QFile::remove(m_output);
        if (QFile::rename(m_partial, m_output)) {
            emit succeeded();
            finish();
            return;
        }
    }
    QFile::remove(m_partial);
    const QStringList said = QString::fromUtf8(m_process.readAllStandardError()).split(u'\n', Qt::SkipEmptyParts);
    emit failed(said.isEmpty() ? tr("'%1' made no image (exit code %2).").arg(m_program).arg(code) : said.last());
    finish();
}

QString find_sample_maker() {
    const QString named = qEnvironmentVariable("SKEP_MAKE_SAMPLE");
    if (!named.isEmpty()) {
        return named;
    }
    const QDir here(QCoreApplication::applicationDirPath());
    QStringList places{here.filePath(QStringLiteral("skep-make-sample")),
                       here.filePath(QStringLiteral("../libexec/skep/skep-make-sample"))};
    // build/release/bin/skep of a source tree: three folders up.
    for (const char* up : {"..", "../..", "../../.."}) {
        places << here.filePath(QString::fromLatin1(up) + QStringLiteral("/scripts/make-sample"));
    }
    for (const QString& place : places) {
        if (QFileInfo(place).isExecutable()) {
            return QDir::cleanPath(place);
        }
    }
    return {};
}

QString sample_file() {
    const QString cache =
        QStandardPaths::writableLocation(QStandardPaths::GenericCacheLocation) + QStringLiteral("/skep");
    QDir().mkpath(cache);
    return cache + QStringLiteral("/small-linux.iso");
}

}  // namespace skep::ui
