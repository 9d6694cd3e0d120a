// SPDX-License-Identifier: GPL-3.0-or-later
// The virtio GPU, 2D only (Virtual I/O Device 1.2, 5.7): one scanout, resources, cursor, EDID, and the event by which the
// guest follows the size of a viewer's window.
// Left out: 3D (virgl), blobs, more than one scanout.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "devices/virtio/gpu_resources.hpp"
#include "devices/virtio/virtio_device.hpp"
#include "display/surface/screen.hpp"

namespace skep {

class VirtioGpu final : public VirtioDevice, public ScreenSource {
  public:
    VirtioGpu(GuestMemory& memory, ScreenSize preferred_size);
    // What the screen shows until the driver has set a scanout: a VGA. Before the screen has this as its source.
    void set_fallback(ScreenSource& fallback) { m_fallback = &fallback; }

    // VirtioDevice
    [[nodiscard]] uint16_t device_id() const override { return 16; }
    [[nodiscard]] uint32_t class_code() const override { return 0x030000; }
    [[nodiscard]] uint64_t features() const override { return gpu::k_feature_edid; }
    [[nodiscard]] std::vector<uint16_t> queue_sizes() const override { return {256, 16}; }
    [[nodiscard]] std::vector<std::byte> config() const override;
    void config_written(uint32_t offset, std::span<const std::byte> data) override;
    void set_transport(VirtioTransport& transport) override { m_transport = &transport; }
    void activate(VirtioSession session) override;
    [[nodiscard]] bool active() const override { return m_active; }
    VirtioSession deactivate() override;
    void reset_state() override;
    void queue_notified(unsigned queue) override;
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;

    // ScreenSource
    void refresh(Canvas& canvas) override;
    std::optional<TextCells> text() override;
    bool suggest_size(ScreenSize size) override;

  private:
    struct Scanout {
        uint32_t resource = 0;  // 0: off
        gpu::Rect rect{};       // of the resource
    };
    [[nodiscard]] uint32_t answer(const VirtioChain& chain);
    [[nodiscard]] gpu::Response execute(const VirtioChain& chain, uint32_t command);
    [[nodiscard]] gpu::Response set_scanout(const gpu::SetScanout& command);
    [[nodiscard]] gpu::Response flush(const gpu::ResourceFlush& command);
    [[nodiscard]] gpu::Response attach(const VirtioChain& chain);
    [[nodiscard]] gpu::Response unref(uint32_t resource);
    [[nodiscard]] gpu::Response update_cursor(const gpu::UpdateCursor& command);
    [[nodiscard]] uint32_t put_display_info(const VirtioChain& chain, const gpu::Header& header);
    [[nodiscard]] uint32_t put_edid(const VirtioChain& chain, const gpu::Header& header);
    void refresh_scanout(Canvas& canvas);
    void draw(Canvas& canvas, Surface& surface, const gpu::Resource* resource, const ScreenRect& rect) const;

    GuestMemory& m_memory;
    ScreenSource* m_fallback = nullptr;
    VirtioTransport* m_transport = nullptr;
    VirtioSession m_session;
    bool m_active = false;

    gpu::Resources m_resources;
    Scanout m_scanout;
    bool m_has_taken_over = false;  // a scanout was set since the reset
    ScreenSize m_wanted;
    // What was wanted when the driver started; 0 x 0 before. Linux' console cannot grow beyond it and takes another mode of
    // the EDID then: this one, not 1024 x 768.
    ScreenSize m_first;
    uint32_t m_events = 0;
    CursorImage m_cursor;

    // What is new for the next refresh.
    Damage m_damage;
    bool m_whole = true;
    ScreenSize m_shown{640, 480};  // last
};

}  // namespace skep
