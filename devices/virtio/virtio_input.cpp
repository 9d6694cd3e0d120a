// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/virtio/virtio_input.hpp"

#include <linux/input-event-codes.h>

#include <algorithm>
#include <array>
#include <bitset>
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
constexpr uint16_t k_queue_size = 64;
constexpr uint16_t k_state_version = 2;
// How many events the user can be ahead of a guest that does not look. Movements give way to keys and buttons, and what
// was pressed is released however long the guest has slept: each key at most once.
constexpr size_t k_most_pending_for_movement = 64;
constexpr size_t k_most_pending_for_press = 512;
constexpr size_t k_most_pending = k_most_pending_for_press + 2 * k_key_codes;

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
    void reset_state() final {
        m_pending.clear();
        m_down.reset();
        m_config.reset();
    }
    void queue_notified(unsigned queue) final;
    void save(StateWriter& writer) const final;
    void load(StateReader& reader) final;

  protected:
    [[nodiscard]] IoGate& gate() const { return m_transport->device_gate(); }
    // One group of events, ended by SYN_REPORT; false: there was no room. Gate held, as for press().
    bool send(std::initializer_list<InputEvent> events, size_t most_pending);
    // A key or button: `bit` of what is down, told by `code`. The guest repeats held keys itself.
    void press(size_t bit, uint16_t code, bool down);
    [[nodiscard]] bool is_down(size_t bit) const { return m_down.test(bit); }
    [[nodiscard]] bool driver_listens() const {
        const std::lock_guard lock(gate());
        return m_active && m_session.queues.size() > k_event_queue && m_session.queues[k_event_queue] != nullptr;
    }
    VirtioInputConfig& describe() { return m_config; }

  private:
    void deliver();
    void deliver_to(Virtqueue& queue);

    GuestMemory& m_memory;
    VirtioTransport* m_transport = nullptr;
    VirtioSession m_session;
    bool m_active = false;
    VirtioInputConfig m_config;
    std::deque<InputEvent> m_pending;  // whole groups
    std::bitset<k_key_codes> m_down;   // as told to the guest: keys by their codes, buttons by the bits of PointerButton
};

bool VirtioInput::send(std::initializer_list<InputEvent> events, size_t most_pending) {
    if (!m_active || m_pending.size() + events.size() + 1 > most_pending) {
        return false;
    }
    m_pending.insert(m_pending.end(), events.begin(), events.end());
    m_pending.push_back(k_end_of_group);
    deliver();
    return true;
}

void VirtioInput::press(size_t bit, uint16_t code, bool down) {
    if (m_down.test(bit) != down && send({{EV_KEY, code, down ? 1U : 0U}}, down ? k_most_pending_for_press : k_most_pending)) {
        m_down.set(bit, down);
    }
}

void VirtioInput::queue_notified(unsigned queue) {
    if (queue == k_event_queue) {
        deliver();
    } else {
        // The guest's wishes for the lamps: taken, not shown.
        answer_chains(m_session, *m_transport, queue, [](const VirtioChain&) { return 0U; });
    }
}

void VirtioInput::deliver() {
    if (m_session.queues.empty() || m_session.queues[k_event_queue] == nullptr) {
        return;
    }
    Virtqueue& queue = *m_session.queues[k_event_queue];
    unsigned budget = 2U * queue.config().size;
    do {
        deliver_to(queue);
    } while (!m_pending.empty() && queue.enable_notifications() && --budget > 0);  // more buffers are worth a notification
    if (queue.take_notification()) {
        m_transport->interrupt_queue(k_event_queue);
    }
    if (!queue.problem().empty()) {
        m_transport->device_broken(queue.problem());
    }
}

// One buffer for each event (5.8.6.2).
void VirtioInput::deliver_to(Virtqueue& queue) {
    while (!m_pending.empty()) {
        const auto chain = queue.pop();
        if (!chain) {
            return;
        }
        const InputEvent event = m_pending.front();
        const bool written = chain->write(m_memory, 0, &event, sizeof event);
        queue.push(chain->head, written ? sizeof event : 0);
        m_pending.pop_front();
    }
}

void VirtioInput::save(StateWriter& writer) const {
    writer.section("virtio-input", k_state_version);
    m_config.save(writer);
    for (size_t bit = 0; bit < m_down.size(); bit += 8) {
        uint8_t byte = 0;
        for (size_t i = 0; i < 8; ++i) {
            byte |= static_cast<uint8_t>(m_down.test(bit + i) ? 1U << i : 0U);
        }
        writer.put(byte);
    }
    writer.put(static_cast<uint16_t>(m_pending.size()));
    for (const InputEvent& event : m_pending) {
        writer.put(event.type);
        writer.put(event.code);
        writer.put(event.value);
    }
}

void VirtioInput::load(StateReader& reader) {
    const bool tells_what_is_down = reader.section("virtio-input", k_state_version) >= 2;
    m_config.load(reader);
    m_down.reset();
    for (size_t bit = 0; bit < (tells_what_is_down ? m_down.size() : 8); bit += 8) {
        const auto byte = reader.get<uint8_t>();
        for (size_t i = 0; i < 8; ++i) {
            m_down.set(bit + i, (byte >> i & 1) != 0);
        }
    }
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
        if (code < k_key_codes) {
            press(code, code, down);
        }
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
        for (const Button& button : k_buttons) {
            buttons.push_back(button.code);
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
        const bool only_moves = std::ranges::all_of(
            k_buttons, [&](const Button& button) { return is_down(button.bit) == ((buttons >> button.bit & 1) != 0); });
        // Before the button: it is pressed at the new place.
        send({{EV_ABS, ABS_X, x}, {EV_ABS, ABS_Y, y}}, only_moves ? k_most_pending_for_movement : k_most_pending_for_press);
        for (const Button& button : k_buttons) {
            press(button.bit, button.code, (buttons >> button.bit & 1) != 0);
        }
    }
    void move_by(int32_t /*x*/, int32_t /*y*/, uint8_t /*buttons*/) override {}
    void wheel(int32_t vertical, int32_t horizontal, uint8_t /*buttons*/) override {
        const std::lock_guard lock(gate());
        if (vertical != 0) {
            send({{EV_REL, REL_WHEEL, static_cast<uint32_t>(-vertical)}}, k_most_pending_for_press);
        }
        if (horizontal != 0) {
            send({{EV_REL, REL_HWHEEL, static_cast<uint32_t>(horizontal)}}, k_most_pending_for_press);
        }
    }

  private:
    struct Button {
        unsigned bit;  // of PointerButton
        uint16_t code;
    };
    static constexpr std::array<Button, 5> k_buttons{
        {{0, BTN_LEFT}, {1, BTN_RIGHT}, {2, BTN_MIDDLE}, {3, BTN_SIDE}, {4, BTN_EXTRA}}};
    static_assert(k_button_left == 1 << 0 && k_button_right == 1 << 1 && k_button_middle == 1 << 2 && k_button_side == 1 << 3 &&
                  k_button_extra == 1 << 4);
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
