#include "folding.h"

#include <algorithm>

namespace runwire {

namespace {

constexpr size_t kUnitBytes = 512 * 1024;
constexpr size_t kBatchBytes = 256 * 1024;
// Sets of keys as wide as this become a group at their first use: inline they would fill frames.
constexpr size_t kWideKeys = 1000;
constexpr size_t kMostGroupKeys = 10000;
// Two makers share the 1,000 that a stream may declare: what is logged by point, and what comes as batches.
constexpr size_t kMostGroups = 500;
constexpr size_t kMostGroupBytes = 16 * 1024 * 1024;
constexpr size_t kMostGroupText = 1024 * 1024;
constexpr size_t kMostSeen = 10000;

// Divides keys so that each piece can be declared in one message.
std::vector<std::pair<size_t, size_t>> pieces(const Keys& keys) {
  std::vector<std::pair<size_t, size_t>> found;
  size_t start = 0, size = 0;
  for (size_t i = 0; i < keys.size(); i++) {
    if (i - start == kMostGroupKeys || size > kMostGroupText) {
      found.emplace_back(start, i);
      start = i;
      size = 0;
    }
    size += keys[i].size() + 4;
  }
  found.emplace_back(start, keys.size());
  return found;
}

}  // namespace

std::vector<KeyPart> Groups::parts(const Keys& keys) {
  if (keys.size() < kGroupKeys) return {KeyPart{0, keys.size(), encode_names(keys), nullptr}};
  std::string all = joined(keys);
  auto known = parts_.find(all);
  if (known != parts_.end()) return known->second;
  if (keys.size() < kWideKeys && seen_.count(all) == 0) {
    if (seen_.size() >= kMostSeen) seen_.clear();
    seen_.insert(all);
    return {KeyPart{0, keys.size(), encode_names(keys), nullptr}};
  }
  std::vector<KeyPart> made;
  bool whole = true;
  for (const auto& piece : pieces(keys)) {
    made.push_back(part(keys, piece.first, piece.second));
    // The last piece may be too small for a group, and never becomes one.
    whole = whole && (made.back().group || piece.second - piece.first < kGroupKeys);
  }
  if (whole) parts_[all] = made;
  return made;
}

KeyPart Groups::part(const Keys& keys, size_t start, size_t end) {
  Keys piece(keys.begin() + static_cast<std::ptrdiff_t>(start), keys.begin() + static_cast<std::ptrdiff_t>(end));
  size_t size = 0;
  for (const auto& key : piece) size += key.size();
  bool full = count_ >= kMostGroups || bytes_ + size > kMostGroupBytes;
  if (full || piece.size() < kGroupKeys) return KeyPart{start, end, encode_names(piece), nullptr};
  count_++;
  bytes_ += size;
  GroupRef group = make_group(piece);
  return KeyPart{start, end, encode_group_name(group->hash), group};
}

void Batches::add(const Keys& keys, const Column& column) {
  size_t width = keys.size(), count = column.times.size();
  size_t rows = std::max<size_t>(1, kUnitBytes / (8 * (width + 2)));
  std::vector<KeyPart> parts = groups_.parts(keys);
  for (size_t start = 0; start < count; start += rows) {
    unit(parts, width, column, start, std::min(count, start + rows));
  }
}

// Adds rows; blocks that share them stay in one record.
void Batches::unit(const std::vector<KeyPart>& parts, size_t width, const Column& column, size_t start, size_t end) {
  size_t rows = end - start;
  const int64_t* times = column.times.data() + start;
  const double* values = column.values.data() + start * width;
  std::string axis = encode_axis(column.steps.data() + start, rows);
  for (const KeyPart& part : parts) {
    std::string block;
    if (parts.size() == 1) {
      block = encode_block(part.names, axis, times, rows, values, rows * width);
    } else {
      std::vector<double> some;
      some.reserve(rows * (part.end - part.start));
      for (size_t row = 0; row < rows; row++) {
        some.insert(some.end(), values + row * width + part.start, values + row * width + part.end);
      }
      block = encode_block(part.names, axis, times, rows, some.data(), some.size());
    }
    if (size_ + block.size() > kMostRecordBytes) cut();
    size_ += block.size();
    blocks_.push_back(std::move(block));
    if (part.group) named_[part.group->hash] = part.group;
  }
  if (size_ >= kBatchBytes) cut();
}

void Batches::cut() {
  if (!blocks_.empty()) {
    Record record;
    record.run_id = run_id_;
    record.data = encode_batch(run_id_, blocks_);
    for (auto& named : named_) record.groups.push_back(named.second);
    records_.push_back(std::move(record));
  }
  blocks_.clear();
  named_.clear();
  size_ = 0;
}

std::vector<Record> Batches::finish() {
  cut();
  std::vector<Record> found;
  found.swap(records_);
  return found;
}

Column& Columns::begin(uint32_t set) {
  const auto& members = names_.members_of(set);
  for (uint32_t member : members) {
    auto owner = owners_.find(member);
    if (owner == owners_.end()) continue;
    uint32_t other = owner->second;
    batches_.add(names_.keys_of(other), columns_.at(other));
    columns_.erase(other);
    order_.erase(std::find(order_.begin(), order_.end(), other));
    for (uint32_t one : names_.members_of(other)) owners_.erase(one);
  }
  for (uint32_t member : members) owners_[member] = set;
  order_.push_back(set);
  return columns_[set];
}

std::vector<Record> Columns::finish() {
  for (uint32_t set : order_) batches_.add(names_.keys_of(set), columns_.at(set));
  columns_.clear();
  order_.clear();
  owners_.clear();
  return batches_.finish();
}

std::vector<BatchBlock> fold_points(const std::vector<BatchPoint>& points) {
  std::vector<BatchBlock> found;
  // The block that has a key's last point.
  std::unordered_map<std::string, size_t> last;
  Keys keys;
  std::unordered_set<std::string> in_row;
  std::vector<double> values;
  int64_t step = 0, time = 0;
  auto end_row = [&] {
    if (keys.empty()) return;
    auto before = last.find(keys[0]);
    bool goes_on = before != last.end() && found[before->second].keys == keys;
    for (size_t i = 1; goes_on && i < keys.size(); i++) {
      auto other = last.find(keys[i]);
      goes_on = other != last.end() && other->second == before->second;
    }
    size_t place = goes_on ? before->second : found.size();
    if (!goes_on) found.push_back(BatchBlock{keys, {}});
    Column& column = found[place].column;
    column.steps.push_back(step);
    column.times.push_back(time);
    column.values.insert(column.values.end(), values.begin(), values.end());
    for (const auto& key : keys) last[key] = place;
    keys.clear();
    in_row.clear();
    values.clear();
  };
  for (const auto& point : points) {
    if (point.step != step || point.time != time || in_row.count(point.key) > 0) end_row();
    step = point.step;
    time = point.time;
    keys.push_back(point.key);
    in_row.insert(point.key);
    values.push_back(point.value);
  }
  end_row();
  return found;
}

}  // namespace runwire
