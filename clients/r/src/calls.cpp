// What R calls: the schema, channels, calls and streams.
#include <cmath>

#include "channel.h"
#include "held.h"
#include "schema.h"

using runwire::bytes;
using runwire::Channel;
using runwire::guarded;
using runwire::held_by;
using runwire::hold;
using runwire::interruptible;
using runwire::make_raw;
using runwire::Schema;
using runwire::ServerStream;

namespace {

struct HeldChannel : runwire::Owned {
  std::shared_ptr<Channel> channel;
};

struct HeldStream : runwire::Owned {
  std::unique_ptr<ServerStream> stream;
  std::string type;
};

// It has no threads: a forked child may go on using it.
struct HeldSchema {
  explicit HeldSchema(const std::string& set) : schema(set) {}
  bool here() const { return true; }
  Schema schema;
};

Schema& schema_of(SEXP schema) { return held_by<HeldSchema>(schema).schema; }

}  // namespace

// [[Rcpp::export(rng = false)]]
SEXP schema_load(SEXP set) {
  return guarded([&] { return hold(std::make_unique<HeldSchema>(bytes(set, "the schema"))); });
}

// [[Rcpp::export(rng = false)]]
SEXP message_to_raw(SEXP schema, std::string type, SEXP list) {
  return guarded([&] {
    Schema& known = schema_of(schema);
    return make_raw(known.encode(known.message(type), list));
  });
}

// [[Rcpp::export(rng = false)]]
SEXP message_from_raw(SEXP schema, std::string type, SEXP data) {
  return guarded([&] {
    Schema& known = schema_of(schema);
    return known.decode(known.message(type), bytes(data, "a message"));
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
    return hold(std::move(held));
  });
}

// [[Rcpp::export(rng = false)]]
SEXP channel_close(SEXP channel) {
  return guarded([&] {
    held_by<HeldChannel>(channel);
    runwire::release<HeldChannel>(channel);
    return R_NilValue;
  });
}

// [[Rcpp::export(rng = false)]]
SEXP call_unary(SEXP schema, SEXP channel, std::string service, std::string method, SEXP request,
                double timeout) {
  return interruptible([&]() -> SEXP {
    Schema& known = schema_of(schema);
    runwire::Method described = known.method(service, method);
    HeldChannel& held = held_by<HeldChannel>(channel);
    std::string response;
    runwire::Failure failure =
        held.channel->unary(described.path, known.encode(described.request, request), timeout,
                            runwire::user_interrupted, &response);
    if (!failure.ok()) return runwire::make_failure(failure);
    return known.decode(described.response, response);
  });
}

// [[Rcpp::export(rng = false)]]
SEXP stream_open(SEXP schema, SEXP channel, std::string service, std::string method, SEXP request,
                 double timeout) {
  return guarded([&] {
    Schema& known = schema_of(schema);
    runwire::Method described = known.method(service, method);
    HeldChannel& open = held_by<HeldChannel>(channel);
    auto held = std::make_unique<HeldStream>();
    held->type = described.response;
    held->stream = std::make_unique<ServerStream>(
        open.channel, described.path, std::vector<std::string>{known.encode(described.request, request)}, timeout);
    return hold(std::move(held));
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
        return schema_of(schema).decode(held.type, message);
      case ServerStream::Read::kNothingYet:
        return Rf_ScalarLogical(FALSE);
      default:
        return held.stream->failure().ok() ? R_NilValue : runwire::make_failure(held.stream->failure());
    }
  });
}

// Serialised requests out, serialised answers back: a list of raw vectors.
// [[Rcpp::export(rng = false)]]
SEXP call_bytes(SEXP channel, std::string path, SEXP requests, double timeout) {
  return interruptible([&] {
    std::vector<std::string> said, found;
    for (R_xlen_t i = 0; i < Rf_xlength(requests); i++) said.push_back(bytes(VECTOR_ELT(requests, i), "a request"));
    ServerStream stream(held_by<HeldChannel>(channel).channel, path, said, timeout);
    std::string message;
    while (stream.read(INFINITY, runwire::user_interrupted, &message) == ServerStream::Read::kMessage) {
      found.push_back(message);
    }
    return stream.failure().ok() ? runwire::make_raws(found) : runwire::make_failure(stream.failure());
  });
}

// [[Rcpp::export(rng = false)]]
void stream_cancel(SEXP stream) {
  if (TYPEOF(stream) != EXTPTRSXP || R_ExternalPtrAddr(stream) == nullptr) return;
  auto* held = static_cast<HeldStream*>(R_ExternalPtrAddr(stream));
  if (held->here()) held->stream->cancel();
}
