// SPDX-License-Identifier: GPL-3.0-or-later
// disk create|info|check|convert|resize|commit: images that no machine is using; a running machine's disk can be resized too.
#include <unistd.h>

#include <filesystem>

#include "app/ctl/commands.hpp"
#include "app/ctl/command.hpp"
#include "app/ctl/machine_argument.hpp"
#include "app/ctl/terminal.hpp"
#include "devices/block/raw.hpp"
#include "devices/formats/guest_use.hpp"
#include "devices/formats/image_tools.hpp"
#include "devices/formats/qcow2_create.hpp"
#include "vmm/base/bits.hpp"
#include "vmm/spec/spec_fields.hpp"

namespace skep {
namespace {

namespace fs = std::filesystem;

constexpr int k_found_errors = 2;
constexpr int k_found_leaks = 3;

// A line that counts up on a terminal, and Ctrl-C that stops between two pieces of work.
class Watch {
  public:
    explicit Watch(const Output& output) : m_shown(!output.is_json() && isatty(STDERR_FILENO) != 0) {}
    ~Watch() {
        if (m_shown && m_percent >= 0) {
            fmt::print(stderr, "\r\033[K");
        }
    }
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    [[nodiscard]] Progress progress() {
        return [this](double done) {
            const int percent = static_cast<int>(done * 100);
            if (m_shown && percent != m_percent) {
                fmt::print(stderr, "\r{:3} %", percent);
            }
            m_percent = percent;
            return m_signals.take() == 0;
        };
    }

  private:
    EndSignals m_signals;
    bool m_shown;
    int m_percent = -1;
};

ImageFormat format_by_name(const std::string& wanted, const std::string& path) {
    if (!wanted.empty()) {
        return image_format_from_text(wanted);
    }
    return path.ends_with(".qcow2") ? ImageFormat::qcow2 : ImageFormat::raw;
}

class DiskCommand final : public Command {
  public:
    [[nodiscard]] const char* name() const override { return "disk"; }
    [[nodiscard]] const char* help() const override { return "Make, look at, check, convert, resize and commit disk images"; }
    void declare(CLI::App& app) override;
    [[nodiscard]] Result<int> run(const Output& output) override;

  private:
    [[nodiscard]] Result<int> create(const Output& output);
    [[nodiscard]] Result<int> info(const Output& output);
    [[nodiscard]] Result<int> running_info(const Output& output, const Json& disk) const;
    [[nodiscard]] Result<int> check(const Output& output);
    [[nodiscard]] Result<int> convert(const Output& output);
    [[nodiscard]] Result<int> resize(const Output& output);
    [[nodiscard]] Result<int> resized(const Output& output, uint64_t size) const;
    [[nodiscard]] Result<int> commit(const Output& output);
    [[nodiscard]] BackingPolicy backing_policy(const std::string& image) const;

    CLI::App* m_create = nullptr;
    CLI::App* m_info = nullptr;
    CLI::App* m_check = nullptr;
    CLI::App* m_convert = nullptr;
    CLI::App* m_resize = nullptr;
    CLI::App* m_commit = nullptr;
    std::string m_file, m_target, m_size, m_format, m_backing, m_repair, m_cluster;
    std::vector<std::string> m_trusted;
};

void DiskCommand::declare(CLI::App& app) {
    app.require_subcommand(1);
    const auto add = [&](const char* name, const char* help) {
        CLI::App* action = app.add_subcommand(name, help);
        action->fallthrough();
        action->add_option("file", m_file, "Disk image")->required();
        return action;
    };
    const auto formats = CLI::IsMember({"raw", "qcow2"});
    const char* by_name = "raw or qcow2; left out, by the file's name: qcow2 where it ends in .qcow2";
    m_create = add("create", "Make a new image");
    m_create->add_option("size", m_size, "Size of the disk, such as 20G; with --backing the base's where left out");
    m_create->add_option("--format", m_format, by_name)->check(formats);
    m_create->add_option("--backing", m_backing, "Make an overlay: what is not written comes from this image")->type_name("FILE");
    m_create->add_option("--cluster-size", m_cluster, "Clusters of qcow2, 512 to 2M (64K)")->type_name("SIZE");
    m_info = add("info", "What an image is and what it uses");
    m_check = add("check", "Look for errors and lost space in a qcow2 image (exit code 2: errors, 3: lost space)");
    m_check->add_option("--repair", m_repair, "leaks: give lost space back; all: set every count right")
        ->check(CLI::IsMember({"leaks", "all"}));
    m_convert = add("convert", "Copy qcow2, VMDK, VDI, VHD, VHDX or raw to a new image");
    m_convert->add_option("target", m_target, "New image")->required();
    m_convert->add_option("--format", m_format, by_name)->check(formats);
    m_resize = add("resize", "Make a disk larger, while its machine runs too when it is a virtio disk");
    m_resize->add_option("size", m_size, "New size, such as 40G, or +20G for so much more")->required();
    m_commit = add("commit", "Write what an overlay holds into the image it is based on");
    for (CLI::App* action : {m_convert, m_commit}) {
        action->add_option("--trust", m_trusted, "An image outside of the overlay's folder that it may be based on")->type_name("FILE");
    }
}

BackingPolicy DiskCommand::backing_policy(const std::string& image) const {
    BackingPolicy policy;
    std::error_code ignored;
    policy.folders = {fs::absolute(image, ignored).parent_path()};
    policy.files.assign(m_trusted.begin(), m_trusted.end());
    return policy;
}

Result<int> DiskCommand::run(const Output& output) {
    if (m_create->parsed()) {
        return create(output);
    }
    if (m_info->parsed()) {
        return info(output);
    }
    if (m_check->parsed()) {
        return check(output);
    }
    if (m_convert->parsed()) {
        return convert(output);
    }
    return m_resize->parsed() ? resize(output) : commit(output);
}

Result<int> DiskCommand::create(const Output& output) {
    const ImageFormat format = format_by_name(m_format, m_file);
    Qcow2CreateOptions options;
    if (!m_backing.empty()) {
        const auto base = describe_image(m_backing);
        if (!base) {
            return tl::unexpected<Error>(base.error());
        }
        options.size = base->disk_bytes;
        std::error_code ignored;
        const fs::path folder = fs::absolute(m_file, ignored).parent_path();
        const fs::path absolute = fs::absolute(m_backing, ignored).lexically_normal();
        options.backing_file = absolute.parent_path() == folder.lexically_normal() ? absolute.filename().string() : absolute.string();
        options.backing_format = base->format == ImageFormat::vhd ? "vpc" : std::string(to_text(base->format));
    }
    if (!m_size.empty()) {
        const auto size = parse_size(m_size);
        if (!size) {
            return tl::unexpected<Error>(size.error());
        }
        options.size = *size;
    }
    if (!m_cluster.empty()) {
        const auto size = parse_size(m_cluster);
        if (!size || !is_power_of_two(*size)) {
            return fail(ErrorKind::invalid_input, "Clusters of {} cannot be made: give a power of two from 512 to 2M.", m_cluster);
        }
        options.cluster_bits = static_cast<unsigned>(std::countr_zero(*size));
    }
    if (format == ImageFormat::raw && !m_backing.empty()) {
        return fail(ErrorKind::invalid_input, "Only a qcow2 image can be based on another: end its name in .qcow2.");
    }
    const Status made = format == ImageFormat::raw ? create_raw_image(m_file, options.size) : create_qcow2_image(m_file, options);
    if (!made) {
        return tl::unexpected<Error>(made.error());
    }
    output.print(OrderedJson{{"file", m_file}, {"format", to_text(format)}, {"size", options.size}},
                 fmt::format("{} is a {} disk of {}.\n", m_file, to_text(format), describe_size(options.size)));
    return 0;
}

// A machine that runs on this image.
struct User {
    ControlClient client;
    std::string disk;
    Json facts;         // of MessageType::info
    [[nodiscard]] uint64_t size() const { return facts.value("size", uint64_t{0}); }
};

// What a worker's MessageType::info says of this image.
std::optional<Json> disk_in(const std::string& info, const std::string& file) {
    const auto json = parse_json(info);
    if (!json || !json->contains("disks") || !(*json)["disks"].is_array()) {
        return std::nullopt;
    }
    for (const Json& disk : (*json)["disks"]) {
        std::error_code ignored;
        if (fs::equivalent(disk.value("file", ""), file, ignored)) {
            return disk;
        }
    }
    return std::nullopt;
}

std::optional<User> running_user(const std::string& file) {
    for (const BundleEntry& entry : list_bundles()) {
        const auto bundle = Bundle::open(entry.folder);
        if (!bundle || worker_state(*bundle).life != WorkerLife::running) {
            continue;
        }
        auto client = attach(*bundle, k_program_name, std::chrono::seconds(1));
        const auto info = client.and_then([](ControlClient& attached) { return attached.request(MessageType::info); });
        if (const auto disk = info ? disk_in(info->object("info"), file) : std::nullopt) {
            return User{std::move(*client), disk->value("id", ""), *disk};
        }
    }
    return std::nullopt;
}

std::string ledger_text(const std::optional<GuestUse>& guest, std::optional<uint64_t> reclaimable) {
    if (!guest) {
        return "guest: what it uses cannot be told: no file system that Skep reads (ext2 to ext4)\n";
    }
    std::string text = fmt::format("guest: its {} use {}", guest->file_systems == 1 ? "file system" : fmt::format("{} file systems", guest->file_systems),
                                   describe_size(guest->used_bytes));
    if (guest->other_bytes != 0) {
        text += fmt::format("; {} of the disk hold something else", describe_size(guest->other_bytes));
    }
    text += reclaimable.value_or(0) == 0 ? "" : fmt::format("\n       at least {} of the file can be given back: run fstrim in the guest", describe_size(*reclaimable));
    return text + "\n";
}

// Of a disk that its machine uses, as its worker says.
Result<int> DiskCommand::running_info(const Output& output, const Json& disk) const {
    OrderedJson json{{"file", m_file}, {"size", disk.value("size", uint64_t{0})}, {"running", true}};
    std::optional<GuestUse> guest;
    if (const Json& use = disk.value("guest", Json()); use.is_object()) {
        guest = GuestUse{use.value("file_systems", 0U), use.value("used", uint64_t{0}), use.value("other", uint64_t{0})};
    }
    for (const char* key : {"host_size", "guest", "reclaimable"}) {
        json[key] = disk.value(key, OrderedJson());
    }
    std::string text = fmt::format("{}: in use by a running machine\ndisk:  {}\nfile:  {} are in use on the host\n", m_file,
                                   describe_size(disk.value("size", uint64_t{0})), describe_size(disk.value("host_size", uint64_t{0})));
    const uint64_t reclaimable = guest ? disk.value("reclaimable", uint64_t{0}) : 0;
    output.print(json, text + ledger_text(guest, reclaimable));
    return 0;
}

Result<int> DiskCommand::info(const Output& output) {
    if (auto user = running_user(m_file)) {
        const auto known = user->client.info_with_disks();
        return running_info(output, known ? disk_in(*known, m_file).value_or(user->facts) : user->facts);
    }
    const auto details = describe_image(m_file);
    if (!details) {
        return tl::unexpected<Error>(details.error());
    }
    OrderedJson json{{"file", m_file},
                     {"format", to_text(details->format)},
                     {"size", details->disk_bytes},
                     {"file_size", details->file_bytes},
                     {"host_size", details->host_bytes}};
    std::string text = fmt::format("{}: {}\ndisk:  {} ({} bytes)\nfile:  {}, of which {} are in use on the host\n", m_file,
                                   to_text(details->format), describe_size(details->disk_bytes), details->disk_bytes,
                                   describe_size(details->file_bytes), describe_size(details->host_bytes));
    if (details->format == ImageFormat::qcow2) {
        json["version"] = details->version;
        json["cluster_size"] = details->cluster_bytes;
        json["snapshots"] = details->snapshots;
        json["dirty"] = details->is_dirty;
        json["corrupt"] = details->is_corrupt;
        text += fmt::format("qcow2: version {}, clusters of {}, {} snapshots inside{}{}\n", details->version,
                            describe_size(details->cluster_bytes), details->snapshots, details->is_dirty ? ", not closed" : "",
                            details->is_corrupt ? ", marked as corrupt" : "");
    }
    if (!details->backing_file.empty()) {
        json["backing"] = {{"file", details->backing_file}, {"format", details->backing_format}};
        text += fmt::format("base:  {} ({})\n", details->backing_file,
                            details->backing_format.empty() ? "format not said" : details->backing_format);
    }
    ImageOptions options;
    options.backing = backing_policy(m_file);
    if (const auto ledger = look_at_image(m_file, options)) {
        json["guest"] = nullptr;
        if (ledger->guest) {
            json["guest"] = {{"file_systems", ledger->guest->file_systems}, {"used", ledger->guest->used_bytes}, {"other", ledger->guest->other_bytes}};
            json["reclaimable"] = *ledger->reclaimable();
        }
        text += ledger_text(ledger->guest, ledger->reclaimable());
    } else {
        text += fmt::format("guest: what it uses cannot be told: {}\n", ledger.error().message);
    }
    output.print(json, text);
    return 0;
}

Result<int> DiskCommand::check(const Output& output) {
    Watch watch(output);
    const Repair repair = m_repair.empty() ? Repair::nothing : m_repair == "leaks" ? Repair::leaks : Repair::everything;
    const auto report = check_qcow2_image(m_file, repair, watch.progress());
    if (!report) {
        return tl::unexpected<Error>(report.error());
    }
    const OrderedJson json{{"file", m_file},
                           {"errors", report->errors},
                           {"leaks", report->leaks},
                           {"repaired", report->repaired},
                           {"clusters", report->clusters},
                           {"allocated", report->allocated_clusters},
                           {"compressed", report->compressed_clusters},
                           {"file_end", report->file_end},
                           {"findings", report->findings}};
    std::string text = fmt::format("{}: {} errors, {} lost clusters", m_file, report->errors, report->leaks);
    text += repair == Repair::nothing ? ".\n" : fmt::format("; {} put right.\n", report->repaired);
    text += fmt::format("{} of {} clusters hold data, {} of them compressed.\n", report->allocated_clusters, report->clusters,
                        report->compressed_clusters);
    for (const std::string& finding : report->findings) {
        text += "  " + finding + "\n";
    }
    output.print(json, text);
    if (report->repaired == report->errors + report->leaks) {
        return 0;
    }
    return report->errors > 0 ? k_found_errors : k_found_leaks;
}

Result<int> DiskCommand::convert(const Output& output) {
    Watch watch(output);
    ImageOptions options;
    options.backing = backing_policy(m_file);
    const ImageFormat format = format_by_name(m_format, m_target);
    if (const Status done = convert_image(m_file, options, m_target, format, watch.progress()); !done) {
        return tl::unexpected<Error>(done.error());
    }
    output.print(OrderedJson{{"file", m_target}, {"format", to_text(format)}},
                 fmt::format("{} is a {} image now.\n", m_target, to_text(format)));
    return 0;
}

Result<uint64_t> size_wanted(const std::string& text, uint64_t now) {
    const bool more = text.starts_with('+');
    return parse_size(more ? text.substr(1) : text).map([&](uint64_t size) { return size + (more ? now : 0); });
}

Result<int> DiskCommand::resize(const Output& output) {
    if (auto user = running_user(m_file)) {
        const auto wanted = size_wanted(m_size, user->size());
        const Status done = !wanted ? Status(tl::unexpected<Error>(wanted.error()))
                                    : user->client.command(MessageType::disk_resize,
                                                           {{"disk", user->disk}, {"size", static_cast<int64_t>(*wanted)}});
        return done ? resized(output, *wanted) : Result<int>(tl::unexpected<Error>(done.error()));
    }
    const auto details = describe_image(m_file);
    if (!details) {
        return tl::unexpected<Error>(details.error());
    }
    const auto wanted = size_wanted(m_size, details->disk_bytes);
    if (!wanted) {
        return tl::unexpected<Error>(wanted.error());
    }
    if (const Status done = resize_image(m_file, details->format, *wanted); !done) {
        return tl::unexpected<Error>(done.error());
    }
    return resized(output, *wanted);
}

Result<int> DiskCommand::resized(const Output& output, uint64_t size) const {
    output.print(OrderedJson{{"file", m_file}, {"size", size}},
                 fmt::format("{} has {} now. The guest has to enlarge its partition and file system itself.\n", m_file,
                             describe_size(size)));
    return 0;
}

Result<int> DiskCommand::commit(const Output& output) {
    Watch watch(output);
    if (const Status done = commit_image(m_file, backing_policy(m_file), watch.progress()); !done) {
        return tl::unexpected<Error>(done.error());
    }
    output.print(OrderedJson{{"file", m_file}}, fmt::format("What {} held is in its base now; it can be deleted.\n", m_file));
    return 0;
}

}  // namespace

std::unique_ptr<Command> make_disk_command() { return std::make_unique<DiskCommand>(); }

}  // namespace skep
