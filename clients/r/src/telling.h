// Words for people: on stderr, and for what could not be delivered.
#pragma once

#include <cstdint>
#include <string>

#include "delivery.h"

namespace runwire {

// Words for a person, of the background threads: they can not speak on R's console, and write to stderr.
void say(const std::string& text);

// A number with one decimal.
std::string with_decimals(double number);

// A number of things, such as "1 frame".
std::string counted(uint64_t count, const std::string& what);

// A text with each run of white space as one space.
std::string on_one_line(const std::string& text);

// What there is that was not delivered.
struct Left {
  // So many frames in the spool,
  int64_t frames;
  // which is there,
  std::string where;
  // and takes nothing more for this reason; empty if it does.
  std::string stuck;
};

// How a flush fails: offline on a spool that takes nothing more, or too late; online too late, and maybe without a server.
Failure stuck(const Left& left);
Failure unwritten(const Left& left, double waited);
Failure undelivered(const Left& left, const std::string& address, double waited, const std::optional<Failure>& away);

// What became of a writer that is over, in a sentence.
std::string told(const Lane& lane);

// What a call of the user's would have failed with, had it been refused as the first rejection was.
Failure rejected(const Rejection& first, const std::string& message);

}  // namespace runwire
