// Tables for people, with columns that they choose. No I/O.
#pragma once

#include "client.hpp"
#include "screen.hpp"

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ubf::ctl {

struct Column {
    std::string_view name; // its heading is the same in capitals
    std::string_view help;
    std::string (*text)(const Json& row);
    bool is_number = false;
    bool is_usual = true; // it is shown unless others are chosen
};

// The columns of a list like "flow,age", or with "+label" the usual ones and that. Empty: the usual
// ones. Throws UsageError.
std::vector<Column> choose(std::string_view command, std::span<const Column> all,
                           std::string_view list);

struct TableLook {
    bool headings = true;
    Paint paint{false};
    std::function<Ink(const Json& row)> ink{}; // of a row; none: all are plain
};

// An empty cell is a dash.
std::string to_table(std::span<const Column> columns, const std::vector<Json>& rows,
                     const TableLook& look);

} // namespace ubf::ctl
