// Ids, digests and chance.
#pragma once

#include <string>
#include <string_view>

namespace runwire {

// A UUID of version 7 as 32 hex digits.
std::string new_id();

// A number drawn evenly from 0 to 1, of the system's generator: R's own is the user's.
double random_fraction();

// SHA-256 of bytes.
std::string sha256(std::string_view data);
std::string to_hex(std::string_view data);
std::string from_hex(std::string_view hex);

}  // namespace runwire
