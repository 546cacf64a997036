// SIGTERM ends the process as it always would, but what was logged is delivered before, or at least spooled.
#pragma once

namespace runwire {

class Terminable {
 public:
  virtual ~Terminable() = default;
  // Does what there is to do within so many seconds, on a thread of its own.
  virtual void terminate(double patience) = 0;
};

// Adds somebody to be told of SIGTERM. Nothing changes where the program handles that signal itself.
void at_termination(Terminable* one);
void not_at_termination(Terminable* one);

}  // namespace runwire
