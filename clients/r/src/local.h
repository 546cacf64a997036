// Local mode: a folder is the address.
#pragma once

#include <string>

#include "channel.h"

namespace runwire {

// Finds the server of a folder that a server on this machine has open: the address to connect to. Throws a Problem if
// there is none, or it does not become known within `patience` seconds, and Interruption.
std::string find_local_server(const std::string& folder, double patience, const Interrupted& interrupted);

}  // namespace runwire
