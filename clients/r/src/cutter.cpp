#include "cutter.h"

#include <algorithm>

#include "wire.h"

namespace runwire {

void Begins::put(const std::string& run_id, Begin begin) {
  std::lock_guard<std::mutex> lock(guard_);
  begins_[run_id] = std::move(begin);
}

std::optional<Begin> Begins::get(const std::string& run_id) const {
  std::lock_guard<std::mutex> lock(guard_);
  auto found = begins_.find(run_id);
  if (found == begins_.end()) return std::nullopt;
  return found->second;
}

void Begins::erase(const std::string& run_id) {
  std::lock_guard<std::mutex> lock(guard_);
  begins_.erase(run_id);
}

void Cutter::add(Record record) {
  if (payload_.empty()) {
    open(record.data.size());
  } else if (payload_.size() + record.data.size() > kLargeFrameBytes) {
    cut();
    open(record.data.size());
  }
  begin(record.run_id);
  if (!record.data.empty()) {
    append_field(payload_, 1, record.data);
    for (const auto& group : record.groups) groups_[group->hash] = group;
  }
  given_.push_back(std::move(record));
  if (payload_.size() >= target_) cut();
}

void Cutter::open(size_t size) {
  FrameSink::Opened found = sink_.open_lane(std::max(size, kFrameBytes));
  if (found.lane != lane_ || found.segment != segment_) {
    lane_ = found.lane;
    segment_ = found.segment;
    begun_.clear();
  }
  target_ = sink_.target(*lane_);
}

// The first frame of a segment that names a run begins it, so that a segment can go to any server.
void Cutter::begin(const std::string& run_id) {
  if (!begun_.insert(run_id).second) return;
  std::optional<Begin> found = begins_.get(run_id);
  if (!found) return;
  if (!found->parent.empty()) begin(found->parent);
  append_field(payload_, 1, found->data);
}

void Cutter::cut() {
  while (!payload_.empty()) {
    std::vector<GroupRef> groups;
    for (const auto& group : groups_) groups.push_back(group.second);
    bool cut = sink_.write(*lane_, payload_, groups);
    std::vector<Record> given;
    given.swap(given_);
    payload_.clear();
    groups_.clear();
    if (!cut) {
      // The writer ended: its successor's spool has to begin the runs again.
      for (auto& record : given) add(std::move(record));
      continue;
    }
    for (const auto& record : given) {
      // Whatever comes for it now finds it on the server, or behind this in the same spool.
      if (record.ends) begins_.erase(record.run_id);
    }
  }
}

void Fold::row(const Item& item) {
  if (item.place != last_) {
    last_ = item.place;
    columns_ = &columns_of(last_);
  }
  Column& column = columns_->at(item.set);
  column.steps.push_back(item.step);
  column.times.push_back(item.time);
  const double* values = batch_.values.data() + item.values;
  column.values.insert(column.values.end(), values, values + names_.members[item.set].size());
}

Columns& Fold::columns_of(uint32_t run) {
  auto& found = runs_[run];
  if (!found) {
    found = std::make_unique<Columns>(names_.runs[run], groups_, names_);
    order_.push_back(run);
    numbers_[names_.runs[run]] = run;
  }
  return *found;
}

void Fold::emit(std::vector<Record> records) {
  for (auto& record : records) cutter_.add(std::move(record));
}

void Fold::record(Record& record) {
  auto number = numbers_.find(record.run_id);
  if (number != numbers_.end()) {
    emit(runs_[number->second]->finish());
    runs_.erase(number->second);
    order_.erase(std::find(order_.begin(), order_.end(), number->second));
    numbers_.erase(number);
    last_ = UINT32_MAX;
  }
  cutter_.add(std::move(record));
}

void Fold::finish() {
  for (uint32_t run : order_) emit(runs_[run]->finish());
  runs_.clear();
  order_.clear();
  numbers_.clear();
  last_ = UINT32_MAX;
  cutter_.cut();
}

}  // namespace runwire
