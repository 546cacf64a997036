#include "delivery.h"

#include <algorithm>
#include <cmath>
#include <system_error>
#include <thread>

#include "clock.h"
#include "grpc_channel.h"
#include "ids.h"
#include "local.h"
#include "problem.h"
#include "stream.h"
#include "telling.h"
#include "wire.h"

namespace runwire {

namespace {

const char kStreamFrames[] = "/runwire.v1.MetricService/StreamFrames";
// Being away for less is not worth a word to the user.
constexpr std::chrono::seconds kPatience{5};
constexpr double kSlice = 1.0;

bool is_refusal(const Failure& failure) {
  return failure.code == "UNAUTHENTICATED" || failure.code == "PERMISSION_DENIED" ||
         failure.code == "UNIMPLEMENTED" || failure.code == "INVALID_ARGUMENT";
}

Failure simple_failure(const std::string& code, const std::string& message, const std::string& reason = "") {
  Failure found;
  found.code = code;
  found.message = message;
  found.reason = reason;
  return found;
}

}  // namespace

struct Delivery::Inner {
  Inner(Delivery& outer, DeliveryOptions given, Guard& guard)
      : outer(outer), options(std::move(given)), guard(guard) {}

  Delivery& outer;
  DeliveryOptions options;
  Guard& guard;
  std::thread thread;
  std::shared_ptr<Channel> channel;
  std::string channel_target;
  std::shared_ptr<Lane> lane;
  Stream* stream = nullptr;
  bool stopping = false;
  bool hurried = false;
  int failures = 0;
  // When the attempt began that failed last.
  Clock::time_point tried;
  bool told = false;
  Clock::time_point away_since, progress;
  Beats beats;
  std::vector<std::string> due;

  void run();
  void beat(const std::vector<std::string>& run_ids);
  bool needed() const { return lane && !lane->over && lane->writer.pending() > 0; }
  std::shared_ptr<Channel> connect();
  std::optional<Failure> carry(const std::shared_ptr<Lane>& carried);
  void open(Stream& it);
  void pump(Stream& it);
  std::string next_message(Stream& it);
  void handle(Stream& it, void* tag, bool ok);
  void take(Stream& it, const std::string& bytes);
  void reject(Lane& carried, const std::vector<Rejection>& rejections);
  void fail(Stream& it, Failure failure);
  void watch(Stream& it);
  void pause(const Failure& failure, Clock::time_point began);
  void set_aside(const Failure& failure);
  void say_away();
  void wake();
};

Delivery::Delivery(DeliveryOptions options, Guard& guard) : inner_(new Inner(*this, std::move(options), guard)) {}

Delivery::~Delivery() { stop(); }

void Delivery::start() {
  SignalsBlocked blocked;
  inner_->thread = std::thread([this] { inner_->run(); });
}

void Delivery::carry(std::shared_ptr<Lane> lane) {
  inner_->lane = std::move(lane);
  inner_->wake();
  inner_->guard.changed.notify_all();
}

void Delivery::poke() {
  inner_->wake();
  inner_->guard.changed.notify_all();
}

void Delivery::stop() {
  if (!inner_->thread.joinable()) return;
  {
    std::lock_guard<std::mutex> lock(inner_->guard.mutex);
    inner_->stopping = true;
    if (inner_->stream != nullptr) inner_->stream->context.TryCancel();
    inner_->guard.changed.notify_all();
  }
  inner_->thread.join();
  // Not when R collects the client: connections are dear.
  inner_->channel.reset();
}

// Makes the thread of an open stream look for something to say; the guard is held.
void Delivery::Inner::wake() {
  if (stream == nullptr || stream->poked) return;
  stream->poked = true;
  stream->alarm = std::make_unique<grpc::Alarm>();
  stream->alarm->Set(&stream->queue, gpr_now(GPR_CLOCK_MONOTONIC), reinterpret_cast<void*>(Stream::kWake));
}

void Delivery::Inner::run() {
  for (;;) {
    std::shared_ptr<Lane> carried;
    std::vector<std::string> alive;
    {
      std::unique_lock<std::mutex> lock(guard.mutex);
      while (!stopping && !needed() && due.empty()) guard.changed.wait(lock);
      if (stopping) break;
      alive.swap(due);
      if (needed()) carried = lane;
    }
    if (!carried) {
      beat(alive);
      continue;
    }
    auto began = Clock::now();
    std::optional<Failure> failure = carry(carried);
    if (failure) pause(*failure, began);
  }
  beats.stop();
}

// Finds the server while there is nothing to carry, and says that runs are alive.
void Delivery::Inner::beat(const std::vector<std::string>& run_ids) {
  try {
    std::shared_ptr<Channel> found = connect();
    std::lock_guard<std::mutex> lock(guard.mutex);
    if (!stopping) beats.send(*found, run_ids);
  } catch (const Interruption&) {
    // The thread is to end.
  } catch (const std::exception&) {
    // The next beat tries again.
  }
}

// The channel; that of a folder leads to the server that has the folder open now.
std::shared_ptr<Channel> Delivery::Inner::connect() {
  ChannelOptions given = options.channel;
  if (!options.folder.empty()) {
    given.target = find_local_server(options.folder, INFINITY, [this] {
      std::lock_guard<std::mutex> lock(guard.mutex);
      return stopping;
    });
  }
  // One that could not connect would answer the next call with that failure, and connect behind it.
  if (!channel || failures > 0 || channel_target != given.target) {
    auto made = std::make_shared<Channel>(given);
    std::lock_guard<std::mutex> lock(guard.mutex);
    channel = made;
    channel_target = given.target;
  }
  return channel;
}

// Runs one stream to its end; returns how it failed.
std::optional<Failure> Delivery::Inner::carry(const std::shared_ptr<Lane>& carried) {
  std::unique_ptr<Stream> it;
  try {
    it = std::make_unique<Stream>(connect(), carried);
  } catch (const Interruption&) {
    // The thread is to end.
    return std::nullopt;
  } catch (const Problem& problem) {
    return simple_failure("UNAVAILABLE", problem.what(), kNoLocalServer);
  } catch (const std::exception& error) {
    return simple_failure("UNAVAILABLE", error.what(), kNoLocalServer);
  }
  open(*it);
  void* tag;
  bool ok;
  while (!it->finished) {
    auto event = it->queue.AsyncNext(&tag, &ok, after(kSlice));
    if (event == grpc::CompletionQueue::GOT_EVENT) handle(*it, tag, ok);
    watch(*it);
    pump(*it);
  }
  {
    std::lock_guard<std::mutex> lock(guard.mutex);
    stream = nullptr;
    if (it->poked) it->alarm->Cancel();
    carried->writer.lost();
    guard.changed.notify_all();
  }
  it->queue.Shutdown();
  while (it->queue.Next(&tag, &ok)) {
  }
  if (it->failure) return it->failure;
  if (!it->status.ok()) return to_failure(it->status);
  return std::nullopt;
}

void Delivery::Inner::open(Stream& it) {
  it.channel->inner().prepare(it.context, INFINITY);
  it.call = it.channel->inner().stub->PrepareCall(&it.context, kStreamFrames, &it.queue);
  std::lock_guard<std::mutex> lock(guard.mutex);
  stream = &it;
  progress = Clock::now();
  it.outgoing.push_back(it.lane->writer.hello());
  it.call->StartCall(it.begin(Stream::kStart));
  if (stopping) it.context.TryCancel();
}

void Delivery::Inner::handle(Stream& it, void* tag, bool ok) {
  auto kind = reinterpret_cast<intptr_t>(tag);
  if (kind == Stream::kWake) {
    std::lock_guard<std::mutex> lock(guard.mutex);
    it.poked = false;
    return;
  }
  it.waiting--;
  if (kind == Stream::kStart && ok) {
    it.writing = false;
    it.call->Read(&it.incoming, it.begin(Stream::kRead));
  } else if (kind == Stream::kRead && ok) {
    take(it, to_bytes(it.incoming));
    it.call->Read(&it.incoming, it.begin(Stream::kRead));
  } else if (kind == Stream::kWrite && ok) {
    it.writing = false;
  } else if (kind == Stream::kFinish) {
    it.finishing = true;
    it.finished = it.waiting == 0;
    return;
  } else if (kind == Stream::kDone) {
    // The server has what there was to say; its last answers are on their way.
  } else if (!it.finishing) {
    // The stream is over; writes that wait fail too, and say nothing else.
    it.finishing = true;
    it.call->Finish(&it.status, it.begin(Stream::kFinish));
  }
  if (it.finishing && it.waiting == 0) it.finished = true;
}

void Delivery::Inner::fail(Stream& it, Failure failure) {
  if (!it.failure) it.failure = std::move(failure);
  it.context.TryCancel();
}

void Delivery::Inner::take(Stream& it, const std::string& bytes) {
  std::lock_guard<std::mutex> lock(guard.mutex);
  Lane& carried = *it.lane;
  progress = Clock::now();
  try {
    StreamAnswer answer = read_answer(bytes);
    std::vector<Rejection> rejections;
    if (answer.welcome) {
      carried.writer.welcomed(*answer.welcome,
                              [&](int64_t sequence) { return carried.spool->crc_at(sequence); });
      rejections = std::move(answer.welcome->rejections);
      outer.reached = true;
      outer.away.reset();
      outer.refused = false;
      if (told) say(concat({options.address, " is back; sending what waited"}));
      told = false;
    }
    if (answer.ack) {
      carried.writer.acknowledged(answer.ack->place);
      rejections = std::move(answer.ack->rejections);
      failures = 0;
    }
    // First, because it frees disk.
    carried.spool->acknowledge(carried.writer.acked());
    reject(carried, rejections);
  } catch (const Disagreement& found) {
    fail(it, simple_failure("FAILED_PRECONDITION", found.message, found.reason));
  } catch (const std::exception& error) {
    fail(it, simple_failure("UNAVAILABLE", error.what(), kSpoolFailed));
  }
  guard.changed.notify_all();
}

void Delivery::Inner::reject(Lane& carried, const std::vector<Rejection>& rejections) {
  if (rejections.empty()) return;
  std::vector<Rejection> news = carried.writer.news(rejections);
  for (const auto& one : news) {
    bool known = std::any_of(outer.rejections.begin(), outer.rejections.end(),
                             [&](const Rejection& other) { return other.data == one.data; });
    if (!known) outer.rejections.push_back(one);
  }
  try {
    carried.spool->note(news);
    carried.writer.noted(rejections);
  } catch (const std::system_error&) {
    // On a full disk they are in memory only, and with the server, which is not told that it may forget.
  }
}

// Says what there is to say, one message at a time.
void Delivery::Inner::pump(Stream& it) {
  if (it.writing || it.closed || it.finishing) return;
  std::string message;
  {
    std::lock_guard<std::mutex> lock(guard.mutex);
    if (it.lane != lane || stopping) {
      it.closed = true;
      it.call->WritesDone(it.begin(Stream::kDone));
      return;
    }
    try {
      message = next_message(it);
    } catch (const std::exception& error) {
      fail(it, simple_failure("UNAVAILABLE", error.what(), kSpoolFailed));
    }
  }
  if (message.empty()) return;
  it.writing = true;
  it.call->Write(to_buffer(message), it.begin(Stream::kWrite));
}

// The next message; empty if there is none now. The guard is held.
std::string Delivery::Inner::next_message(Stream& it) {
  Writer& writer = it.lane->writer;
  if (it.outgoing.empty() && writer.is_open()) {
    if (int64_t confirmed = writer.take_confirmation()) return say_confirmed(confirmed);
    if (!it.next && writer.sent() < writer.cut().sequence) {
      Stored stored;
      if (it.lane->spool->take(writer.sent() + 1, &stored)) it.next = std::move(stored);
    }
    if (it.next && writer.may_send(it.next->payload.size())) {
      // The silence before the first frame was nobody's fault.
      if (writer.sent() == writer.acked().sequence) progress = Clock::now();
      const Stored& frame = *it.next;
      writer.sending(frame.sequence, chained(frame.previous_crc, frame.payload), frame.payload.size());
      for (const auto& group : frame.groups) {
        if (it.declared.insert(group->hash).second) it.outgoing.push_back(say_declare(*group));
      }
      it.outgoing.push_back(say_frame(frame.sequence, frame.previous_crc, frame.payload));
      it.next.reset();
    }
  }
  if (it.outgoing.empty()) return "";
  std::string message = std::move(it.outgoing.front());
  it.outgoing.pop_front();
  return message;
}

// Cuts a stream on which nothing was acknowledged for long, to be opened again: the way may be a black hole.
void Delivery::Inner::watch(Stream& it) {
  std::lock_guard<std::mutex> lock(guard.mutex);
  Writer& writer = it.lane->writer;
  bool waits = !writer.is_open() || writer.sent() > writer.acked().sequence;
  if (waits && since(progress) >= options.silence) fail(it, simple_failure("UNAVAILABLE", "the server says nothing"));
}

// Decides what follows a stream that began then and failed, and waits.
void Delivery::Inner::pause(const Failure& failure, Clock::time_point began) {
  std::unique_lock<std::mutex> lock(guard.mutex);
  if (stopping) return;
  if (Writer::is_final(failure.reason)) return set_aside(failure);
  failures++;
  outer.away = failure;
  tried = began;
  hurried = false;
  outer.refused = is_refusal(failure);
  if (is_away(failure)) say_away();
  const RetryOptions& retry = options.retry;
  double longest = std::min(retry.maximum, retry.initial * std::pow(retry.multiplier, std::min(failures - 1, 64)));
  double wait = random_fraction() * longest + failure.retry_delay.value_or(0);
  auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(wait));
  guard.changed.notify_all();
  while (!stopping && !hurried && guard.changed.wait_until(lock, end) != std::cv_status::timeout) {
  }
}

void Delivery::Inner::set_aside(const Failure& failure) {
  Aside aside{failure.reason, failure.message, 0};
  if (const std::string* known = failure.fact("committed_sequence")) {
    aside.delivered = std::strtoll(known->c_str(), nullptr, 10);
  }
  if (failure.reason == "WRITER_DIVERGED") {
    aside.delivered = lane->writer.acked().sequence;
  }
  try {
    lane->spool->set_aside(aside);
  } catch (const std::system_error& error) {
    say(concat({"the spool ", lane->spool->folder(), " can not be marked: ", error.what()}));
  }
  lane->over = failure;
  outer.ended.push_back(lane);
  lane.reset();
  guard.changed.notify_all();
}

void Delivery::Inner::say_away() {
  if (failures == 1) {
    away_since = Clock::now();
  } else if (!told && Clock::now() - away_since > kPatience) {
    told = true;
    say(concat({"no answer from ", options.address, "; what is logged waits in ", lane->spool->folder(),
                " and is sent when the server is back"}));
  }
}

bool Delivery::is_hopeless(Clock::time_point start) {
  double window = inner_->options.retry.connect_timeout;
  if (reached || !away || !is_away(*away) || since(start) <= window) return false;
  if (std::chrono::duration<double>(inner_->tried - start).count() > window) return true;
  // One last attempt: the server may have come since the one before, whose pause may be long, or which failed only
  // because all stood still.
  if (!inner_->hurried) {
    inner_->hurried = true;
    inner_->guard.changed.notify_all();
  }
  return false;
}

void Delivery::heartbeat(const std::vector<std::string>& run_ids) {
  Inner& it = *inner_;
  std::lock_guard<std::mutex> lock(it.guard.mutex);
  if (it.stopping) return;
  if (it.stream == nullptr) {
    // Finding the server may take a while.
    it.due = run_ids;
    it.guard.changed.notify_all();
  } else if (!away) {
    it.beats.send(*it.channel, run_ids);
  }
}

}  // namespace runwire
