#include "table.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ubf::ctl {
namespace {

std::string heading_of(const Column& column) {
    std::string heading(column.name);
    std::ranges::transform(heading, heading.begin(), [](char c) {
        return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    });
    return heading;
}

std::string line_of(std::span<const Column> columns, const std::vector<std::size_t>& widths,
                    const std::vector<std::string>& cells) {
    std::string line;
    for (std::size_t i = 0; i < columns.size(); ++i)
        line += columns[i].is_number ? fmt::format("{:>{}}  ", cells[i], widths[i])
                                     : fmt::format("{:<{}}  ", cells[i], widths[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    return line;
}

} // namespace

std::vector<Column> choose(std::string_view command, std::span<const Column> all,
                           std::string_view list) {
    std::vector<Column> chosen;
    const bool adds = list.starts_with('+');
    if (adds)
        list.remove_prefix(1);
    if (adds || list.empty())
        std::ranges::copy_if(all, std::back_inserter(chosen), &Column::is_usual);
    while (!list.empty()) {
        const auto name = split(list, ',');
        const auto found = std::ranges::find(all, name, &Column::name);
        if (found == all.end()) {
            std::vector<std::string_view> names;
            for (const auto& column : all)
                names.push_back(column.name);
            throw UsageError(fmt::format("{}: there is no column '{}'; there are {}", command, name,
                                         fmt::join(names, ", ")));
        }
        chosen.push_back(*found);
    }
    return chosen;
}

std::string to_table(std::span<const Column> columns, const std::vector<Json>& rows,
                     const TableLook& look) {
    std::vector<std::vector<std::string>> lines;
    if (look.headings) {
        auto& headings = lines.emplace_back();
        for (const auto& column : columns)
            headings.push_back(heading_of(column));
    }
    for (const auto& row : rows) {
        auto& cells = lines.emplace_back();
        for (const auto& column : columns) {
            auto text = column.text(row);
            cells.push_back(text.empty() ? "-" : std::move(text));
        }
    }
    std::vector<std::size_t> widths(columns.size());
    for (const auto& cells : lines)
        for (std::size_t i = 0; i < cells.size(); ++i)
            widths[i] = std::max(widths[i], cells[i].size());
    std::string text;
    for (std::size_t i = 0; i < lines.size(); ++i) {
        const bool is_heading = look.headings && i == 0;
        const auto ink = is_heading ? Ink::heading
                         : look.ink ? look.ink(rows[i - (look.headings ? 1 : 0)])
                                    : Ink::plain;
        text += look.paint(ink, line_of(columns, widths, lines[i])) + '\n';
    }
    return text;
}

} // namespace ubf::ctl
