// What R holds of C++'s, behind external pointers.
#pragma once

#include <pthread.h>

#include <memory>

#include "channel.h"
#include "r.h"

namespace runwire {

// How many forks lie between this process and the one that loaded the package. A point is too cheap to ask the system.
inline int generation = 0;

// Has forks counted from now on.
inline void count_forks() {
  static const int counted = pthread_atfork(nullptr, nullptr, [] { generation++; });
  static_cast<void>(counted);
}

// A process forked from one that uses gRPC must not touch it: its threads are not there.
struct Owned {
  Owned() { count_forks(); }
  int made = generation;
  bool here() const { return generation == made; }
};

// A finaliser in a forked child leaves alone what is the parent's.
template <typename Held>
void let_go(Held* held) {
  if (held->here()) delete held;
}

inline Problem forked() {
  return Problem("forked",
                 "this process was forked (as by parallel::mclapply) from one that uses Runwire, and gRPC does not go "
                 "on behind a fork: connect in each worker of parallel::makePSOCKcluster instead, or log in the parent");
}

// Throws where a parent of this process has used gRPC, whose threads and locks are the process's and not a client's.
inline void claim_process() {
  count_forks();
  static const int first = generation;
  if (generation != first) throw forked();
}

template <typename Held>
Held& held_by(SEXP pointer) {
  if (TYPEOF(pointer) != EXTPTRSXP || R_ExternalPtrAddr(pointer) == nullptr) {
    throw Problem("state", "the client is closed");
  }
  Held& found = *static_cast<Held*>(R_ExternalPtrAddr(pointer));
  if (!found.here()) throw forked();
  return found;
}

// Lets go of what a value holds now, and not when R collects it.
template <typename Held>
void release(SEXP pointer) {
  auto* mine = static_cast<Held*>(R_ExternalPtrAddr(pointer));
  R_ClearExternalPtr(pointer);
  if (mine != nullptr) let_go(mine);
}

template <typename Held>
SEXP hold(std::unique_ptr<Held> held) {
  Kept found(R_MakeExternalPtr(held.release(), R_NilValue, R_NilValue));
  R_RegisterCFinalizerEx(found, release<Held>, FALSE);
  return found;
}

template <typename Body>
SEXP interruptible(Body body) {
  try {
    return guarded(body);
  } catch (const Interruption&) {
    go_on_jumping();
  }
}

}  // namespace runwire
