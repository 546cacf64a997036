// What R calls: spools that nobody writes any more.
#include "held.h"
#include "leftovers.h"
#include "options.h"
#include "sync.h"

using runwire::guarded;
using runwire::held_by;
using runwire::hold;
using runwire::interruptible;
using runwire::user_interrupted;

runwire::DeliveryOptions runwire::delivery_options(const Rcpp::List& given) {
  auto text = [&](const char* name) { return Rcpp::as<std::string>(given[name]); };
  auto number = [&](const char* name) { return Rcpp::as<double>(given[name]); };
  runwire::DeliveryOptions options;
  options.channel.target = text("target");
  options.channel.secure = Rcpp::as<bool>(given["secure"]);
  options.channel.local = Rcpp::as<bool>(given["local"]);
  options.channel.tls_ca = text("tls_ca");
  options.channel.token = text("token");
  options.channel.user_agent = text("user_agent");
  options.channel.connect_timeout = number("connect_timeout");
  options.retry.initial = number("initial");
  options.retry.multiplier = number("multiplier");
  options.retry.maximum = number("maximum");
  options.retry.connect_timeout = options.channel.connect_timeout;
  options.address = text("address");
  options.folder = text("folder");
  return options;
}

namespace {

struct HeldSpool : runwire::Owned {
  std::unique_ptr<runwire::Spool> spool;
};

// The frames that are not acknowledged.
Rcpp::List frames_of(runwire::Spool& spool) {
  Rcpp::List found;
  runwire::Stored stored;
  for (int64_t sequence = spool.acked().sequence + 1; spool.take(sequence, &stored); sequence++) {
    Rcpp::CharacterVector groups;
    for (const auto& group : stored.groups) groups.push_back(runwire::to_hex(group->hash));
    found.push_back(Rcpp::List::create(
        Rcpp::Named("sequence") = static_cast<double>(stored.sequence),
        Rcpp::Named("previous_crc") = static_cast<double>(stored.previous_crc),
        Rcpp::Named("crc") = static_cast<double>(runwire::chained(stored.previous_crc, stored.payload)),
        Rcpp::Named("groups") = groups,
        Rcpp::Named("payload") = Rcpp::RawVector(stored.payload.begin(), stored.payload.end())));
  }
  return found;
}

Rcpp::List rejections_of(const runwire::Spool& spool) {
  Rcpp::List found;
  for (const auto& one : spool.rejections()) found.push_back(Rcpp::RawVector(one.data.begin(), one.data.end()));
  return found;
}

Rcpp::RObject aside_of(const runwire::Spool& spool) {
  auto found = spool.aside();
  if (!found) return Rcpp::RObject(R_NilValue);
  return Rcpp::List::create(Rcpp::Named("reason") = found->reason, Rcpp::Named("message") = found->message,
                            Rcpp::Named("delivered") = static_cast<double>(found->delivered));
}

Rcpp::NumericVector place_of(const runwire::Place& place) {
  return Rcpp::NumericVector::create(Rcpp::Named("sequence") = static_cast<double>(place.sequence),
                                     Rcpp::Named("crc") = static_cast<double>(place.crc));
}

}  // namespace

// [[Rcpp::export(rng = false)]]
SEXP spool_list(std::string folder) {
  return guarded([&] { return Rcpp::wrap(runwire::find_spools(folder)); });
}

// [[Rcpp::export(rng = false)]]
SEXP spool_open(std::string folder, bool as_new_writer) {
  return guarded([&]() -> SEXP {
    auto held = std::make_unique<HeldSpool>();
    held->spool = runwire::open_leftover(folder, as_new_writer);
    runwire::Spool& spool = *held->spool;
    Rcpp::RObject pointer = hold(held.release());
    return Rcpp::List::create(Rcpp::Named("folder") = spool.folder(), Rcpp::Named("address") = spool.address(),
                              Rcpp::Named("skipped") = spool.torn(),
                              Rcpp::Named("pointer") = pointer);
  });
}

// [[Rcpp::export(rng = false)]]
SEXP spool_carry(SEXP pointer, Rcpp::List options, double timeout) {
  return interruptible([&]() -> SEXP {
    runwire::claim_process();
    HeldSpool& held = held_by<HeldSpool>(pointer);
    runwire::Delivered found =
        runwire::deliver_leftover(held.spool, runwire::delivery_options(options), timeout, user_interrupted);
    return Rcpp::List::create(Rcpp::Named("delivered") = static_cast<double>(found.delivered),
                              Rcpp::Named("left") = static_cast<double>(found.left),
                              Rcpp::Named("rejected") = found.rejected, Rcpp::Named("problem") = found.problem);
  });
}

// What a spool holds, for those who look into it.
// [[Rcpp::export(rng = false)]]
SEXP spool_contents(SEXP pointer) {
  return guarded([&]() -> SEXP {
    runwire::Spool& spool = *held_by<HeldSpool>(pointer).spool;
    return Rcpp::List::create(
        Rcpp::Named("writer_id") = spool.writer_id(), Rcpp::Named("address") = spool.address(),
        Rcpp::Named("acked") = place_of(spool.acked()), Rcpp::Named("cut") = place_of(spool.cut()),
        Rcpp::Named("undelivered") = static_cast<double>(spool.undelivered() - spool.stray()),
        Rcpp::Named("stray") = static_cast<double>(spool.stray()),
        Rcpp::Named("frames") = frames_of(spool), Rcpp::Named("rejections") = rejections_of(spool),
        Rcpp::Named("aside") = aside_of(spool));
  });
}

// [[Rcpp::export(rng = false)]]
void spool_close(SEXP pointer) {
  auto* held = static_cast<HeldSpool*>(R_ExternalPtrAddr(pointer));
  if (held != nullptr && held->here() && held->spool) {
    held->spool->close();
    held->spool.reset();
  }
}

