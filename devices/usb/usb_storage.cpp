// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/usb/usb_storage.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>

#include "devices/block/block_requests.hpp"
#include "devices/usb/scsi_disk.hpp"
#include "devices/usb/usb_function.hpp"
#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr uint16_t k_product = 3;
constexpr uint8_t k_class_storage = 8;
constexpr uint8_t k_subclass_scsi = 6;
constexpr uint8_t k_protocol_bulk_only = 0x50;
constexpr uint8_t k_bulk = 2;
constexpr uint16_t k_packet = 1024;
constexpr uint8_t k_burst = 15;
constexpr uint8_t k_bulk_in = 1 | k_usb_in;
constexpr uint8_t k_bulk_out = 2;

constexpr uint32_t k_cbw_signature = 0x43425355;
constexpr uint32_t k_csw_signature = 0x53425355;
constexpr size_t k_cbw_bytes = 31;
constexpr size_t k_csw_bytes = 13;
constexpr size_t k_chunk = 256 << 10;  // of host I/O at a time
constexpr size_t k_serial_characters = 20;

enum Request : uint16_t { k_bulk_only_reset = 0x21ff, k_get_max_lun = 0xa1fe };
enum Outcome : uint8_t { k_passed = 0, k_failed = 1, k_phase_error = 2 };

UsbDescription describe(const std::string& serial) {
    return {.speed = UsbSpeed::super,
            .product = k_product,
            .name = "USB stick",
            .serial = serial,
            .interface_class = k_class_storage,
            .interface_subclass = k_subclass_scsi,
            .interface_protocol = k_protocol_bulk_only,
            .class_descriptor = {},
            .endpoints = {{.address = k_bulk_in, .attributes = k_bulk, .max_packet_size = k_packet, .max_burst = k_burst},
                          {.address = k_bulk_out, .attributes = k_bulk, .max_packet_size = k_packet, .max_burst = k_burst}}};
}

// One command at a time, its data by way of a buffer of this device: what the guest does to its own memory and rings in
// the meantime touches no host I/O.
class UsbStorage final : public UsbFunction {
  public:
    UsbStorage(std::shared_ptr<BlockBackend> backend, UsbStorageConfig config)
        : UsbFunction(describe(config.serial)),
          m_backend(std::move(backend)),
          m_disk(m_backend->info(), config.serial.substr(0, k_serial_characters)) {
        if (config.on_no_space) {
            m_backend->set_on_no_space(std::move(config.on_no_space));
        }
    }
    // Completions refer to this.
    ~UsbStorage() override { UsbStorage::cancel_held(); }

    [[nodiscard]] std::string_view kind() const override { return "storage"; }
    void unplug() override { cancel_held(); }
    void reset() override;
    void drain() override { m_backend->drain(); }
    void cancel_held() override {
        finish_all(*m_backend);
    }
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;

  private:
    enum class Phase : uint8_t {
        command,   // a CBW is awaited
        data_in,
        data_out,
        status,    // the CSW is to be fetched
        broken,    // after a CBW that is none: until Bulk-Only Mass Storage Reset
    };
    enum class HostWork : uint8_t { none, read, write, flush, unmap };

    UsbAnswer class_request(const UsbSetup& setup, std::vector<uint8_t>& data) override;
    UsbAnswer move(uint8_t endpoint, UsbTransfer& transfer) override;
    void halt_cleared(uint8_t endpoint) override;

    void new_command();
    UsbAnswer take_command(UsbTransfer& transfer);
    UsbAnswer command_broken();
    void start(const std::array<uint8_t, k_cbw_bytes>& cbw);
    void follow(ScsiPlan plan);
    void expect_data();
    UsbAnswer give_data(UsbTransfer& transfer);
    UsbAnswer take_data(UsbTransfer& transfer);
    UsbAnswer give_status(UsbTransfer& transfer);
    void buffer_full();
    void finish(Outcome outcome, scsi::Sense sense = {});

    [[nodiscard]] bool busy() const { return m_work != HostWork::none; }
    void read_ahead();
    void submit(HostWork work);
    void host_done(HostWork work, BlockStatus status);

    std::shared_ptr<BlockBackend> m_backend;
    ScsiDisk m_disk;

    Phase m_phase = Phase::command;
    uint32_t m_tag = 0;
    uint32_t m_expected = 0;  // dCBWDataTransferLength
    bool m_to_host = false;
    ScsiCdb m_cdb{};
    ScsiPlan m_plan;          // of the command
    uint64_t m_moved = 0;     // bytes of data that the host has sent or been given
    uint64_t m_wanted = 0;    // bytes that the command is about
    Outcome m_outcome = k_passed;
    bool m_stall_data = false;  // the data phase ends so: nothing can be moved in this direction

    std::vector<uint8_t> m_buffer;  // [m_buffer_at, size): read and not fetched, or received and not written
    size_t m_buffer_at = 0;
    uint64_t m_host_offset = 0;  // bytes of the plan that the back end has done
    HostWork m_work = HostWork::none;
    bool m_orphan = false;  // what is under way belongs to a command that was given up
};

// --- commands --------------------------------------------------------------------------------------------------------------

void UsbStorage::reset() {
    UsbFunction::reset();
    m_disk.reset();
    new_command();
}

// Host I/O under way goes on, in a buffer that stays until then; the next command waits for it.
void UsbStorage::new_command() {
    m_phase = Phase::command;
    m_orphan = busy();
    if (!m_orphan) {
        m_buffer.clear();
    }
    m_buffer_at = 0;
    m_host_offset = 0;
    m_moved = 0;
    m_wanted = 0;
    m_plan = {};
    m_stall_data = false;
}

UsbAnswer UsbStorage::class_request(const UsbSetup& setup, std::vector<uint8_t>& data) {
    switch (setup.key()) {
        case k_get_max_lun: data = {0}; return UsbAnswer::ack;
        case k_bulk_only_reset: new_command(); return UsbAnswer::ack;
        default: return UsbAnswer::stall;
    }
}

// 6.6.1: after an invalid CBW only the reset helps.
void UsbStorage::halt_cleared(uint8_t endpoint) {
    if (m_phase == Phase::broken) {
        halt(endpoint);
    }
}

UsbAnswer UsbStorage::move(uint8_t endpoint, UsbTransfer& transfer) {
    if (m_orphan) {
        return UsbAnswer::nak;
    }
    if (endpoint == k_bulk_out) {
        switch (m_phase) {
            case Phase::command: return take_command(transfer);
            case Phase::data_out: return take_data(transfer);
            case Phase::broken: return UsbAnswer::stall;
            default: return UsbAnswer::nak;
        }
    }
    switch (m_phase) {
        case Phase::data_in: return give_data(transfer);
        case Phase::status: return give_status(transfer);
        case Phase::broken: return UsbAnswer::stall;
        default: return UsbAnswer::nak;
    }
}

UsbAnswer UsbStorage::command_broken() {
    m_phase = Phase::broken;
    halt(k_bulk_in);
    halt(k_bulk_out);
    return UsbAnswer::stall;
}

UsbAnswer UsbStorage::take_command(UsbTransfer& transfer) {
    std::array<uint8_t, k_cbw_bytes> cbw{};
    if (transfer.length() != k_cbw_bytes || transfer.take(cbw) != k_cbw_bytes || load_le<uint32_t>(cbw.data()) != k_cbw_signature ||
        cbw[13] != 0 || cbw[14] == 0 || cbw[14] > m_cdb.size()) {
        return command_broken();
    }
    start(cbw);
    port()->wake(k_bulk_in);
    return UsbAnswer::ack;
}

void UsbStorage::start(const std::array<uint8_t, k_cbw_bytes>& cbw) {
    new_command();
    m_tag = load_le<uint32_t>(&cbw[4]);
    m_expected = load_le<uint32_t>(&cbw[8]);
    m_to_host = (cbw[12] & k_usb_in) != 0;
    m_cdb.fill(0);
    std::copy_n(&cbw[15], cbw[14], m_cdb.begin());
    m_outcome = k_passed;
    follow(m_disk.plan(m_cdb));
    if (m_phase == Phase::command) {
        expect_data();
    }
}

void UsbStorage::follow(ScsiPlan plan) {
    m_plan = std::move(plan);
    switch (m_plan.kind) {
        case ScsiPlan::Kind::answer:
            m_wanted = m_plan.data.size();
            m_outcome = m_plan.sense.key != 0 ? k_failed : k_passed;
            if (m_cdb[0] != scsi::k_request_sense) {
                m_disk.ended(m_plan.sense);
            }
            m_buffer = std::move(m_plan.data);
            m_buffer_at = 0;
            break;
        case ScsiPlan::Kind::read:
        case ScsiPlan::Kind::write:
        case ScsiPlan::Kind::parameters: m_wanted = m_plan.length; break;
        case ScsiPlan::Kind::flush:
            m_wanted = 0;
            submit(HostWork::flush);
            break;
        case ScsiPlan::Kind::unmap:
            m_wanted = 0;
            if (m_plan.ranges.empty()) {
                m_disk.ended({});
            } else {
                submit(HostWork::unmap);
            }
            break;
    }
}

// The thirteen cases of 6.7: what the host expects to move against what the command is about.
void UsbStorage::expect_data() {
    const bool gives = m_plan.kind == ScsiPlan::Kind::answer || m_plan.kind == ScsiPlan::Kind::read;
    if (m_wanted != 0 && m_expected != 0 && gives != m_to_host) {
        m_stall_data = true;  // 8, 10
        m_wanted = 0;
        finish(k_phase_error);
    } else if (m_wanted > m_expected) {
        m_wanted = m_expected;  // 2, 3, 7, 13; a shortened answer is no more than that
        if (m_plan.kind != ScsiPlan::Kind::answer) {
            finish(k_phase_error);
            m_wanted = 0;
        }
    }
    if (m_expected == 0) {
        m_phase = Phase::status;
        return;
    }
    m_phase = m_to_host ? Phase::data_in : Phase::data_out;
    if (m_phase == Phase::data_in && m_plan.kind == ScsiPlan::Kind::read && m_wanted != 0) {
        read_ahead();
    }
}

void UsbStorage::finish(Outcome outcome, scsi::Sense sense) {
    m_outcome = outcome;
    m_disk.ended(sense);
    m_plan.kind = ScsiPlan::Kind::answer;
}

// --- data ------------------------------------------------------------------------------------------------------------------------

// A transfer that ends before it is full, with nothing left to come, is the short packet that ends the phase (cases 4, 5).
UsbAnswer UsbStorage::give_data(UsbTransfer& transfer) {
    if (m_stall_data) {
        m_phase = Phase::status;
        halt(k_bulk_in);
        return UsbAnswer::stall;
    }
    while (transfer.remaining() != 0 && m_moved < m_wanted) {
        if (busy()) {
            return UsbAnswer::nak;
        }
        const size_t most = static_cast<size_t>(std::min<uint64_t>(m_buffer.size() - m_buffer_at, m_wanted - m_moved));
        const size_t given = transfer.give(std::span(m_buffer).subspan(m_buffer_at, most));
        m_buffer_at += given;
        m_moved += given;
        if (m_buffer_at == m_buffer.size() && m_moved < m_wanted) {
            if (m_plan.kind != ScsiPlan::Kind::read) {
                break;
            }
            read_ahead();
        }
    }
    if (transfer.remaining() != 0 || m_moved >= m_expected) {
        m_phase = Phase::status;
    }
    return UsbAnswer::ack;
}

UsbAnswer UsbStorage::take_data(UsbTransfer& transfer) {
    if (m_stall_data) {
        m_phase = Phase::status;
        halt(k_bulk_out);
        port()->wake(k_bulk_in);
        return UsbAnswer::stall;
    }
    std::array<uint8_t, 4096> piece{};
    while (transfer.remaining() != 0 && m_moved < m_expected) {
        if (busy()) {
            return UsbAnswer::nak;
        }
        const bool wanted = m_moved < m_wanted && m_plan.kind != ScsiPlan::Kind::answer;
        const uint64_t end = wanted ? m_wanted : m_expected;  // what is too much is thrown away (case 11)
        const size_t room = wanted ? k_chunk - m_buffer.size() : piece.size();
        const auto most = static_cast<size_t>(std::min<uint64_t>({piece.size(), end - m_moved, room}));
        const size_t taken = transfer.take(std::span(piece).first(most));
        m_moved += taken;
        if (wanted) {
            m_buffer.insert(m_buffer.end(), piece.begin(), piece.begin() + static_cast<ptrdiff_t>(taken));
            if (m_buffer.size() == k_chunk || m_moved == m_wanted) {
                buffer_full();
            }
        }
    }
    if (m_moved >= m_expected) {
        m_phase = Phase::status;
        port()->wake(k_bulk_in);
    }
    return UsbAnswer::ack;
}

void UsbStorage::buffer_full() {
    if (m_plan.kind == ScsiPlan::Kind::write) {
        submit(HostWork::write);
    } else if (m_moved == m_wanted) {
        const std::vector<uint8_t> list = std::move(m_buffer);
        m_buffer.clear();
        follow(m_disk.parameters(m_cdb, list));
        m_wanted = m_moved;  // the rest of what the host sends is thrown away
    }
}

UsbAnswer UsbStorage::give_status(UsbTransfer& transfer) {
    if (busy()) {
        return UsbAnswer::nak;
    }
    const uint64_t useful = std::min<uint64_t>(m_moved, m_expected);
    std::array<uint8_t, k_csw_bytes> csw{};
    store_le<uint32_t>(csw.data(), k_csw_signature);
    store_le<uint32_t>(&csw[4], m_tag);
    store_le<uint32_t>(&csw[8], m_expected - static_cast<uint32_t>(m_outcome == k_passed || m_to_host ? useful : 0));
    csw[12] = m_outcome;
    transfer.give(csw);
    new_command();
    port()->wake(k_bulk_out);
    return UsbAnswer::ack;
}

// --- host I/O ---------------------------------------------------------------------------------------------------------------------------

void UsbStorage::read_ahead() {
    m_buffer.resize(static_cast<size_t>(std::min<uint64_t>(k_chunk, m_plan.length - m_host_offset)));
    m_buffer_at = 0;
    submit(HostWork::read);
}

// Every write goes through to stable storage: see ScsiDisk::mode_sense.
void UsbStorage::submit(HostWork work) {
    m_work = work;
    BlockRequest request{.offset = m_plan.offset + m_host_offset, .buffers = {}, .done = {}};
    switch (work) {
        case HostWork::none: return;
        case HostWork::read:
        case HostWork::write:
            request.op = work == HostWork::read ? BlockOp::read : BlockOp::write;
            request.durability = Durability::through;
            request.buffers = {{m_buffer.data(), m_buffer.size()}};
            break;
        case HostWork::flush: request.op = BlockOp::flush; break;
        case HostWork::unmap:
            request.op = BlockOp::discard;
            request.offset = m_plan.ranges.back().offset;
            request.length = m_plan.ranges.back().length;
            break;
    }
    request.done = [this, work](BlockStatus status) {
        const std::lock_guard lock(port()->gate());
        host_done(work, status);
    };
    m_backend->submit(std::move(request));
}

void UsbStorage::host_done(HostWork work, BlockStatus status) {
    m_work = HostWork::none;
    if (m_orphan) {
        m_orphan = false;
        m_buffer.clear();
        port()->wake(k_bulk_out);
        port()->wake(k_bulk_in);
        return;
    }
    if (work == HostWork::unmap) {
        m_plan.ranges.pop_back();  // a range that could not be given back is still there: no harm
        if (!m_plan.ranges.empty()) {
            submit(HostWork::unmap);
            return;
        }
    } else if (status != BlockStatus::ok) {
        m_buffer.clear();
        m_buffer_at = 0;
        finish(k_failed, work == HostWork::read ? scsi::k_read_error : scsi::k_write_error);
        m_wanted = m_to_host ? m_moved : m_wanted;
    } else if (work == HostWork::read) {
        m_host_offset += m_buffer.size();
    } else if (work == HostWork::write) {
        m_host_offset += m_buffer.size();
        m_buffer.clear();
    }
    if (m_outcome == k_passed) {
        m_disk.ended({});
    }
    port()->wake(k_bulk_in);
    port()->wake(k_bulk_out);
}

// --- saved state ----------------------------------------------------------------------------------------------------------------------------

void UsbStorage::save(StateWriter& writer) const {
    UsbFunction::save(writer);
    m_disk.save(writer);
    writer.put(m_phase);
    writer.put(m_tag);
    writer.put(m_expected);
    writer.put(static_cast<uint8_t>(m_to_host ? 1 : 0));
    writer.put_bytes(std::as_bytes(std::span(m_cdb)));
    writer.put(m_plan.kind);
    writer.put(m_plan.offset);
    writer.put(m_plan.length);
    writer.put(static_cast<uint8_t>(m_plan.ranges.size()));
    for (const ScsiPlan::Range& range : m_plan.ranges) {
        writer.put(range.offset);
        writer.put(range.length);
    }
    writer.put(m_moved);
    writer.put(m_wanted);
    writer.put(m_outcome);
    writer.put(static_cast<uint8_t>(m_stall_data ? 1 : 0));
    writer.put_bytes(m_orphan ? std::span<const std::byte>{} : std::as_bytes(std::span(m_buffer)));
    writer.put(static_cast<uint32_t>(m_buffer_at));
    writer.put(m_host_offset);
    writer.put(m_orphan ? HostWork::none : m_work);  // what was given up need not be done
}

void UsbStorage::load(StateReader& reader) {
    UsbFunction::load(reader);
    m_disk.load(reader);
    reader.get(m_phase);
    reader.get(m_tag);
    reader.get(m_expected);
    m_to_host = reader.get<uint8_t>() != 0;
    const std::vector<std::byte> cdb = reader.get_bytes(m_cdb.size());
    std::memcpy(m_cdb.data(), cdb.data(), m_cdb.size());
    m_plan = {};
    reader.get(m_plan.kind);
    reader.get(m_plan.offset);
    reader.get(m_plan.length);
    m_plan.ranges.resize(reader.get<uint8_t>());
    for (ScsiPlan::Range& range : m_plan.ranges) {
        reader.get(range.offset);
        reader.get(range.length);
    }
    reader.get(m_moved);
    reader.get(m_wanted);
    reader.get(m_outcome);
    m_stall_data = reader.get<uint8_t>() != 0;
    const std::vector<std::byte> buffer = reader.get_bytes();
    m_buffer_at = reader.get<uint32_t>();
    reader.get(m_host_offset);
    const auto work = reader.get<HostWork>();
    m_orphan = false;
    m_work = HostWork::none;
    m_buffer.clear();
    const bool moves = m_plan.kind == ScsiPlan::Kind::read || m_plan.kind == ScsiPlan::Kind::write;
    if (m_phase > Phase::broken || m_plan.kind > ScsiPlan::Kind::unmap || m_outcome > k_phase_error || work > HostWork::unmap ||
        buffer.size() > k_chunk || m_buffer_at > buffer.size() || m_moved > m_expected || m_wanted > m_expected ||
        (moves && (m_host_offset > m_plan.length || m_wanted > m_plan.length)) ||
        (work == HostWork::unmap && m_plan.ranges.empty()) || !reader.ok()) {
        reader.fail("a USB stick is in no state that there is");
        new_command();
        return;
    }
    m_buffer.resize(buffer.size());
    std::memcpy(m_buffer.data(), buffer.data(), buffer.size());
    if (work != HostWork::none) {
        submit(work);
    }
}

}  // namespace

std::unique_ptr<UsbDevice> make_usb_storage(std::shared_ptr<BlockBackend> backend, UsbStorageConfig config) {
    return std::make_unique<UsbStorage>(std::move(backend), std::move(config));
}

}  // namespace skep
