// Takes the reports of the gate's parts. The log writes them; tests look at them.
#pragma once

#include "daemon/log/denial.hpp"

#include <string>

namespace ubf {

class Reporter {
  public:
    virtual ~Reporter() = default;

    virtual void warning(std::string text) = 0;
    virtual void denial(Denial denial) = 0;
};

} // namespace ubf
