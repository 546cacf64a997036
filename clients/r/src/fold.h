// One pass over what was logged. Points of a run may move before and behind those of other keys, never across another
// record of their run.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "buffer.h"
#include "cutter.h"

namespace runwire {

class Fold {
 public:
  Fold(Batch& batch, const Names& names, Groups& groups, Cutter& cutter)
      : batch_(batch), names_(names), groups_(groups), cutter_(cutter) {}

  void row(const Item& item);
  // Hands a record on, behind the points of its run that came before it.
  void record(Record& record);
  // Hands on all points, and cuts the frame in the making.
  void finish();

 private:
  Columns& columns_of(uint32_t run);
  void emit(std::vector<Record> records);

  Batch& batch_;
  const Names& names_;
  Groups& groups_;
  Cutter& cutter_;
  std::unordered_map<uint32_t, std::unique_ptr<Columns>> runs_;
  std::vector<uint32_t> order_;
  std::unordered_map<std::string, uint32_t> numbers_;
  uint32_t last_ = UINT32_MAX;
  Columns* columns_ = nullptr;
};

}  // namespace runwire
