// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/virtio/virtio_gpu.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <utility>

#include "devices/video/edid.hpp"

namespace skep {
namespace {

using gpu::Response;

constexpr uint16_t k_state_version = 2;
constexpr uint32_t k_events_clear_offset = 4;
constexpr ScreenSize k_smallest_wish{64, 64};

// The command's body behind its header.
template <typename Body>
std::optional<Body> body_of(const GuestMemory& memory, const VirtioChain& chain) {
    Body body{};
    return chain.read(memory, sizeof(gpu::Header), &body, sizeof body) ? std::optional(body) : std::nullopt;
}

gpu::Header answer_header(const gpu::Header& command, Response response) {
    gpu::Header header{};
    header.type = static_cast<uint32_t>(response);
    if ((command.flags & gpu::k_flag_fence) != 0) {
        header.flags = gpu::k_flag_fence;
        header.fence_id = command.fence_id;
        header.ctx_id = command.ctx_id;
    }
    return header;
}

// Passes on, but for the wish to have everything drawn.
class WholeCanvas final : public ScreenSource::Canvas {
  public:
    explicit WholeCanvas(ScreenSource::Canvas& to) : m_to(to) {}
    Surface* surface(ScreenSize size) override { return m_to.surface(size); }
    void damage(const ScreenRect& rect) override { m_to.damage(rect); }
    void set_cursor(CursorImage cursor) override { m_to.set_cursor(std::move(cursor)); }
    [[nodiscard]] bool whole() const override { return true; }

  private:
    ScreenSource::Canvas& m_to;
};

// Writes as much of the answer as the driver gave room for.
template <typename Answer>
uint32_t put(GuestMemory& memory, const VirtioChain& chain, const Answer& answer) {
    const auto size = static_cast<uint32_t>(std::min<uint64_t>(sizeof answer, chain.writable_bytes()));
    return chain.write(memory, 0, &answer, size) ? size : 0;
}

}  // namespace

VirtioGpu::VirtioGpu(GuestMemory& memory, ScreenSize preferred_size)
    : m_memory(memory), m_wanted(preferred_size) {}

// --- the device ----------------------------------------------------------------------------------------------------------

std::vector<std::byte> VirtioGpu::config() const {
    const gpu::Config config{.events_read = m_events, .events_clear = 0, .num_scanouts = 1, .num_capsets = 0};
    std::vector<std::byte> bytes(sizeof config);
    std::memcpy(bytes.data(), &config, sizeof config);
    return bytes;
}

void VirtioGpu::config_written(uint32_t offset, std::span<const std::byte> data) {
    for (size_t i = 0; i < data.size(); ++i) {
        if (offset + i >= k_events_clear_offset && offset + i < k_events_clear_offset + 4) {
            m_events &= ~(std::to_integer<uint32_t>(data[i]) << (8 * (offset + i - k_events_clear_offset)));
        }
    }
}

void VirtioGpu::activate(VirtioSession session) {
    m_session = std::move(session);
    m_active = true;
    if (m_first == ScreenSize{}) {
        m_first = m_wanted;
    }
}

VirtioSession VirtioGpu::deactivate() {
    m_active = false;
    return std::move(m_session);
}

void VirtioGpu::reset_state() {
    m_resources.clear();
    m_scanout = {};
    m_has_taken_over = false;
    m_events = 0;
    m_first = {};
    m_cursor = {};
    m_damage.clear();
    m_whole = true;
}

void VirtioGpu::queue_notified(unsigned queue_index) {
    answer_chains(m_session, *m_transport, queue_index, [this](const VirtioChain& chain) { return answer(chain); });
}

// Returns the bytes written.
uint32_t VirtioGpu::answer(const VirtioChain& chain) {
    gpu::Header header{};
    if (!chain.read(m_memory, 0, &header, sizeof header)) {
        return 0;
    }
    if (header.type == gpu::k_get_display_info) {
        return put_display_info(chain, header);
    }
    if (header.type == gpu::k_get_edid) {
        return put_edid(chain, header);
    }
    return put(m_memory, chain, answer_header(header, execute(chain, header.type)));
}

Response VirtioGpu::execute(const VirtioChain& chain, uint32_t command) {
    const auto with = [&]<typename Body>(auto what, std::optional<Body> body) {
        return body ? what(*body) : Response::err_unspec;
    };
    switch (command) {
        case gpu::k_resource_create_2d:
            return with([this](const auto& body) { return m_resources.create(body); },
                        body_of<gpu::ResourceCreate2d>(m_memory, chain));
        case gpu::k_resource_unref:
            return with([this](const auto& body) { return unref(body.resource_id); },
                        body_of<gpu::ResourceId>(m_memory, chain));
        case gpu::k_set_scanout:
            return with([this](const auto& body) { return set_scanout(body); }, body_of<gpu::SetScanout>(m_memory, chain));
        case gpu::k_resource_flush:
            return with([this](const auto& body) { return flush(body); }, body_of<gpu::ResourceFlush>(m_memory, chain));
        case gpu::k_transfer_to_host_2d:
            return with([this](const auto& body) { return m_resources.transfer(m_memory, body); },
                        body_of<gpu::TransferToHost2d>(m_memory, chain));
        case gpu::k_resource_attach_backing: return attach(chain);
        case gpu::k_resource_detach_backing:
            return with([this](const auto& body) { return m_resources.detach(body.resource_id); },
                        body_of<gpu::ResourceId>(m_memory, chain));
        case gpu::k_update_cursor:
            return with([this](const auto& body) { return update_cursor(body); },
                        body_of<gpu::UpdateCursor>(m_memory, chain));
        case gpu::k_move_cursor: return Response::ok_nodata;  // a viewer draws it under its own pointer
        default: return Response::err_unspec;
    }
}

Response VirtioGpu::attach(const VirtioChain& chain) {
    const auto command = body_of<gpu::AttachBacking>(m_memory, chain);
    if (!command || command->entries > gpu::Resources::k_most_entries) {
        return Response::err_unspec;
    }
    std::vector<gpu::MemoryEntry> entries(command->entries);
    if (!chain.read(m_memory, sizeof(gpu::Header) + sizeof *command, entries.data(),
                    entries.size() * sizeof(gpu::MemoryEntry))) {
        return Response::err_unspec;
    }
    return m_resources.attach(command->resource_id, std::move(entries));
}

Response VirtioGpu::unref(uint32_t resource) {
    const Response done = m_resources.remove(resource);
    if (done == Response::ok_nodata && m_scanout.resource == resource) {
        m_scanout = {};
        m_whole = true;
    }
    return done;
}

Response VirtioGpu::set_scanout(const gpu::SetScanout& command) {
    if (command.scanout_id != 0) {
        return Response::err_invalid_scanout_id;
    }
    if (command.resource_id != 0) {
        const gpu::Resource* resource = m_resources.find(command.resource_id);
        if (resource == nullptr) {
            return Response::err_invalid_resource_id;
        }
        if (!resource->holds(command.rect) || command.rect.width == 0 || command.rect.height == 0) {
            return Response::err_invalid_parameter;
        }
        m_has_taken_over = true;
    }
    m_scanout = {command.resource_id, command.rect};
    m_whole = true;
    return Response::ok_nodata;
}

Response VirtioGpu::flush(const gpu::ResourceFlush& command) {
    const gpu::Resource* resource = m_resources.find(command.resource_id);
    if (resource == nullptr) {
        return Response::err_invalid_resource_id;
    }
    if (!resource->holds(command.rect)) {
        return Response::err_invalid_parameter;
    }
    if (command.resource_id == m_scanout.resource) {
        const gpu::Rect& shown = m_scanout.rect;
        const uint32_t left = std::max(command.rect.x, shown.x), top = std::max(command.rect.y, shown.y);
        const uint32_t right = std::min(command.rect.x + command.rect.width, shown.x + shown.width);
        const uint32_t bottom = std::min(command.rect.y + command.rect.height, shown.y + shown.height);
        if (left < right && top < bottom) {
            m_damage.add({left - shown.x, top - shown.y, right - shown.x, bottom - shown.y});
        }
    }
    return Response::ok_nodata;
}

Response VirtioGpu::update_cursor(const gpu::UpdateCursor& command) {
    if (command.scanout_id != 0) {
        return Response::err_invalid_scanout_id;
    }
    m_cursor = {};
    if (command.resource_id == 0) {
        return Response::ok_nodata;  // hidden
    }
    const gpu::Resource* resource = m_resources.find(command.resource_id);
    if (resource == nullptr) {
        return Response::err_invalid_resource_id;
    }
    if (resource->size() != ScreenSize{gpu::k_cursor_side, gpu::k_cursor_side}) {
        return Response::err_invalid_parameter;
    }
    m_cursor = {.width = gpu::k_cursor_side,
                .height = gpu::k_cursor_side,
                .hot_x = std::min(command.hot_x, gpu::k_cursor_side - 1),
                .hot_y = std::min(command.hot_y, gpu::k_cursor_side - 1),
                .argb = {}};
    for (uint32_t y = 0; y < gpu::k_cursor_side; ++y) {
        for (uint32_t x = 0; x < gpu::k_cursor_side; ++x) {
            m_cursor.argb.push_back(resource->pixel(x, y));
        }
    }
    return Response::ok_nodata;
}

uint32_t VirtioGpu::put_display_info(const VirtioChain& chain, const gpu::Header& header) {
    gpu::DisplayInfo info{};
    info.header = answer_header(header, Response::ok_display_info);
    info.displays[0] = {.rect = {0, 0, m_wanted.width, m_wanted.height}, .enabled = 1, .flags = 0};
    return put(m_memory, chain, info);
}

uint32_t VirtioGpu::put_edid(const VirtioChain& chain, const gpu::Header& header) {
    const auto command = body_of<gpu::GetEdid>(m_memory, chain);
    if (!command || command->scanout_id != 0) {
        return put(m_memory, chain, answer_header(header, Response::err_invalid_scanout_id));
    }
    gpu::EdidAnswer answer{};
    answer.header = answer_header(header, Response::ok_edid);
    const Edid edid = make_edid(m_wanted, m_first);
    answer.size = static_cast<uint32_t>(edid.size());
    std::copy(edid.begin(), edid.end(), std::begin(answer.edid));
    return put(m_memory, chain, answer);
}

// --- the screen ----------------------------------------------------------------------------------------------------------

void VirtioGpu::refresh(Canvas& canvas) {
    bool whole = false;
    {
        const std::lock_guard lock(m_transport->device_gate());
        canvas.set_cursor(m_cursor);
        if (m_has_taken_over) {
            refresh_scanout(canvas);
            return;
        }
        whole = std::exchange(m_whole, false);
    }
    WholeCanvas anew(canvas);
    if (m_fallback != nullptr) {
        m_fallback->refresh(whole ? static_cast<Canvas&>(anew) : canvas);
    }
}

void VirtioGpu::refresh_scanout(Canvas& canvas) {
    if (!m_whole && !canvas.whole() && m_damage.empty()) {
        return;
    }
    const gpu::Resource* resource = m_resources.find(m_scanout.resource);
    if (resource != nullptr) {
        m_shown = {m_scanout.rect.width, m_scanout.rect.height};
    }
    Surface* surface = canvas.surface(m_shown);
    if (surface == nullptr) {
        return;
    }
    if (m_whole || canvas.whole()) {
        m_damage.clear();
        m_damage.add({0, 0, m_shown.width, m_shown.height});
    }
    for (const ScreenRect& rect : m_damage.rects()) {
        draw(canvas, *surface, resource, rect);
    }
    m_damage.clear();
    m_whole = false;
}

// Black where the scanout is off.
void VirtioGpu::draw(Canvas& canvas, Surface& surface, const gpu::Resource* resource, const ScreenRect& rect) const {
    for (uint32_t y = rect.top; y < rect.bottom; ++y) {
        uint32_t* const to = &surface.row(y)[rect.left];
        if (resource == nullptr) {
            std::fill_n(to, rect.right - rect.left, 0);
        } else {
            resource->copy_row(m_scanout.rect.y + y, m_scanout.rect.x + rect.left, rect.right - rect.left, to);
        }
    }
    canvas.damage(rect);
}

std::optional<TextCells> VirtioGpu::text() {
    {
        const std::lock_guard lock(m_transport->device_gate());
        if (m_has_taken_over) {
            return std::nullopt;
        }
    }
    return m_fallback != nullptr ? m_fallback->text() : std::nullopt;
}

bool VirtioGpu::suggest_size(ScreenSize size) {
    const std::lock_guard lock(m_transport->device_gate());
    const ScreenSize wish{std::max(size.width, k_smallest_wish.width) & ~7U, std::max(size.height, k_smallest_wish.height)};
    const bool is_new = std::exchange(m_wanted, wish) != wish;  // a driver that comes later begins with it
    if (m_active && is_new) {
        m_events |= gpu::k_event_display;
        m_transport->interrupt_config();
    }
    return m_active;
}

// --- state ---------------------------------------------------------------------------------------------------------------

void VirtioGpu::save(StateWriter& writer) const {
    writer.section("virtio-gpu", k_state_version);
    m_resources.save(writer);
    for (const uint32_t value : {m_scanout.resource, m_scanout.rect.x, m_scanout.rect.y, m_scanout.rect.width,
                                 m_scanout.rect.height, m_wanted.width, m_wanted.height, m_events, m_cursor.width,
                                 m_cursor.hot_x, m_cursor.hot_y}) {
        writer.put(value);
    }
    writer.put(m_has_taken_over);
    for (const uint32_t pixel : m_cursor.argb) {
        writer.put(pixel);
    }
    writer.put(m_first.width);
    writer.put(m_first.height);
}

void VirtioGpu::load(StateReader& reader) {
    reset_state();
    const uint16_t version = reader.section("virtio-gpu", k_state_version);
    m_resources.load(reader);
    Scanout scanout;
    for (uint32_t* value : {&scanout.resource, &scanout.rect.x, &scanout.rect.y, &scanout.rect.width, &scanout.rect.height,
                            &m_wanted.width, &m_wanted.height, &m_events, &m_cursor.width, &m_cursor.hot_x, &m_cursor.hot_y}) {
        reader.get(*value);
    }
    reader.get(m_has_taken_over);
    const bool has_cursor = m_cursor.width == gpu::k_cursor_side;
    if ((m_cursor.width != 0 && !has_cursor) || m_cursor.hot_x >= gpu::k_cursor_side || m_cursor.hot_y >= gpu::k_cursor_side) {
        m_cursor = {};
        reader.fail("the cursor is out of range");
    }
    m_cursor.height = m_cursor.width;
    for (uint32_t i = 0; i < m_cursor.width * m_cursor.height; ++i) {
        m_cursor.argb.push_back(reader.get<uint32_t>());
    }
    m_first = m_wanted;
    if (version >= 2) {
        reader.get(m_first.width);
        reader.get(m_first.height);
    }
    const gpu::Resource* resource = m_resources.find(scanout.resource);
    const bool fits = resource != nullptr && resource->holds(scanout.rect) && scanout.rect.width != 0 && scanout.rect.height != 0;
    if (scanout.resource != 0 && !fits) {
        reader.fail("the scanout is out of range");
        scanout = {};
    }
    if (!m_wanted.acceptable()) {
        m_wanted = k_smallest_wish;
        reader.fail("the size is out of range");
    }
    m_scanout = scanout;
}

}  // namespace skep
