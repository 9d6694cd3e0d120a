// SPDX-License-Identifier: GPL-3.0-or-later
// The characters of code page 437 as Unicode (the Unicode Consortium's mapping, with the pictures of 0x01-0x1f).
#include <array>

#include "display/surface/screen.hpp"

namespace skep {
namespace {

constexpr std::u16string_view k_low = u" ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼";
constexpr std::u16string_view k_high =
    u"ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀"
    u"αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■ ";
static_assert(k_low.size() == 0x20 && k_high.size() == 0x80);

char16_t unicode_of(uint8_t character) {
    if (character < 0x20) {
        return k_low[character];
    }
    if (character == 0x7f) {
        return u'⌂';
    }
    return character < 0x7f ? static_cast<char16_t>(character) : k_high[character - 0x80U];
}

void append_utf8(std::string& to, char16_t code) {
    if (code < 0x80) {
        to += static_cast<char>(code);
    } else if (code < 0x800) {
        to += static_cast<char>(0xc0 | (code >> 6));
        to += static_cast<char>(0x80 | (code & 0x3f));
    } else {
        to += static_cast<char>(0xe0 | (code >> 12));
        to += static_cast<char>(0x80 | ((code >> 6) & 0x3f));
        to += static_cast<char>(0x80 | (code & 0x3f));
    }
}

}  // namespace

std::string TextCells::utf8() const {
    std::string text;
    for (uint32_t row = 0; row < rows; ++row) {
        std::string line;
        size_t used = 0;
        for (uint32_t column = 0; column < columns; ++column) {
            const uint8_t character = characters[size_t{row} * columns + column];
            append_utf8(line, unicode_of(character));
            if (character != ' ' && character != 0 && character != 0xff) {
                used = line.size();
            }
        }
        line.resize(used);
        text += line + '\n';
    }
    return text;
}

}  // namespace skep
