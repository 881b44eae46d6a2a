#include "nft/ruleset.hpp"
#include "command.hpp"
#include "nft/text.hpp"

#include <iostream>

namespace ubf::ctl {

int ruleset(const Globals&, const Arguments& arguments) {
    const auto config = load_config(file_argument(arguments, default_config));
    std::cout << nft::to_text(nft::make_ruleset(config, nft::read_environment(config)));
    return 0;
}

} // namespace ubf::ctl
