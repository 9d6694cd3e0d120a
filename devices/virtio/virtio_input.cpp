// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/virtio/virtio_input.hpp"

#include <linux/input-event-codes.h>

#include <array>
#include <deque>
#include <initializer_list>
#include <mutex>

#include "devices/virtio/virtio_input_config.hpp"
#include "display/input/key_table.hpp"

namespace skep {
namespace {

constexpr uint16_t k_input_device_id = 18;
constexpr uint32_t k_class_keyboard = 0x090000;
constexpr uint32_t k_class_mouse = 0x090200;
constexpr unsigned k_event_queue = 0;
constexpr unsigned k_status_queue = 1;
constexpr uint16_t k_queue_size = 64;
// What the user can be ahead of a guest that does not look. Movements give way to keys and buttons.
constexpr size_t k_most_pending = 512;
constexpr size_t k_most_pending_for_movement = 64;

struct InputEvent {  // struct virtio_input_event
    uint16_t type = 0;
    uint16_t code = 0;
    uint32_t value = 0;
};
static_assert(sizeof(InputEvent) == 8);
constexpr InputEvent k_end_of_group{EV_SYN, SYN_REPORT, 0};

class VirtioInput : public VirtioDevice {
  public:
    explicit VirtioInput(GuestMemory& memory) : m_memory(memory) {}

    [[nodiscard]] uint16_t device_id() const final { return k_input_device_id; }
    [[nodiscard]] uint64_t features() const final { return 0; }
    [[nodiscard]] std::vector<uint16_t> queue_sizes() const final { return {k_queue_size, k_queue_size}; }
    [[nodiscard]] std::vector<std::byte> config() const final { return m_config.read(); }
    void config_written(uint32_t offset, std::span<const std::byte> data) final { m_config.write(offset, data); }
    void set_transport(VirtioTransport& transport) final { m_transport = &transport; }
    void activate(VirtioSession session) final {
        m_session = std::move(session);
        m_active = true;
    }
    [[nodiscard]] bool active() const final { return m_active; }
    VirtioSession deactivate() final {
        m_active = false;
        return std::move(m_session);
    }
    void queue_notified(unsigned queue) final;
    void save(StateWriter& writer) const final;
    void load(StateReader& reader) final;

  protected:
    enum class Urgency { movement, key };

    [[nodiscard]] IoGate& gate() const { return m_transport->device_gate(); }
    // One group of events, ended by SYN_REPORT. Gate held.
    void send(std::initializer_list<InputEvent> events, Urgency urgency);
    [[nodiscard]] bool driver_listens() const {
        const std::lock_guard lock(gate());
        return m_active && m_session.queues.size() > k_event_queue && m_session.queues[k_event_queue] != nullptr;
    }
    VirtioInputConfig& describe() { return m_config; }

    uint8_t m_buttons = 0;  // as last told; the keyboard has none

  private:
    void deliver();
    void take_status();
    void finish(Virtqueue& queue, unsigned index);

    GuestMemory& m_memory;
    VirtioTransport* m_transport = nullptr;
    VirtioSession m_session;
    bool m_active = false;
    VirtioInputConfig m_config;
    std::deque<InputEvent> m_pending;  // whole groups
};

void VirtioInput::send(std::initializer_list<InputEvent> events, Urgency urgency) {
    const size_t most = urgency == Urgency::movement ? k_most_pending_for_movement : k_most_pending;
    if (!m_active || events.size() == 0 || m_pending.size() + events.size() + 1 > most) {
        return;
    }
    m_pending.insert(m_pending.end(), events.begin(), events.end());
    m_pending.push_back(k_end_of_group);
    deliver();
}

void VirtioInput::queue_notified(unsigned queue) {
    if (queue >= m_session.queues.size() || m_session.queues[queue] == nullptr) {
        return;
    }
    if (queue == k_event_queue) {
        deliver();
    } else {
        take_status();
    }
}

// One buffer for each event (5.8.6.2).
void VirtioInput::deliver() {
    if (m_session.queues.empty() || m_session.queues[k_event_queue] == nullptr) {
        return;
    }
    Virtqueue& queue = *m_session.queues[k_event_queue];
    unsigned budget = 2U * queue.config().size;
    while (!m_pending.empty() && budget-- > 0) {
        const auto chain = queue.pop();
        if (!chain) {
            break;
        }
        const InputEvent event = m_pending.front();
        const bool written = chain->write(m_memory, 0, &event, sizeof event);
        queue.push(chain->head, written ? sizeof event : 0);
        m_pending.pop_front();
    }
    finish(queue, k_event_queue);
}

// The guest's wishes for the lamps: taken, not shown.
void VirtioInput::take_status() {
    Virtqueue& queue = *m_session.queues[k_status_queue];
    unsigned budget = 2U * queue.config().size;
    for (auto chain = queue.pop(); chain; chain = budget > 0 ? queue.pop() : std::nullopt) {
        queue.push(chain->head, 0);
        --budget;
    }
    finish(queue, k_status_queue);
}

void VirtioInput::finish(Virtqueue& queue, unsigned index) {
    if (queue.take_notification()) {
        m_transport->interrupt_queue(index);
    }
    if (!queue.problem().empty()) {
        m_transport->device_broken(queue.problem());
    }
}

void VirtioInput::save(StateWriter& writer) const {
    writer.section("virtio-input", 1);
    m_config.save(writer);
    writer.put(m_buttons);
    writer.put(static_cast<uint16_t>(m_pending.size()));
    for (const InputEvent& event : m_pending) {
        writer.put(event.type);
        writer.put(event.code);
        writer.put(event.value);
    }
}

void VirtioInput::load(StateReader& reader) {
    reader.section("virtio-input", 1);
    m_config.load(reader);
    reader.get(m_buttons);
    m_pending.clear();
    const auto count = reader.get<uint16_t>();
    if (count > k_most_pending) {
        reader.fail("more events wait than there is room for");
        return;
    }
    for (unsigned index = 0; index < count; ++index) {
        InputEvent event;
        reader.get(event.type);
        reader.get(event.code);
        reader.get(event.value);
        m_pending.push_back(event);
    }
}

class VirtioKeyboard final : public VirtioInput, public KeyboardSink {
  public:
    VirtioKeyboard(GuestMemory& memory, InputHub& hub) : VirtioInput(memory), m_hub(hub) {
        std::vector<uint16_t> keys;
        for (const KeyFacts& facts : key_table()) {
            keys.push_back(facts.key);
        }
        constexpr std::array<uint16_t, 3> k_lamps{LED_NUML, LED_CAPSL, LED_SCROLLL};
        constexpr std::array<uint16_t, 2> k_repetition{REP_DELAY, REP_PERIOD};  // the guest repeats held keys itself
        describe().set_name("Skep virtio keyboard");
        describe().set_product(1);
        describe().add_codes(EV_KEY, keys);
        describe().add_codes(EV_LED, k_lamps);
        describe().add_codes(EV_REP, k_repetition);
        hub.add(*this);
    }
    ~VirtioKeyboard() override { m_hub.remove(*this); }

    [[nodiscard]] uint32_t class_code() const override { return k_class_keyboard; }
    void key(KeyCode code, bool down) override {
        const std::lock_guard lock(gate());
        send({{EV_KEY, code, down ? 1U : 0U}}, Urgency::key);
    }
    [[nodiscard]] bool listening() const override { return driver_listens(); }

  private:
    InputHub& m_hub;
};

class VirtioTablet final : public VirtioInput, public PointerSink {
  public:
    VirtioTablet(GuestMemory& memory, InputHub& hub) : VirtioInput(memory), m_hub(hub) {
        constexpr std::array<uint16_t, 2> k_wheels{REL_HWHEEL, REL_WHEEL};
        std::vector<uint16_t> buttons;
        for (const auto& [bit, code] : k_buttons) {
            buttons.push_back(code);
        }
        describe().set_name("Skep virtio tablet");
        describe().set_product(2);
        describe().add_codes(EV_KEY, buttons);
        describe().add_codes(EV_REL, k_wheels);
        describe().add_axis(ABS_X, k_absolute_most);
        describe().add_axis(ABS_Y, k_absolute_most);
        hub.add(*this);
    }
    ~VirtioTablet() override { m_hub.remove(*this); }

    [[nodiscard]] uint32_t class_code() const override { return k_class_mouse; }
    [[nodiscard]] bool absolute() const override { return true; }
    [[nodiscard]] bool listening() const override { return driver_listens(); }
    void move_to(uint32_t x, uint32_t y, uint8_t buttons) override {
        const std::lock_guard lock(gate());
        // Before the button: it is pressed at the new place.
        send({{EV_ABS, ABS_X, x}, {EV_ABS, ABS_Y, y}}, buttons == m_buttons ? Urgency::movement : Urgency::key);
        for (const auto& [bit, code] : k_buttons) {
            if (((buttons ^ m_buttons) & bit) != 0) {
                send({{EV_KEY, code, (buttons & bit) != 0 ? 1U : 0U}}, Urgency::key);
            }
        }
        m_buttons = buttons;
    }
    void move_by(int32_t /*x*/, int32_t /*y*/, uint8_t /*buttons*/) override {}
    void wheel(int32_t vertical, int32_t horizontal, uint8_t /*buttons*/) override {
        const std::lock_guard lock(gate());
        if (vertical != 0) {
            send({{EV_REL, REL_WHEEL, static_cast<uint32_t>(-vertical)}}, Urgency::key);
        }
        if (horizontal != 0) {
            send({{EV_REL, REL_HWHEEL, static_cast<uint32_t>(horizontal)}}, Urgency::key);
        }
    }

  private:
    static constexpr std::array<std::pair<uint8_t, uint16_t>, 5> k_buttons{{{k_button_left, BTN_LEFT},
                                                                            {k_button_right, BTN_RIGHT},
                                                                            {k_button_middle, BTN_MIDDLE},
                                                                            {k_button_side, BTN_SIDE},
                                                                            {k_button_extra, BTN_EXTRA}}};
    InputHub& m_hub;
};

}  // namespace

std::unique_ptr<VirtioDevice> make_virtio_keyboard(GuestMemory& memory, InputHub& hub) {
    return std::make_unique<VirtioKeyboard>(memory, hub);
}

std::unique_ptr<VirtioDevice> make_virtio_tablet(GuestMemory& memory, InputHub& hub) {
    return std::make_unique<VirtioTablet>(memory, hub);
}

}  // namespace skep
