// SPDX-License-Identifier: GPL-3.0-or-later
// The proleptic Gregorian calendar over seconds since 1970-01-01 UTC.
#pragma once

#include <cstdint>

namespace skep {

struct CalendarTime {
    int year = 1970;
    unsigned month = 1;    // 1..12
    unsigned day = 1;      // 1..31
    unsigned weekday = 5;  // 1 = Sunday .. 7, as in the MC146818
    unsigned hour = 0;
    unsigned minute = 0;
    unsigned second = 0;
};

CalendarTime calendar_from_seconds(int64_t seconds);
// Out-of-range fields are carried over (month 13 is January of the next year). The weekday is not looked at.
int64_t seconds_from_calendar(const CalendarTime& time);

}  // namespace skep
