// What R calls: spools that nobody writes any more.
#include "held.h"
#include "ids.h"
#include "leftovers.h"
#include "options.h"

using runwire::guarded;
using runwire::held_by;
using runwire::hold;
using runwire::interruptible;
using runwire::Kept;
using runwire::make_text;
using runwire::NamedList;
using runwire::user_interrupted;

runwire::DeliveryOptions runwire::delivery_options(SEXP given) {
  auto text_at = [&](const char* name) { return text(member(given, name), name); };
  auto number_at = [&](const char* name) { return number(member(given, name), name); };
  runwire::DeliveryOptions options;
  options.channel.target = text_at("target");
  options.channel.secure = flag(member(given, "secure"), "secure");
  options.channel.local = flag(member(given, "local"), "local");
  options.channel.tls_ca = text_at("tls_ca");
  options.channel.token = text_at("token");
  options.channel.user_agent = text_at("user_agent");
  options.channel.connect_timeout = number_at("connect_timeout");
  options.silence = number_at("silence");
  options.retry.initial = number_at("initial");
  options.retry.multiplier = number_at("multiplier");
  options.retry.maximum = number_at("maximum");
  options.retry.connect_timeout = options.channel.connect_timeout;
  options.address = text_at("address");
  options.folder = text_at("folder");
  return options;
}

namespace {

struct HeldSpool : runwire::Owned {
  std::unique_ptr<runwire::Spool> spool;
};

SEXP make_count(int64_t number) { return Rf_ScalarReal(static_cast<double>(number)); }

// The frames that are not acknowledged.
SEXP frames_of(runwire::Spool& spool) {
  int64_t first = spool.acked().sequence + 1;
  Kept found(Rf_allocVector(VECSXP, spool.pending()));
  runwire::Stored stored;
  for (R_xlen_t i = 0; i < Rf_xlength(found) && spool.take(first + i, &stored); i++) {
    std::vector<std::string> groups;
    for (const auto& group : stored.groups) groups.push_back(runwire::to_hex(group->hash));
    NamedList frame(5);
    frame.add("sequence", make_count(stored.sequence));
    frame.add("previous_crc", make_count(stored.previous_crc));
    frame.add("crc", make_count(runwire::chained(stored.previous_crc, stored.payload)));
    frame.add("groups", runwire::make_texts(groups));
    frame.add("payload", runwire::make_raw(stored.payload));
    SET_VECTOR_ELT(found, i, frame);
  }
  return found;
}

SEXP rejections_of(const runwire::Spool& spool) {
  std::vector<std::string> found;
  for (const auto& one : spool.rejections()) found.push_back(one.data);
  return runwire::make_raws(found);
}

SEXP aside_of(const runwire::Spool& spool) {
  auto aside = spool.aside();
  if (!aside) return R_NilValue;
  NamedList found(3);
  found.add("reason", make_text(aside->reason));
  found.add("message", make_text(aside->message));
  found.add("delivered", make_count(aside->delivered));
  return found;
}

SEXP place_of(const runwire::Place& place) {
  NamedList found(2);
  found.add("sequence", make_count(place.sequence));
  found.add("crc", make_count(place.crc));
  return found;
}

}  // namespace

// [[Rcpp::export(rng = false)]]
SEXP spool_list(std::string folder) {
  return guarded([&] {
    runwire::claim_process();
    return runwire::make_texts(runwire::find_spools(folder));
  });
}

// [[Rcpp::export(rng = false)]]
SEXP spool_open(std::string folder, bool as_new_writer) {
  return guarded([&]() -> SEXP {
    auto held = std::make_unique<HeldSpool>();
    held->spool = runwire::open_leftover(folder, as_new_writer);
    runwire::Spool& spool = *held->spool;
    NamedList found(4);
    found.add("folder", make_text(spool.folder()));
    found.add("address", make_text(spool.address()));
    found.add("skipped", runwire::make_texts(spool.torn()));
    found.add("pointer", hold(std::move(held)));
    return found;
  });
}

// [[Rcpp::export(rng = false)]]
SEXP spool_carry(SEXP pointer, SEXP options, double timeout) {
  return interruptible([&]() -> SEXP {
    HeldSpool& held = held_by<HeldSpool>(pointer);
    runwire::Delivered outcome =
        runwire::deliver_leftover(held.spool, runwire::delivery_options(options), timeout, user_interrupted);
    NamedList found(4);
    found.add("delivered", make_count(outcome.delivered));
    found.add("left", make_count(outcome.left));
    found.add("rejected", runwire::make_texts(outcome.rejected));
    found.add("problem", make_text(outcome.problem));
    return found;
  });
}

// What a spool holds, for those who look into it.
// [[Rcpp::export(rng = false)]]
SEXP spool_contents(SEXP pointer) {
  return guarded([&]() -> SEXP {
    runwire::Spool& spool = *held_by<HeldSpool>(pointer).spool;
    NamedList found(9);
    found.add("writer_id", make_text(spool.writer_id()));
    found.add("address", make_text(spool.address()));
    found.add("acked", place_of(spool.acked()));
    found.add("cut", place_of(spool.cut()));
    found.add("undelivered", make_count(spool.undelivered() - spool.stray()));
    found.add("stray", make_count(spool.stray()));
    found.add("frames", frames_of(spool));
    found.add("rejections", rejections_of(spool));
    found.add("aside", aside_of(spool));
    return found;
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

