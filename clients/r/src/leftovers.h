// Finds what dead processes left undelivered, and offers it.
#pragma once

#include <string>
#include <vector>

namespace runwire {

// Spools below a folder, or the folder itself if it is one; the oldest first. Other folders are not touched. Throws a
// Problem if the folder is missing.
std::vector<std::string> find_spools(const std::string& folder);

// Looks for spools that nobody writes, and removes those that hold nothing. Returns what to tell the user; empty if
// there is nothing.
std::string offer(const std::string& root);

}  // namespace runwire
