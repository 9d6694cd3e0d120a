// SPDX-License-Identifier: GPL-3.0-or-later
// Virtio over PCI, modern only (Virtual I/O Device 1.2, section 4.1): one function for any VirtioDevice.
// A function that is something else besides derives from it.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "devices/pci/pci_function.hpp"
#include "devices/virtio/virtio_device.hpp"

namespace skep {

class VirtioPci : public PciFunction, private VirtioTransport {
  public:
    VirtioPci(DeviceContext& context, std::string name, PciAddress address, std::unique_ptr<VirtioDevice> device);

    void reset() override;
    void pause() override;
    void resume() override;
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;

    [[nodiscard]] VirtioDevice& device() { return *m_device; }

    static constexpr unsigned k_register_bar = 4;
    static constexpr unsigned k_msix_bar = 1;
    // Structures inside the register BAR.
    static constexpr uint32_t k_common_offset = 0x0000;
    static constexpr uint32_t k_isr_offset = 0x1000;
    static constexpr uint32_t k_device_offset = 0x2000;
    static constexpr uint32_t k_notify_offset = 0x3000;
    static constexpr uint32_t k_structure_size = 0x1000;
    static constexpr uint32_t k_notify_multiplier = 4;

  protected:
    uint64_t bar_read(unsigned bar, uint64_t offset, unsigned size) override;
    void bar_write(unsigned bar, uint64_t offset, unsigned size, uint64_t value) override;

  private:
    static constexpr uint16_t k_no_vector = 0xffff;
    struct QueueRegisters {
        uint16_t size = 0;
        uint16_t max_size = 0;
        uint16_t vector = k_no_vector;
        uint16_t enabled = 0;
        uint64_t descriptors = 0;
        uint64_t driver_area = 0;
        uint64_t device_area = 0;
    };

    // PciFunction
    void before_config_read(unsigned offset, unsigned size) override;
    void config_written(unsigned offset, unsigned size) override;
    // VirtioTransport
    IoGate& device_gate() override { return gate(); }
    void interrupt_queue(unsigned queue) override;
    void interrupt_config() override;
    void device_broken(const std::string& why) override;
    void device_idle() override;

    void declare_capabilities();
    void reset_device();
    [[nodiscard]] uint64_t common_read(uint32_t offset) const;
    void common_write(uint32_t offset, uint64_t value);
    void write_driver_features(uint32_t value);
    void queue_write(QueueRegisters& queue, uint32_t offset, uint64_t value);
    void write_status(uint8_t value);
    void write_features_ok();
    void activate_device();
    [[nodiscard]] VirtioSession make_session() const;
    uint64_t device_config_read(uint32_t offset, unsigned size) const;
    uint64_t isr_read();
    void notify(uint32_t offset);
    void raise(uint16_t vector, uint8_t isr_bit);
    [[nodiscard]] uint64_t offered_features() const;
    [[nodiscard]] bool is_pci_config_access(unsigned offset, unsigned size) const;

    std::unique_ptr<VirtioDevice> m_device;
    std::vector<QueueRegisters> m_queues;
    uint32_t m_device_feature_select = 0;
    uint32_t m_driver_feature_select = 0;
    uint64_t m_driver_features = 0;
    uint16_t m_config_vector = k_no_vector;
    uint8_t m_status = 0;
    uint8_t m_config_generation = 0;
    uint16_t m_queue_select = 0;
    uint8_t m_isr = 0;
    unsigned m_pci_config_cap = 0;  // where the PCI_CFG capability lies
    bool m_reset_waits = false;     // the driver wrote 0 while requests were in flight; the status reads 0 once they are done
    VirtioSession m_parked;         // the session while paused
    bool m_is_parked = false;
};

}  // namespace skep
