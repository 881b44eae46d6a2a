// Replaces a file as a whole: no reader, and no crash of ours, sees half of it.
#pragma once

#include <filesystem>
#include <string_view>
#include <system_error>

namespace ubf {

// Whether the text must outlive a crash of the machine.
enum class Durable : bool { no, yes };

// Writes a new file beside it, of mode 0600, and renames that. The error is that of the step which
// failed; the old file stays then.
std::error_code replace_file(const std::filesystem::path& file, std::string_view text,
                             Durable durable);

} // namespace ubf
