// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>

#include "devices/board/i8042.hpp"
#include "display/input/key_table.hpp"
#include "display/input/scan_codes.hpp"
#include "tests/devices/board/board_fixture.hpp"

namespace skep::test {
namespace {

using Bytes = std::vector<unsigned>;

class I8042Test : public testing::Test, public BoardFixture {
  protected:
    I8042Test() { init_pics(); }
    Bytes drain() {
        Bytes bytes;
        while ((in(0x64) & 1) != 0 && bytes.size() < 1000) {
            bytes.push_back(in(0x60));
        }
        return bytes;
    }
    void command(unsigned value) { out(0x64, value); }
    Bytes keyboard(std::initializer_list<unsigned> bytes) {
        for (const unsigned byte : bytes) {
            out(0x60, byte);
        }
        return drain();
    }
    Bytes mouse(std::initializer_list<unsigned> bytes) {
        for (const unsigned byte : bytes) {
            command(0xd4);
            out(0x60, byte);
        }
        return drain();
    }
    void configure(unsigned value) {
        command(0x60);
        out(0x60, value);
    }
    void press(std::initializer_list<uint8_t> set1) { board.key(std::span(set1.begin(), set1.size())); }
    Bytes typed(std::initializer_list<uint8_t> set1) {
        press(set1);
        return drain();
    }
};

TEST_F(I8042Test, self_tests_pass) {
    command(0xaa);
    EXPECT_EQ(drain(), (Bytes{0x55}));
    command(0xab);
    EXPECT_EQ(drain(), (Bytes{0x00}));
    command(0xa9);
    EXPECT_EQ(drain(), (Bytes{0x00}));
    EXPECT_EQ(in(0x64) & 0x05, 0x04);
}

// Every key, as Linux' atkbd sees it: make and break of set 1 through the translation of the controller.
TEST_F(I8042Test, every_key_of_the_table_arrives_as_its_scan_code) {
    configure(0x41);
    for (const KeyFacts& facts : key_table()) {
        for (const bool down : {true, false}) {
            const Set1Bytes expected = set1_of_key(facts.key, down);
            board.keyboard_controller().key(facts.key, down);
            EXPECT_EQ(drain(), Bytes(expected.span().begin(), expected.span().end())) << facts.name << " " << down;
        }
    }
}

TEST_F(I8042Test, sysrq_and_break_have_codes_of_their_own) {
    configure(0x41);
    EXPECT_EQ(typed({0x38, 0xe0, 0x37, 0xe0, 0xb7, 0xb8}), (Bytes{0x38, 0x54, 0xd4, 0xb8}));
    EXPECT_EQ(typed({0xe0, 0x37, 0x38, 0xe0, 0xb7, 0xb8}), (Bytes{0xe0, 0x37, 0x38, 0xe0, 0xb7, 0xb8})) << "as it was pressed";
    const Bytes pause{0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5};
    EXPECT_EQ(typed({0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5}), pause);
    EXPECT_EQ(typed({0xe0, 0x1d, 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5, 0xe0, 0x9d}),
              (Bytes{0xe0, 0x1d, 0xe0, 0x46, 0xe0, 0xc6, 0xe0, 0x9d}));
    EXPECT_EQ(typed({0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5}), pause) << "Pause itself does not hold Control";
}

TEST_F(I8042Test, mouse_as_pointer_reports_movement_buttons_and_wheel) {
    mouse({0xf3, 200, 0xf3, 100, 0xf3, 80, 0xf4});
    PointerSink& pointer = board.keyboard_controller();
    EXPECT_FALSE(pointer.absolute());
    pointer.move_by(3, 2, k_button_left);
    EXPECT_EQ(drain(), (Bytes{0x29, 3, 0xfe, 0}));
    pointer.wheel(1, 0, 0);
    EXPECT_EQ(drain(), (Bytes{0x08, 0, 0, 1}));
}

TEST_F(I8042Test, configuration_reads_back_and_disables_interfaces) {
    configure(0x30);
    command(0x20);
    EXPECT_EQ(drain(), (Bytes{0x30}));
    press({0x1e});
    EXPECT_EQ(in(0x64) & 1, 0);
    command(0xae);
    EXPECT_EQ(drain(), (Bytes{0x1c}));  // untranslated set 2
}

TEST_F(I8042Test, keyboard_answers_reset_identify_and_echo) {
    configure(0x00);
    EXPECT_EQ(keyboard({0xff}), (Bytes{0xfa, 0xaa}));
    EXPECT_EQ(keyboard({0xf2}), (Bytes{0xfa, 0xab, 0x83}));
    EXPECT_EQ(keyboard({0xee}), (Bytes{0xee}));
    EXPECT_EQ(keyboard({0xfe}), (Bytes{0xee}));
    EXPECT_EQ(keyboard({0xf3, 0x00}), (Bytes{0xfa, 0xfa}));
    EXPECT_EQ(keyboard({0x12}), (Bytes{0xfe}));
    EXPECT_EQ(keyboard({0xed, 0x02}), (Bytes{0xfa, 0xfa}));
    EXPECT_EQ(board.keyboard_controller().leds(), 2);
    configure(0x40);
    EXPECT_EQ(keyboard({0xf2}), (Bytes{0xfa, 0xab, 0x41}));  // translated
}

TEST_F(I8042Test, keys_come_in_set_1_when_translated_and_in_sets_2_1_and_3_when_not) {
    EXPECT_EQ(typed({0x1e, 0x9e}), (Bytes{0x1e, 0x9e}));
    EXPECT_EQ(typed({0xe0, 0x48, 0xe0, 0xc8}), (Bytes{0xe0, 0x48, 0xe0, 0xc8}));
    EXPECT_EQ(typed({0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5}), (Bytes{0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5}));
    configure(0x00);
    EXPECT_EQ(typed({0x1e, 0x9e}), (Bytes{0x1c, 0xf0, 0x1c}));
    EXPECT_EQ(typed({0xe0, 0x48, 0xe0, 0xc8}), (Bytes{0xe0, 0x75, 0xe0, 0xf0, 0x75}));
    EXPECT_EQ(typed({0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5}), (Bytes{0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77}));
    EXPECT_EQ(keyboard({0xf0, 0x01}), (Bytes{0xfa, 0xfa}));
    EXPECT_EQ(typed({0x41, 0xc1}), (Bytes{0x41, 0xc1}));
    EXPECT_EQ(keyboard({0xf0, 0x03}), (Bytes{0xfa, 0xfa}));
    EXPECT_EQ(keyboard({0xf0, 0x00}), (Bytes{0xfa, 0xfa, 0x03}));
    EXPECT_EQ(typed({0x3b, 0xbb, 0xe0, 0x48}), (Bytes{0x07, 0xf0, 0x07, 0x63}));
    EXPECT_EQ(keyboard({0xf0, 0x04}), (Bytes{0xfa, 0xfe}));
}

TEST_F(I8042Test, every_set_1_key_survives_the_way_through_set_2) {
    for (unsigned make = 1; make < 0x59; ++make) {
        if (make == 0x55) {
            continue;  // no key of a PC has it
        }
        const auto code = static_cast<uint8_t>(make);
        const auto release = static_cast<uint8_t>(make | 0x80);
        EXPECT_EQ(typed({code, release}), (Bytes{make, make | 0x80}));
    }
}

TEST_F(I8042Test, each_key_is_an_irq1_edge) {
    press({0x1e, 0x9e});
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x21);
    out(0x20, 0x20);
    EXPECT_FALSE(apic().interrupt_pending());
    EXPECT_EQ(in(0x60), 0x1e);
    ASSERT_TRUE(apic().interrupt_pending());  // the release follows
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x21);
    out(0x20, 0x20);
    EXPECT_EQ(in(0x60), 0x9e);
    EXPECT_FALSE(apic().interrupt_pending());
    EXPECT_EQ(in(0x60), 0x9e);  // the buffer keeps its last byte
}

TEST_F(I8042Test, answers_overtake_typed_keys_and_disabling_drops_them) {
    press({0x1e, 0x1f});
    EXPECT_EQ(keyboard({0xee}), (Bytes{0x1e, 0xee, 0x1f}));
    EXPECT_EQ(keyboard({0xf5}), (Bytes{0xfa}));
    EXPECT_EQ(typed({0x1e}), (Bytes{}));
    EXPECT_EQ(keyboard({0xf4}), (Bytes{0xfa}));
    EXPECT_EQ(typed({0x1e}), (Bytes{0x1e}));
}

TEST_F(I8042Test, keys_beyond_the_queue_are_dropped_whole) {
    for (unsigned count = 0; count < 500; ++count) {
        press({0xe0, 0x48, 0xe0, 0xc8});
    }
    const Bytes bytes = drain();
    EXPECT_GE(bytes.size(), 100U);
    EXPECT_LE(bytes.size(), 300U);
    for (size_t index = 0; index + 1 < bytes.size(); index += 2) {
        EXPECT_EQ(bytes[index], 0xe0U);
        EXPECT_EQ(bytes[index + 1] & 0x7f, 0x48U);
    }
}

TEST_F(I8042Test, key_held_while_the_guest_does_not_look_is_released) {
    for (unsigned repeat = 0; repeat < 500; ++repeat) {
        press({0x1e});
    }
    press({0x9e});
    EXPECT_EQ(drain().back(), 0x9eU);
}

TEST_F(I8042Test, mouse_answers_and_reports_movement_on_irq12) {
    EXPECT_EQ(mouse({0xff}), (Bytes{0xfa, 0xaa, 0x00}));
    EXPECT_EQ(mouse({0xf2}), (Bytes{0xfa, 0x00}));
    EXPECT_EQ(mouse({0xe9}), (Bytes{0xfa, 0x00, 0x02, 100}));
    while (apic().interrupt_pending()) {
        apic().acknowledge_interrupt();
        out(0xa0, 0x20);
        out(0x20, 0x20);
    }
    board.keyboard_controller().move_mouse(5, 5, 0, 0);
    EXPECT_EQ(drain(), (Bytes{}));  // reporting is off
    EXPECT_EQ(mouse({0xf6, 0xf4}), (Bytes{0xfa, 0xfa}));
    while (apic().interrupt_pending()) {
        apic().acknowledge_interrupt();
        out(0xa0, 0x20);
        out(0x20, 0x20);
    }
    board.keyboard_controller().move_mouse(3, 2, 0, Ps2Mouse::k_left);
    EXPECT_EQ(in(0x64) & 0x21, 0x21);
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x2c);
    EXPECT_EQ(drain(), (Bytes{0x29, 0x03, 0xfe}));
}

TEST_F(I8042Test, mouse_knock_switches_the_wheel_and_the_side_buttons_on) {
    EXPECT_EQ(mouse({0xf3, 200, 0xf3, 100, 0xf3, 80}).size(), 6U);
    EXPECT_EQ(mouse({0xf2}), (Bytes{0xfa, 0x03}));
    EXPECT_EQ(mouse({0xf4}), (Bytes{0xfa}));
    board.keyboard_controller().move_mouse(0, 0, -1, 0);
    EXPECT_EQ(drain(), (Bytes{0x08, 0x00, 0x00, 0xff}));
    EXPECT_EQ(mouse({0xf3, 200, 0xf3, 200, 0xf3, 80}).size(), 6U);
    EXPECT_EQ(mouse({0xf2}), (Bytes{0xfa, 0x04}));
    board.keyboard_controller().move_mouse(0, 0, 1, Ps2Mouse::k_side);
    EXPECT_EQ(drain(), (Bytes{0x08, 0x00, 0x00, 0x11}));
}

TEST_F(I8042Test, long_mouse_movement_is_split_into_packets) {
    EXPECT_EQ(mouse({0xf4}), (Bytes{0xfa}));
    board.keyboard_controller().move_mouse(-300, 0, 0, 0);
    EXPECT_EQ(drain(), (Bytes{0x18, 0x01, 0x00, 0x18, 0xd3, 0x00}));
}

// Saved between two bytes of everything that takes two: a command, a key's code, a movement, a knock.
TEST_F(I8042Test, saved_in_mid_work_it_goes_on_in_another_machine) {
    configure(0x03);  // both interrupts, no translation
    EXPECT_EQ(mouse({0xf3, 200, 0xf3, 100, 0xf3}).size(), 5U);  // the knock lacks its last rate
    press({0xe0, 0x48});
    EXPECT_EQ(in(0x60), 0xe0);  // of the code E0 75
    command(0xd4);              // the next byte is the mouse's

    StateWriter writer;
    board.keyboard_controller().save(writer);
    BoardFixture other;
    StateReader reader(writer.bytes());
    other.board.keyboard_controller().load(reader);
    ASSERT_TRUE(reader.ok() && reader.at_end());

    other.out(0x60, 80);
    Bytes bytes;
    while ((other.in(0x64) & 1) != 0 && bytes.size() < 1000) {
        bytes.push_back(other.in(0x60));
    }
    EXPECT_THAT(bytes, testing::UnorderedElementsAre(0x75U, 0xfaU));
    other.out(0x64, 0xd4);
    other.out(0x60, 0xf2);
    EXPECT_EQ(other.in(0x60), 0xfaU);
    EXPECT_EQ(other.in(0x60), 0x03U) << "the knock was heard: a wheel mouse";
    other.out(0x64, 0x20);
    EXPECT_EQ(other.in(0x60), 0x03U) << "the configuration";
    StateWriter again;
    board.keyboard_controller().save(again);
    EXPECT_EQ(again.bytes(), writer.bytes()) << "saving changes nothing";
}

TEST_F(I8042Test, output_port_shows_a20_and_resets) {
    command(0xd0);
    EXPECT_EQ(drain()[0] & 0x03, 0x03U);
    command(0xd1);
    out(0x60, 0xdf);
    EXPECT_TRUE(machine.requests.requests.empty());
    command(0xfe);
    ASSERT_EQ(machine.requests.requests.size(), 1U);
    EXPECT_EQ(machine.requests.requests[0].what, MachineRequest::reset);
    command(0xd2);
    out(0x60, 0x77);
    EXPECT_EQ(in(0x64) & 0x21, 0x01);
    EXPECT_EQ(in(0x60), 0x77);
    command(0xd3);
    out(0x60, 0x78);
    EXPECT_EQ(in(0x64) & 0x21, 0x21);
    EXPECT_EQ(in(0x60), 0x78);
}

}  // namespace
}  // namespace skep::test
