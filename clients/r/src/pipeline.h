// All that a client logs, on its way: from the buffer through frames and the spool to the server.
//
// Three parties: R's thread appends to the buffer; the folding thread empties it into frames and writes these to the
// spool; the delivery's thread carries them to the server and trims the spool. The threads start with the first thing
// that is logged, and never touch R. Without a server (offline mode) there is no delivery.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "buffer.h"
#include "cutter.h"
#include "delivery.h"
#include "telling.h"
#include "termination.h"

namespace runwire {

struct PipelineOptions {
  DeliveryOptions delivery;
  bool offline = false;
  // The folder of spools.
  std::string root;
  // The server that the spools are for; empty where none was named and none is asked.
  std::string address;
  uint64_t spool_bytes = uint64_t{1} << 30;
  // What a call does when the spool is full: wait, or fail.
  bool block = true;
};

class Pipeline : private FrameSink, private Terminable {
 public:
  explicit Pipeline(PipelineOptions options);
  ~Pipeline() override;

  Buffer& buffer() { return buffer_; }
  Begins& begins() { return begins_; }
  const PipelineOptions& options() const { return options_; }

  // Starts the threads, if they do not run yet.
  void start();

  void keep_alive(const std::string& run_id);
  // Says that the server has answered a call: it is there, and is worth waiting for.
  void reached() { reached_ = true; }
  // Says that a run has ended: neither heartbeats nor SIGTERM are for it any more.
  void stop_alive(const std::string& run_id);
  // Has SIGTERM end a run as KILLED.
  void end_at_termination(const std::string& run_id);

  // Whether there is anything that is not delivered.
  bool is_dirty();
  // Waits until all that was logged is on the server's disk; offline, on this machine's. `tell` says on stderr how it
  // goes when it takes long. Throws Interruption.
  Failure deliver(double timeout, const Interrupted& interrupted, bool tell = false);
  // What went wrong for good since the last time, once.
  Failure lost();
  // Ends the threads and lets go of the spool; what is not delivered stays there.
  void end();

 private:
  struct Closing {};

  Opened open_lane(size_t size) override;
  void end_runs() override;
  void terminate(double patience) override;
  size_t target(const Lane& lane) override;
  bool write(Lane& lane, const std::string& payload, const std::vector<GroupRef>& groups) override;

  void run();
  void fold(Batch& batch);
  void pulse();
  void new_lane();
  void stick(const std::string& why);
  void unstick();
  std::string full_text() const;
  bool is_done(const Mark& mark);
  bool is_hopeless(Clock::time_point start);
  std::string where() const;
  Left left() const;
  void close_spool();
  void say_progress(double left);
  void tell_leftovers();
  void break_off(const std::string& why);
  Failure broken() const;

  PipelineOptions options_;
  Guard guard_;
  Buffer buffer_;
  Begins begins_;
  Cutter cutter_;
  Groups groups_;
  Names names_;
  std::unique_ptr<Delivery> delivery_;
  std::thread thread_;
  bool started_ = false;
  bool ended_ = false;
  bool offered_ = false;
  std::atomic<bool> closing_{false};
  std::atomic<bool> busy_{false};
  std::atomic<bool> reached_{false};
  // Guarded by guard_.
  std::shared_ptr<Lane> lane_;
  // Why the spool takes nothing; empty while it does.
  std::string stuck_;
  // Whether that was found out since a flush began.
  bool tried_ = false;
  // Why the folding has ended for good; empty while it goes on.
  std::string broken_;
  std::set<std::string> beating_;
  std::vector<std::string> open_;
  std::chrono::steady_clock::time_point beat_;
};

}  // namespace runwire
