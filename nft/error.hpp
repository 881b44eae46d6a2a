// Errors of nf_tables, explained.
#pragma once

#include <stdexcept>
#include <string>

namespace ubf::nft {

class NftError : public std::runtime_error {
  public:
    explicit NftError(const std::string& what, int code = 0)
      : std::runtime_error(what)
      , code_(code) {}
    int code() const { return code_; } // an errno, or 0

  private:
    int code_;
};

// "WHAT: reason and remedy". modules: those whose absence can be the reason.
NftError explained(const std::string& what, int error, const std::string& modules = "nf_tables");

} // namespace ubf::nft
