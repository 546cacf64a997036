#include "fold.h"

#include <algorithm>

namespace runwire {

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
