// SIGTERM ends the process as it always would, but what was logged is delivered before, or at least spooled.
#pragma once

namespace runwire {

class Terminable {
 public:
  virtual ~Terminable() = default;
  // Ends what is open, without waiting for anything. Both are called on a thread of their own.
  virtual void end_runs() = 0;
  // Delivers what there is within so many seconds, and ends.
  virtual void terminate(double patience) = 0;
};

// Adds somebody to be told of SIGTERM. Nothing changes where the program handles that signal itself.
void at_termination(Terminable* one);
void not_at_termination(Terminable* one);

}  // namespace runwire
