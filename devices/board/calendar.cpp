// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/board/calendar.hpp"

namespace skep {
namespace {

constexpr int64_t k_day = 86'400;
constexpr int64_t k_days_of_era = 146'097;  // 400 years
constexpr int64_t k_days_from_march_0_to_1970 = 719'468;

int64_t floor_divide(int64_t value, int64_t by) {
    return value / by - (value % by < 0 ? 1 : 0);
}

// Years counted from 1 March, so that the leap day is the last of its year.
int64_t days_from_civil(int64_t year, int64_t month, int64_t day) {
    const int64_t months = year * 12 + (month - 1) - 2;
    const int64_t march_year = floor_divide(months, 12);
    const int64_t march_month = months - march_year * 12;
    const int64_t era = floor_divide(march_year, 400);
    const int64_t year_of_era = march_year - era * 400;
    const int64_t day_of_year = (153 * march_month + 2) / 5 + day - 1;
    return era * k_days_of_era + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           k_days_from_march_0_to_1970;
}

}  // namespace

CalendarTime calendar_from_seconds(int64_t seconds) {
    const int64_t days = floor_divide(seconds, k_day);
    const int64_t of_day = seconds - days * k_day;
    const int64_t shifted = days + k_days_from_march_0_to_1970;
    const int64_t era = floor_divide(shifted, k_days_of_era);
    const int64_t day_of_era = shifted - era * k_days_of_era;
    const int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
    const int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t march_month = (5 * day_of_year + 2) / 153;
    CalendarTime time;
    time.day = static_cast<unsigned>(day_of_year - (153 * march_month + 2) / 5 + 1);
    time.month = static_cast<unsigned>(march_month < 10 ? march_month + 3 : march_month - 9);
    time.year = static_cast<int>(era * 400 + year_of_era + (time.month <= 2 ? 1 : 0));
    time.weekday = static_cast<unsigned>(days + 4 - floor_divide(days + 4, 7) * 7 + 1);
    time.hour = static_cast<unsigned>(of_day / 3600);
    time.minute = static_cast<unsigned>(of_day / 60 % 60);
    time.second = static_cast<unsigned>(of_day % 60);
    return time;
}

int64_t seconds_from_calendar(const CalendarTime& time) {
    const int64_t days = days_from_civil(time.year, time.month, time.day);
    return days * k_day + int64_t{time.hour} * 3600 + int64_t{time.minute} * 60 + time.second;
}

}  // namespace skep
