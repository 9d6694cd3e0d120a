// SPDX-License-Identifier: GPL-3.0-or-later
// Long work the user may watch and cancel: one Job each, JobList for the window's list of them.
#pragma once

#include <QObject>
#include <QProcess>
#include <QString>
#include <vector>

namespace skep::ui {

// Deletes itself after finished(). Window thread.
class Job : public QObject {
    Q_OBJECT
  public:
    explicit Job(QString title, QObject* parent = nullptr) : QObject(parent), m_title(std::move(title)) {}
    [[nodiscard]] const QString& title() const { return m_title; }
    [[nodiscard]] const QString& step() const { return m_step; }
    virtual void cancel() = 0;

  signals:
    void progressed(const QString& step);
    void succeeded();
    void failed(const QString& message);  // not after cancel()
    void finished();                      // always last

  protected:
    void set_step(const QString& step);
    void finish();

  private:
    QString m_title;
    QString m_step;
};

class JobList : public QObject {
    Q_OBJECT
  public:
    using QObject::QObject;
    void add(Job* job);
    [[nodiscard]] const std::vector<Job*>& jobs() const { return m_jobs; }

  signals:
    void changed();

  private:
    std::vector<Job*> m_jobs;
};

// Runs `make-sample OUTPUT.iso`: lines "STEP text" on its standard output are progress, standard error is the
// sentence for a failure. The output file appears only when it is complete.
class SampleJob : public Job {
    Q_OBJECT
  public:
    SampleJob(QString program, QString output, QObject* parent = nullptr);
    ~SampleJob() override;
    void run();
    void cancel() override;
    [[nodiscard]] const QString& output() const { return m_output; }

  private:
    void read_steps();
    void ended(int code, QProcess::ExitStatus status);

    QString m_program;
    QString m_output;
    QString m_partial;
    QProcess m_process;
    bool m_cancelled = false;
};

// The program that makes the sample: $SKEP_MAKE_SAMPLE, skep-make-sample beside this program or in ../libexec/skep,
// or scripts/make-sample of a source tree above it. Empty when there is none.
[[nodiscard]] QString find_sample_maker();
// Where its result is kept: $XDG_CACHE_HOME/skep/small-linux.iso. Makes the folder.
[[nodiscard]] QString sample_file();

}  // namespace skep::ui
