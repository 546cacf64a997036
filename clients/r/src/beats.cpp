#include "beats.h"

#include <set>

#include "grpc_channel.h"
#include "wire.h"

namespace runwire {

namespace {

const char kHeartbeat[] = "/runwire.v1.MetricService/Heartbeat";
constexpr size_t kMostBeats = 1000;
constexpr double kPatience = 10;

struct Beat {
  grpc::ClientContext context;
  grpc::ByteBuffer answer;
  grpc::Status status;
  std::unique_ptr<grpc::ClientAsyncResponseReader<grpc::ByteBuffer>> call;
};

}  // namespace

struct Beats::Inner {
  grpc::CompletionQueue queue;
  std::set<Beat*> beats;

  void start(Channel& channel, const std::string& request) {
    auto beat = std::make_unique<Beat>();
    channel.inner().prepare(beat->context, kPatience);
    beat->call = channel.inner().stub->PrepareUnaryCall(&beat->context, kHeartbeat, to_buffer(request), &queue);
    beat->call->StartCall();
    beat->call->Finish(&beat->answer, &beat->status, beat.get());
    beats.insert(beat.release());
  }

  void end(void* tag) {
    beats.erase(static_cast<Beat*>(tag));
    delete static_cast<Beat*>(tag);
  }
};

std::vector<std::string> heartbeats(const std::vector<std::string>& run_ids) {
  std::vector<std::string> found;
  for (size_t i = 0; i < run_ids.size(); i++) {
    if (i % kMostBeats == 0) found.emplace_back();
    append_field(found.back(), 1, run_ids[i]);
  }
  return found;
}

Beats::Beats() : inner_(new Inner) {}

Beats::~Beats() = default;

void Beats::send(Channel& channel, const std::vector<std::string>& run_ids) {
  void* tag;
  bool ok;
  while (inner_->queue.AsyncNext(&tag, &ok, after(0)) == grpc::CompletionQueue::GOT_EVENT) inner_->end(tag);
  for (const std::string& request : heartbeats(run_ids)) inner_->start(channel, request);
}

void Beats::stop() {
  for (Beat* beat : inner_->beats) beat->context.TryCancel();
  inner_->queue.Shutdown();
  void* tag;
  bool ok;
  while (inner_->queue.Next(&tag, &ok)) inner_->end(tag);
}

}  // namespace runwire
