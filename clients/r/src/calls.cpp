// What R calls: the schema, channels, calls and streams.
#include "schema.h"

#include "channel.h"
#include "held.h"

using runwire::Channel;
using runwire::guarded;
using runwire::held_by;
using runwire::hold;
using runwire::interruptible;
using runwire::Problem;
using runwire::Schema;
using runwire::ServerStream;

namespace {

struct HeldChannel : runwire::Owned {
  std::shared_ptr<Channel> channel;
};

struct HeldStream : runwire::Owned {
  std::unique_ptr<ServerStream> stream;
  const google::protobuf::Descriptor* type = nullptr;
};

Schema& schema_of(SEXP schema) { return *Rcpp::XPtr<Schema>(schema); }

std::string path_of(const google::protobuf::MethodDescriptor* method) {
  return "/" + method->service()->full_name() + "/" + method->name();
}

std::string serialised(Schema& schema, const google::protobuf::Descriptor* type, SEXP list) {
  auto message = schema.make(type);
  runwire::from_list(*message, list);
  return message->SerializeAsString();
}

SEXP parsed(Schema& schema, const google::protobuf::Descriptor* type, const std::string& bytes) {
  auto message = schema.make(type);
  if (!message->ParseFromString(bytes)) throw Problem("INTERNAL", "the answer is not a " + type->name());
  return runwire::to_list(*message);
}

}  // namespace

// [[Rcpp::export(rng = false)]]
SEXP schema_load(Rcpp::RawVector set) {
  return guarded([&] {
    return Rcpp::XPtr<Schema>(new Schema(std::string(set.begin(), set.end())), true);
  });
}

// [[Rcpp::export(rng = false)]]
SEXP message_to_raw(SEXP schema, std::string type, SEXP list) {
  return guarded([&]() -> SEXP {
    Schema& known = schema_of(schema);
    std::string bytes = serialised(known, known.message(type), list);
    return Rcpp::RawVector(bytes.begin(), bytes.end());
  });
}

// [[Rcpp::export(rng = false)]]
SEXP message_from_raw(SEXP schema, std::string type, Rcpp::RawVector bytes) {
  return guarded([&] {
    Schema& known = schema_of(schema);
    return parsed(known, known.message(type), std::string(bytes.begin(), bytes.end()));
  });
}

// [[Rcpp::export(rng = false)]]
SEXP channel_open(std::string target, bool secure, bool local, std::string tls_ca, std::string token,
                  double connect_timeout, std::string user_agent) {
  return guarded([&] {
    runwire::claim_process();
    runwire::ChannelOptions options;
    options.target = target;
    options.secure = secure;
    options.local = local;
    options.tls_ca = tls_ca;
    options.token = token;
    options.connect_timeout = connect_timeout;
    options.user_agent = user_agent;
    auto held = std::make_unique<HeldChannel>();
    held->channel = std::make_shared<Channel>(options);
    return hold(held.release());
  });
}

// [[Rcpp::export(rng = false)]]
SEXP call_unary(SEXP schema, SEXP channel, std::string service, std::string method, SEXP request,
                double timeout) {
  return interruptible([&]() -> SEXP {
    Schema& known = schema_of(schema);
    const auto* described = known.method(service, method);
    HeldChannel& held = held_by<HeldChannel>(channel);
    std::string response;
    runwire::Failure failure =
        held.channel->unary(path_of(described), serialised(known, described->input_type(), request), timeout,
                            runwire::user_interrupted, &response);
    if (!failure.ok()) return runwire::make_failure(failure);
    return parsed(known, described->output_type(), response);
  });
}

// [[Rcpp::export(rng = false)]]
SEXP stream_open(SEXP schema, SEXP channel, std::string service, std::string method, SEXP request,
                 double timeout) {
  return guarded([&] {
    Schema& known = schema_of(schema);
    const auto* described = known.method(service, method);
    HeldChannel& open = held_by<HeldChannel>(channel);
    auto held = std::make_unique<HeldStream>();
    held->type = described->output_type();
    held->stream = std::make_unique<ServerStream>(
        open.channel, path_of(described),
        std::vector<std::string>{serialised(known, described->input_type(), request)}, timeout);
    return hold(held.release());
  });
}

// The next message; NULL at the end; FALSE if there is none in time; or a failure.
// [[Rcpp::export(rng = false)]]
SEXP stream_read(SEXP schema, SEXP stream, double patience) {
  return interruptible([&]() -> SEXP {
    HeldStream& held = held_by<HeldStream>(stream);
    std::string message;
    switch (held.stream->read(patience, runwire::user_interrupted, &message)) {
      case ServerStream::Read::kMessage:
        return parsed(schema_of(schema), held.type, message);
      case ServerStream::Read::kNothingYet:
        return Rf_ScalarLogical(FALSE);
      default:
        return held.stream->failure().ok() ? R_NilValue : runwire::make_failure(held.stream->failure());
    }
  });
}

// Serialised requests out, serialised answers back: a list of raw vectors.
// [[Rcpp::export(rng = false)]]
SEXP call_bytes(SEXP channel, std::string path, Rcpp::List requests, double timeout) {
  return interruptible([&]() -> SEXP {
    std::vector<std::string> said;
    for (R_xlen_t i = 0; i < requests.size(); i++) {
      Rcpp::RawVector one = requests[i];
      said.emplace_back(one.begin(), one.end());
    }
    ServerStream stream(held_by<HeldChannel>(channel).channel, path, said, timeout);
    Rcpp::List found;
    std::string message;
    while (stream.read(INFINITY, runwire::user_interrupted, &message) == ServerStream::Read::kMessage) {
      found.push_back(Rcpp::RawVector(message.begin(), message.end()));
    }
    if (!stream.failure().ok()) return runwire::make_failure(stream.failure());
    return found;
  });
}

// [[Rcpp::export(rng = false)]]
void stream_cancel(SEXP stream) {
  if (TYPEOF(stream) != EXTPTRSXP || R_ExternalPtrAddr(stream) == nullptr) return;
  auto* held = static_cast<HeldStream*>(R_ExternalPtrAddr(stream));
  if (held->here()) held->stream->cancel();
}
