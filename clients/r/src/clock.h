// The clock that waits are measured by.
#pragma once

#include <chrono>

namespace runwire {

using Clock = std::chrono::steady_clock;

// Seconds since then.
inline double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

}  // namespace runwire
