// What R calls: the pipeline, and what is logged through it.
#include <Rversion.h>

#include "arguments.h"
#include "held.h"
#include "options.h"
#include "pipeline.h"
#include "rules.h"

using runwire::guarded;
using runwire::held_by;
using runwire::hold;
using runwire::interruptible;
using runwire::member;
using runwire::metric;
using runwire::now;
using runwire::number_at;
using runwire::pairs_of;
using runwire::Pipeline;
using runwire::Problem;
using runwire::step_of;
using runwire::time_at;
using runwire::time_of;
using runwire::user_interrupted;

namespace {

constexpr size_t kSeriesBytes = 1024 * 1024;
constexpr size_t kPiece = 32768;

struct HeldPipeline : runwire::Owned {
  std::unique_ptr<Pipeline> pipeline;
  // For batches, which are encoded on R's thread.
  runwire::Groups groups;
};

Pipeline& pipeline_of(SEXP pointer) { return *held_by<HeldPipeline>(pointer).pipeline; }

// The pipeline of a client or session, and R's NULL where there is none: who asks in R pays more than for the rest of a point.
SEXP pipeline_in(SEXP holder) {
  static SEXP name = Rf_install("pipeline");
  if (TYPEOF(holder) != ENVSXP) return R_NilValue;
#if R_VERSION >= R_Version(4, 5, 0)
  return R_getVarEx(name, holder, FALSE, R_NilValue);
#else
  SEXP found = Rf_findVarInFrame(holder, name);
  return found == R_UnboundValue ? R_NilValue : found;
#endif
}

SEXP as_result(const runwire::Failure& failure) {
  return failure.ok() ? R_NilValue : runwire::make_failure(failure);
}

void put(Pipeline& pipeline, runwire::Record record) {
  if (record.data.size() > runwire::kMostRecordBytes) {
    throw runwire::invalid("blocks", "must fit in one frame: " + std::to_string(record.data.size()) +
                                         " bytes, and at most " + std::to_string(runwire::kMostRecordBytes) +
                                         " are");
  }
  pipeline.start();
  pipeline.buffer().record(std::move(record), user_interrupted);
}

// A metric's points, column by column; without steps they are 0, 1, 2 ...
struct Series {
  std::string run_id, key;
  std::vector<double> values;
  std::vector<int64_t> steps, times;
  bool has_steps = false;
};

[[noreturn]] void wrong_length(const std::string& key, size_t count, const char* what, size_t found) {
  throw Problem("value", metric(key, "there must be as many ") + what + " as values, and there are " +
                             std::to_string(found) + " for " + std::to_string(count));
}

Series read_series(SEXP run_id, SEXP key, SEXP values, SEXP steps, SEXP timestamps) {
  Series found;
  found.run_id = runwire::text(run_id, "a run id");
  runwire::rules::run_id(found.run_id);
  found.key = runwire::text(key, "a metric's key");
  runwire::rules::key(found.key, "key");
  R_xlen_t count = Rf_xlength(values);
  found.values.resize(count);
  for (R_xlen_t i = 0; i < count; i++) found.values[i] = number_at(values, i, found.key);
  found.has_steps = steps != R_NilValue;
  if (found.has_steps) found.steps = runwire::integers(steps, metric(found.key, "step"));
  if (found.has_steps && Rf_xlength(steps) != count) wrong_length(found.key, count, "steps", found.steps.size());
  found.times.assign(count, timestamps == R_NilValue ? now() : 0);
  if (timestamps == R_NilValue) return found;
  R_xlen_t given = Rf_xlength(timestamps);
  if (given != 1 && given != count) wrong_length(found.key, count, "timestamps", given);
  for (R_xlen_t i = 0; i < count; i++) {
    found.times[i] = i > 0 && given == 1
                         ? found.times[0]
                         : runwire::checked_time(timestamps, i, found.key, "blocks[0].timestamps_ms");
  }
  return found;
}

std::vector<runwire::Record> encode_series(const Series& series) {
  std::string names = runwire::encode_names({series.key});
  std::vector<runwire::Record> records;
  std::vector<std::string> blocks;
  size_t size = 0;
  auto cut = [&] {
    if (blocks.empty()) return;
    runwire::Record record;
    record.run_id = series.run_id;
    record.data = runwire::encode_batch(series.run_id, blocks);
    records.push_back(std::move(record));
    blocks.clear();
    size = 0;
  };
  for (size_t start = 0; start < series.values.size(); start += kPiece) {
    size_t rows = std::min(kPiece, series.values.size() - start);
    std::string axis = series.has_steps ? runwire::encode_axis(series.steps.data() + start, rows)
                                        : runwire::encode_regular_axis(static_cast<int64_t>(start), 1);
    std::string block = runwire::encode_block(names, axis, series.times.data() + start, rows,
                                              series.values.data() + start, rows);
    if (size + block.size() > kSeriesBytes) cut();
    size += block.size();
    blocks.push_back(std::move(block));
  }
  cut();
  return records;
}

// A column of a data frame of points. That of a matrix has more values than there are rows.
SEXP column(SEXP points, const char* name, size_t rows) {
  SEXP found = member(points, name);
  auto count = static_cast<size_t>(Rf_xlength(found));
  if (found != R_NilValue && count != rows) {
    throw Problem("type", std::string("the column ") + name + " of metrics must have as many values as there are keys, " +
                              std::to_string(rows) + ", and has " + std::to_string(count));
  }
  return found;
}

// The points of a batch, as columns that may be NULL where they have defaults.
std::vector<runwire::BatchBlock> read_points(SEXP points, int64_t present) {
  if (points == R_NilValue) return {};
  std::vector<std::string> keys = runwire::texts(member(points, "key"), "a metric's key");
  std::vector<runwire::BatchPoint> listed(keys.size());
  SEXP values = column(points, "value", keys.size()), steps = column(points, "step", keys.size()),
       times = column(points, "timestamp", keys.size());
  bool apart = TYPEOF(values) == VECSXP;
  for (size_t i = 0; i < keys.size(); i++) {
    auto at = static_cast<R_xlen_t>(i);
    SEXP one = apart ? VECTOR_ELT(values, at) : values;
    if (apart && Rf_xlength(one) != 1) throw Problem("type", metric(keys[i], "the value must be one number"));
    listed[i].key = keys[i];
    listed[i].value = number_at(one, apart ? 0 : at, keys[i]);
    listed[i].step = steps == R_NilValue ? 0 : runwire::integer_at(steps, at, metric(keys[i], "step"));
    listed[i].time = times == R_NilValue ? present : time_at(times, at, metric(keys[i], "timestamp"));
  }
  return runwire::fold_points(listed);
}

runwire::BatchBlock read_block(SEXP block, int64_t present) {
  runwire::BatchBlock found;
  found.keys = runwire::texts(member(block, "keys"), "a block's keys");
  std::string first = found.keys.empty() ? "" : found.keys[0];
  found.column.steps = runwire::integers(member(block, "steps"), metric(first, "step"));
  SEXP times = member(block, "timestamps"), values = member(block, "values");
  auto rows = static_cast<R_xlen_t>(found.column.steps.size());
  auto width = static_cast<R_xlen_t>(found.keys.size());
  bool timed = times == R_NilValue || Rf_xlength(times) == 1 || Rf_xlength(times) == rows;
  if (Rf_xlength(values) != rows * width || !timed) {
    throw Problem("value", "a block must be as runwire_metric_block() made it, and not be changed afterwards");
  }
  for (R_xlen_t row = 0; row < rows; row++) {
    R_xlen_t at = Rf_xlength(times) == 1 ? 0 : row;
    found.column.times.push_back(times == R_NilValue ? present : time_at(times, at, metric(first, "timestamp")));
    for (size_t k = 0; k < found.keys.size(); k++) {
      found.column.values.push_back(number_at(values, row + static_cast<R_xlen_t>(k) * rows, found.keys[k]));
    }
  }
  return found;
}

void check_block(const runwire::BatchBlock& block, const std::string& place) {
  std::unordered_set<std::string> seen;
  for (size_t k = 0; k < block.keys.size(); k++) {
    runwire::rules::metric_key(block.keys[k], place + ".keys[" + std::to_string(k) + "]");
    seen.insert(block.keys[k]);
  }
  if (block.keys.empty() || seen.size() != block.keys.size()) {
    throw runwire::invalid(place + ".keys", "must be there, and nothing twice");
  }
  for (int64_t time : block.column.times) {
    if (time < 0) throw runwire::invalid("timestamps_ms", "must be 0 or later");
  }
}

// A block of a batch, which is not divided: its keys are a group where they make one as a whole.
std::string encode_whole(const runwire::BatchBlock& block, runwire::Groups& groups,
                         std::vector<runwire::GroupRef>* named) {
  std::vector<runwire::KeyPart> parts = groups.parts(block.keys);
  bool whole = parts.size() == 1;
  if (whole && parts[0].group) named->push_back(parts[0].group);
  const auto& column = block.column;
  return runwire::encode_block(whole ? parts[0].names : runwire::encode_names(block.keys),
                               runwire::encode_axis(column.steps.data(), column.steps.size()), column.times.data(),
                               column.times.size(), column.values.data(), column.values.size());
}

}  // namespace

// [[Rcpp::export(rng = false)]]
SEXP pipeline_open(SEXP given) {
  return guarded([&] {
    runwire::PipelineOptions options;
    options.delivery = runwire::delivery_options(given);
    options.offline = runwire::flag(member(given, "offline"), "offline");
    if (!options.offline) runwire::claim_process();
    options.root = runwire::text(member(given, "root"), "root");
    options.address = options.delivery.address;
    options.spool_bytes = static_cast<uint64_t>(runwire::number(member(given, "spool_bytes"), "spool_bytes"));
    options.block = runwire::flag(member(given, "block"), "block");
    auto held = std::make_unique<HeldPipeline>();
    held->pipeline = std::make_unique<Pipeline>(options);
    return hold(std::move(held));
  });
}

// NULL, or a problem, or FALSE where there is no pipeline: what a training loop pays for a point.
// [[Rcpp::export(rng = false)]]
SEXP log_point(SEXP holder, SEXP run_id, SEXP key, SEXP value, SEXP step, SEXP timestamp) {
  return interruptible([&]() -> SEXP {
    SEXP pipeline = pipeline_in(holder);
    if (pipeline == R_NilValue) return Rf_ScalarLogical(FALSE);
    Pipeline& it = pipeline_of(pipeline);
    std::string name = runwire::text(key, "a metric's key");
    if (Rf_xlength(value) != 1) throw Problem("type", metric(name, "the value must be one number"));
    double number = number_at(value, 0, name);
    int64_t at = step_of(step, name);
    int64_t time = time_of(timestamp, name);
    auto& buffer = it.buffer();
    uint32_t run = buffer.run(runwire::text(run_id, "a run id"));
    uint32_t set = buffer.set(name.c_str());
    it.start();
    buffer.row(run, set, &number, 1, at, time, user_interrupted);
    return R_NilValue;
  });
}

// [[Rcpp::export(rng = false)]]
SEXP log_row(SEXP pipeline, SEXP run_id, SEXP metrics, SEXP step, SEXP timestamp) {
  return interruptible([&]() -> SEXP {
    Pipeline& it = pipeline_of(pipeline);
    R_xlen_t width = Rf_xlength(metrics);
    SEXP names = Rf_getAttrib(metrics, R_NamesSymbol);
    if (width > 0 && names == R_NilValue) {
      throw Problem("type", "metrics must be a named vector or list of numbers");
    }
    runwire::Keys keys = runwire::texts(names, "a metric's key");
    std::vector<double> values(width);
    for (R_xlen_t i = 0; i < width; i++) {
      SEXP element = TYPEOF(metrics) == VECSXP ? VECTOR_ELT(metrics, i) : metrics;
      if (TYPEOF(metrics) == VECSXP && Rf_xlength(element) != 1) {
        throw Problem("type", metric(keys[i], "the value must be one number"));
      }
      values[i] = number_at(element, TYPEOF(metrics) == VECSXP ? 0 : i, keys[i]);
    }
    std::string first = keys.empty() ? "" : keys[0];
    int64_t at = step_of(step, first);
    int64_t time = time_of(timestamp, first);
    auto& buffer = it.buffer();
    uint32_t run = buffer.run(runwire::text(run_id, "a run id"));
    if (keys.empty()) return R_NilValue;
    uint32_t set = buffer.set(keys);
    it.start();
    buffer.row(run, set, values.data(), values.size(), at, time, user_interrupted);
    return R_NilValue;
  });
}

// [[Rcpp::export(rng = false)]]
SEXP log_series(SEXP pipeline, SEXP run_id, SEXP key, SEXP values, SEXP steps, SEXP timestamps) {
  return interruptible([&]() -> SEXP {
    Pipeline& it = pipeline_of(pipeline);
    Series series = read_series(run_id, key, values, steps, timestamps);
    for (auto& record : encode_series(series)) put(it, std::move(record));
    return R_NilValue;
  });
}

// Points as four columns; blocks as lists of keys, steps, timestamps and a matrix with a row for each step.
// [[Rcpp::export(rng = false)]]
SEXP log_batch(SEXP pipeline, SEXP run_id, SEXP points, SEXP blocks, SEXP params, SEXP tags) {
  return interruptible([&]() -> SEXP {
    HeldPipeline& held = held_by<HeldPipeline>(pipeline);
    runwire::Record record;
    record.run_id = runwire::text(run_id, "a run id");
    auto given = pairs_of(params, "params");
    auto named = pairs_of(tags, "tags");
    runwire::rules::run_id(record.run_id);
    runwire::rules::pairs(given, "params", runwire::rules::kMostParam);
    runwire::rules::pairs(named, "tags", runwire::rules::kMostTag);
    int64_t present = now();
    std::vector<runwire::BatchBlock> made = read_points(points, present);
    for (R_xlen_t i = 0; i < Rf_xlength(blocks); i++) {
      runwire::BatchBlock one = read_block(VECTOR_ELT(blocks, i), present);
      if (!one.column.steps.empty()) made.push_back(std::move(one));
    }
    std::vector<std::string> encoded;
    for (size_t i = 0; i < made.size(); i++) {
      check_block(made[i], "blocks[" + std::to_string(i) + "]");
      encoded.push_back(encode_whole(made[i], held.groups, &record.groups));
    }
    record.data = runwire::encode_batch(record.run_id, encoded, given, named);
    put(*held.pipeline, std::move(record));
    return R_NilValue;
  });
}

// A serialised `Record`; an empty one only has its run begun.
// [[Rcpp::export(rng = false)]]
SEXP log_record(SEXP pipeline, std::string run_id, SEXP data, bool ends) {
  return interruptible([&]() -> SEXP {
    Pipeline& it = pipeline_of(pipeline);
    runwire::rules::run_id(run_id);
    runwire::Record record;
    record.run_id = run_id;
    record.data = runwire::bytes(data, "a record");
    record.ends = ends;
    put(it, std::move(record));
    if (ends) it.stop_alive(run_id);
    return R_NilValue;
  });
}

// How a run begins, for spools that outlive the server's memory of it.
// [[Rcpp::export(rng = false)]]
SEXP log_begin(SEXP pipeline, std::string run_id, std::string parent, SEXP data) {
  return guarded([&]() -> SEXP {
    pipeline_of(pipeline).begins().put(run_id, runwire::Begin{runwire::bytes(data, "a record"), parent});
    return R_NilValue;
  });
}

// [[Rcpp::export(rng = false)]]
SEXP pipeline_keep_alive(SEXP pipeline, std::string run_id) {
  return guarded([&]() -> SEXP {
    runwire::rules::run_id(run_id);
    pipeline_of(pipeline).keep_alive(run_id);
    return R_NilValue;
  });
}

// [[Rcpp::export(rng = false)]]
SEXP pipeline_deliver(SEXP pipeline, double timeout, bool tell) {
  return interruptible([&] { return as_result(pipeline_of(pipeline).deliver(timeout, user_interrupted, tell)); });
}

// [[Rcpp::export(rng = false)]]
SEXP pipeline_lost(SEXP pipeline) {
  return guarded([&] { return as_result(pipeline_of(pipeline).lost()); });
}

// [[Rcpp::export(rng = false)]]
SEXP pipeline_end(SEXP pipeline) {
  return guarded([&]() -> SEXP {
    pipeline_of(pipeline).end();
    return R_NilValue;
  });
}

// Whether R's process is the one that made this.
// [[Rcpp::export(rng = false)]]
bool is_here(SEXP pipeline) {
  auto* held = static_cast<HeldPipeline*>(R_ExternalPtrAddr(pipeline));
  return held != nullptr && held->here();
}

// Has SIGTERM end a run as KILLED.
// [[Rcpp::export(rng = false)]]
SEXP pipeline_end_at_termination(SEXP pipeline, std::string run_id) {
  return guarded([&]() -> SEXP {
    pipeline_of(pipeline).end_at_termination(run_id);
    return R_NilValue;
  });
}

// Says that the server has answered a call.
// [[Rcpp::export(rng = false)]]
SEXP pipeline_reached(SEXP pipeline) {
  return guarded([&]() -> SEXP {
    pipeline_of(pipeline).reached();
    return R_NilValue;
  });
}
