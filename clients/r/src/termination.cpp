#include "termination.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <set>
#include <thread>

#include "clock.h"
#include "signals.h"

namespace runwire {

namespace {

// How long SIGTERM may be held up: who sends it kills soon after.
constexpr double kPatience = 5;
constexpr char kTerminate = 't', kStop = 's';

// A signal is for the process, and so is what it is dealt with by.
struct Watch {
  std::mutex mutex;
  std::set<Terminable*> told;
  std::thread thread;
  bool hooked = false;
};

Watch& watch() {
  // Never destroyed: the thread may wait still when the process ends.
  static Watch* found = new Watch;
  return *found;
}

// What the handler may look at.
volatile pid_t owner = 0;
volatile int writing_end = -1;
int reading_end = -1;

void end_as_always() {
  signal(SIGTERM, SIG_DFL);
  kill(getpid(), SIGTERM);
}

extern "C" void on_termination(int) {
  int before = errno;
  // A forked child has no thread that would read this.
  if (getpid() != owner || write(writing_end, &kTerminate, 1) != 1) end_as_always();
  errno = before;
}

// The process ends, whatever happens: what one client can not do must not keep the others from it.
template <typename Body>
void unless_it_fails(Body body) {
  try {
    body();
  } catch (...) {
  }
}

void wait_for_termination() {
  char found = 0;
  while (read(reading_end, &found, 1) < 0 && errno == EINTR) {
  }
  if (found != kTerminate) return;
  {
    std::lock_guard<std::mutex> lock(watch().mutex);
    auto start = Clock::now();
    // All of them first: one whose server is away may take all the time there is.
    for (Terminable* one : watch().told) unless_it_fails([&] { one->end_runs(); });
    for (Terminable* one : watch().told) {
      unless_it_fails([&] { one->terminate(std::max(0.0, kPatience - since(start))); });
    }
  }
  end_as_always();
}

bool is_free() {
  struct sigaction found;
  return sigaction(SIGTERM, nullptr, &found) == 0 && found.sa_handler == SIG_DFL;
}

// Takes the signal, if nobody else has it. Signals are blocked in the thread, being for R's own.
bool hook(Watch& it) {
  int ends[2];
  if (!is_free() || pipe2(ends, O_CLOEXEC) != 0) return false;
  reading_end = ends[0];
  writing_end = ends[1];
  owner = getpid();
  {
    SignalsBlocked blocked;
    it.thread = std::thread(wait_for_termination);
  }
  struct sigaction action = {};
  action.sa_handler = on_termination;
  action.sa_flags = SA_RESTART;
  sigaction(SIGTERM, &action, nullptr);
  return true;
}

void unhook(Watch& it) {
  struct sigaction found;
  if (sigaction(SIGTERM, nullptr, &found) == 0 && found.sa_handler == on_termination) signal(SIGTERM, SIG_DFL);
  if (write(writing_end, &kStop, 1) == 1) it.thread.join();
  close(reading_end);
  close(writing_end);
}

}  // namespace

void at_termination(Terminable* one) {
  Watch& it = watch();
  std::lock_guard<std::mutex> lock(it.mutex);
  it.told.insert(one);
  if (!it.hooked) it.hooked = hook(it);
}

void not_at_termination(Terminable* one) {
  Watch& it = watch();
  bool last;
  {
    std::lock_guard<std::mutex> lock(it.mutex);
    last = it.told.erase(one) > 0 && it.told.empty() && it.hooked;
    if (last) it.hooked = false;
  }
  if (last) unhook(it);
}

}  // namespace runwire
