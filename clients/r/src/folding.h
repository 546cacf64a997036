// From what a user logged to records: points become blocks, blocks become records.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "frames.h"

namespace runwire {

using Keys = std::vector<std::string>;

// A part of a set of keys that one block can name: keys[start:end].
struct KeyPart {
  size_t start, end;
  // What the block says of it.
  std::string names;
  // Null where the keys stand inline.
  GroupRef group;
};

// How sets of keys are named: inline, and from their second use on by a group where they are wide.
class Groups {
 public:
  std::vector<KeyPart> parts(const Keys& keys);

 private:
  KeyPart part(const Keys& keys, size_t start, size_t end);

  std::unordered_map<std::string, std::vector<KeyPart>> parts_;
  std::unordered_set<std::string> seen_;
  size_t count_ = 0;
  size_t bytes_ = 0;
};

// Points of one key or of one set of keys, row by row.
struct Column {
  std::vector<int64_t> steps, times;
  std::vector<double> values;
};

// Gathers blocks into records of a good size.
class Batches {
 public:
  Batches(std::string run_id, Groups& groups) : run_id_(std::move(run_id)), groups_(groups) {}

  // Adds rows of a set of keys.
  void add(const Keys& keys, const Column& column);
  std::vector<Record> finish();

 private:
  void unit(const std::vector<KeyPart>& parts, size_t width, const Column& column, size_t start, size_t end);
  void cut();

  std::string run_id_;
  Groups& groups_;
  std::vector<std::string> blocks_;
  std::map<std::string, GroupRef> named_;
  size_t size_ = 0;
  std::vector<Record> records_;
};

// The points of one run, gathered by set of keys in the order of arrival within each key. Sets are numbered by
// whoever logs; `keys_of` and `members_of` say what a number stands for.
class Columns {
 public:
  struct Names {
    virtual ~Names() = default;
    virtual const Keys& keys_of(uint32_t set) const = 0;
    virtual const std::vector<uint32_t>& members_of(uint32_t set) const = 0;
  };

  Columns(std::string run_id, Groups& groups, const Names& names)
      : batches_(std::move(run_id), groups), names_(names) {}

  Column& at(uint32_t set) {
    auto found = columns_.find(set);
    return found == columns_.end() ? begin(set) : found->second;
  }
  std::vector<Record> finish();

 private:
  Column& begin(uint32_t set);

  Batches batches_;
  const Names& names_;
  std::unordered_map<uint32_t, Column> columns_;
  std::vector<uint32_t> order_;
  // A key that stands alone and in a set has to be written before its points change places.
  std::unordered_map<uint32_t, uint32_t> owners_;
};

// One point of a batch.
struct BatchPoint {
  std::string key;
  int64_t step, time;
  double value;
};

// A block in the making, of a batch.
struct BatchBlock {
  Keys keys;
  Column column;
};

// Folds points into as few blocks as keep each key's order.
std::vector<BatchBlock> fold_points(const std::vector<BatchPoint>& points);

}  // namespace runwire
