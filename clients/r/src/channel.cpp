#include "channel.h"

#include <set>

#include "frames.h"
#include "grpc_channel.h"

namespace runwire {

namespace {

// How long a wait may last before somebody looks for an interrupt.
constexpr double kSlice = 0.05;

// An answer's trailers may hold 20 violations; gRPC's own bound is 8 KiB.
constexpr int kMetadataBytes = 64 * 1024;

grpc::ChannelArguments arguments(const ChannelOptions& options) {
  grpc::ChannelArguments found;
  // gRPC's own retries know neither the request id nor the deadline that attempts share.
  found.SetInt("grpc.enable_retries", 0);
  found.SetInt("grpc.max_receive_message_length", -1);
  found.SetInt("grpc.max_send_message_length", -1);
  found.SetInt("grpc.max_metadata_size", kMetadataBytes);
  found.SetInt("grpc.absolute_max_metadata_size", kMetadataBytes);
  found.SetString("grpc.primary_user_agent", options.user_agent);
  // Else a fresh client would inherit the back-off of one that failed before it.
  found.SetInt("grpc.use_local_subchannel_pool", 1);
  found.SetInt("grpc.initial_reconnect_backoff_ms", 100);
  found.SetInt("grpc.max_reconnect_backoff_ms", 2000);
  // In spite of its name the time that one attempt to connect may take: a host that drops packets.
  found.SetInt("grpc.min_reconnect_backoff_ms",
               std::max(100, static_cast<int>(std::min(options.connect_timeout, 3600.0) * 1000)));
  // A proxy set for the web (http_proxy) has no way to this machine's own ports.
  if (options.local) found.SetInt("grpc.enable_http_proxy", 0);
  return found;
}

void drain(grpc::CompletionQueue& queue) {
  queue.Shutdown();
  void* tag;
  bool ok;
  while (queue.Next(&tag, &ok)) {
  }
}

}  // namespace

Channel::Channel(const ChannelOptions& options) : inner_(new Inner) {
  SignalsBlocked blocked;
  std::shared_ptr<grpc::ChannelCredentials> credentials;
  if (options.secure) {
    grpc::SslCredentialsOptions ssl;
    ssl.pem_root_certs = options.tls_ca;
    credentials = grpc::SslCredentials(ssl);
  } else {
    credentials = grpc::InsecureChannelCredentials();
  }
  inner_->channel = grpc::CreateCustomChannel(options.target, credentials, arguments(options));
  inner_->stub = std::make_unique<grpc::GenericStub>(inner_->channel);
  inner_->token = options.token;
}

Channel::~Channel() = default;

Failure Channel::unary(const std::string& method, const std::string& request, double timeout,
                       const Interrupted& interrupted, std::string* response) {
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  grpc::ByteBuffer answer;
  grpc::Status status;
  std::unique_ptr<grpc::ClientAsyncResponseReader<grpc::ByteBuffer>> call;
  {
    SignalsBlocked blocked;
    inner_->prepare(context, timeout);
    call = inner_->stub->PrepareUnaryCall(&context, method, to_buffer(request), &queue);
    call->StartCall();
    call->Finish(&answer, &status, &context);
  }
  void* tag;
  bool ok;
  bool cancelled = false;
  for (;;) {
    auto event = queue.AsyncNext(&tag, &ok, after(kSlice));
    if (event == grpc::CompletionQueue::GOT_EVENT) break;
    if (!cancelled && interrupted()) {
      cancelled = true;
      context.TryCancel();
    }
  }
  drain(queue);
  if (cancelled) throw Interruption();
  if (status.ok()) *response = to_bytes(answer);
  return to_failure(status);
}

struct ServerStream::Inner {
  enum Tag : intptr_t { kStart = 1, kWrite, kRead, kFinish };

  std::shared_ptr<Channel> channel;
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call;
  grpc::ByteBuffer message;
  grpc::Status status;
  Failure failure;
  std::vector<std::string> requests;
  size_t said = 0;
  bool reading = false;
  bool arrived = false;
  bool finishing = false;
  bool ended = false;
  int waiting = 0;
  // When somebody last looked for an interrupt.
  std::chrono::steady_clock::time_point looked;

  void read() {
    reading = true;
    waiting++;
    call->Read(&message, reinterpret_cast<void*>(kRead));
  }

  // Says the next request, and behind the last one that there are no more.
  void write() {
    waiting++;
    if (said < requests.size()) {
      call->Write(to_buffer(requests[said]), reinterpret_cast<void*>(kWrite));
    } else {
      call->WritesDone(reinterpret_cast<void*>(kWrite));
    }
    said++;
  }

  void finish() {
    if (finishing) return;
    finishing = true;
    waiting++;
    call->Finish(&status, reinterpret_cast<void*>(kFinish));
  }

  void handle(void* tag, bool ok) {
    waiting--;
    switch (reinterpret_cast<intptr_t>(tag)) {
      case kStart:
        if (!ok) return finish();
        write();
        read();
        break;
      case kWrite:
        if (ok && said <= requests.size()) write();
        break;
      case kRead:
        reading = false;
        if (!ok) return finish();
        arrived = true;
        break;
      case kFinish:
        ended = true;
        failure = to_failure(status);
        break;
      default:
        break;
    }
  }
};

ServerStream::ServerStream(std::shared_ptr<Channel> channel, const std::string& method,
                           std::vector<std::string> requests, double timeout)
    : inner_(new Inner) {
  SignalsBlocked blocked;
  inner_->channel = std::move(channel);
  inner_->requests = std::move(requests);
  inner_->channel->inner().prepare(inner_->context, timeout);
  inner_->call = inner_->channel->inner().stub->PrepareCall(&inner_->context, method, &inner_->queue);
  inner_->waiting = 1;
  inner_->call->StartCall(reinterpret_cast<void*>(Inner::kStart));
}

ServerStream::~ServerStream() {
  inner_->context.TryCancel();
  void* tag;
  bool ok;
  for (;;) {
    // A message that nobody took stands in front of the end.
    if (inner_->arrived && !inner_->reading) inner_->finish();
    if (inner_->ended || !inner_->queue.Next(&tag, &ok)) break;
    inner_->handle(tag, ok);
  }
  while (inner_->waiting > 0 && inner_->queue.Next(&tag, &ok)) inner_->handle(tag, ok);
  drain(inner_->queue);
}

ServerStream::Read ServerStream::read(double patience, const Interrupted& interrupted, std::string* message) {
  Inner& it = *inner_;
  auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(std::min(patience, 1e8));
  for (;;) {
    // By the clock, and not where nothing has come for a while: a server may have much to say.
    auto present = std::chrono::steady_clock::now();
    if (present - it.looked >= std::chrono::duration<double>(kSlice)) {
      it.looked = present;
      if (interrupted()) {
        cancel();
        throw Interruption();
      }
    }
    if (it.arrived) {
      it.arrived = false;
      *message = to_bytes(it.message);
      it.read();
      return Read::kMessage;
    }
    if (it.ended) return Read::kEnd;
    void* tag;
    bool ok;
    if (it.queue.AsyncNext(&tag, &ok, after(kSlice)) == grpc::CompletionQueue::GOT_EVENT) {
      it.handle(tag, ok);
    } else if (std::chrono::steady_clock::now() >= end) {
      return Read::kNothingYet;
    }
  }
}

const Failure& ServerStream::failure() const { return inner_->failure; }

void ServerStream::cancel() { inner_->context.TryCancel(); }

namespace {

const char kHeartbeat[] = "/runwire.v1.MetricService/Heartbeat";
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
