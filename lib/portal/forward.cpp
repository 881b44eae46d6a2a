#include "portal/forward.hpp"

namespace ubf::portal {

Result<Place, Refusal> parse_forward(std::string_view text) {
    if (text.size() > most_in_forward)
        return fail(malformed("The forward's file is too long."));
    if (text.ends_with('\n'))
        text.remove_suffix(1);
    auto place = parse_place(text);
    if (!place && place.error().reason == "malformed")
        return fail(malformed("The forward's file is not one line such as node7:8888."));
    return place;
}

bool keeps_files_apart(const struct stat& directory) {
    const bool others_write = (directory.st_mode & (S_IWGRP | S_IWOTH)) != 0;
    return S_ISDIR(directory.st_mode) && directory.st_uid == 0 &&
           (!others_write || (directory.st_mode & S_ISVTX) != 0);
}

// A second link: its owner may know nothing of this one.
bool is_sound_forward(const struct stat& file) {
    return S_ISREG(file.st_mode) && file.st_nlink == 1 &&
           (file.st_mode & (S_IWGRP | S_IWOTH)) == 0 &&
           file.st_size <= static_cast<off_t>(most_in_forward);
}

} // namespace ubf::portal
