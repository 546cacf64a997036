#include <cmath>

#include "lists.h"
#include "rules.h"

namespace runwire {

using google::protobuf::Descriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

namespace {

[[noreturn]] void wrong(const FieldDescriptor* field, const std::string& wanted, SEXP value) {
  throw Problem("type", field->name() + " must be " + wanted + ", not " + kind_of(value));
}

double double_at(const FieldDescriptor* field, SEXP value, R_xlen_t place) {
  if (is_integer64(value)) wrong(field, "a number that is a double", value);
  if (TYPEOF(value) == REALSXP) return REAL(value)[place];
  if (TYPEOF(value) == INTSXP && !Rf_isFactor(value)) {
    int found = INTEGER(value)[place];
    if (found == NA_INTEGER) throw Problem("type", field->name() + " must not be NA");
    return found;
  }
  wrong(field, "a number", value);
}

// Text that a message can hold: what is none would have the server refuse the whole message, without a word of where.
std::string text_at(const FieldDescriptor* field, SEXP value, R_xlen_t place) {
  std::string found = utf8(STRING_ELT(value, place), field->name().c_str());
  rules::text(found, field->name());
  return found;
}

std::string bytes_of(const FieldDescriptor* field, SEXP value) {
  return bytes(value, field->name().c_str());
}

int enum_at(const FieldDescriptor* field, SEXP value, R_xlen_t place) {
  if (TYPEOF(value) != STRSXP) return static_cast<int>(integer_at(value, place, field->name()));
  std::string name = utf8(STRING_ELT(value, place), field->name().c_str());
  const EnumValueDescriptor* found = field->enum_type()->FindValueByName(name);
  if (found == nullptr) {
    throw Problem("value", field->name() + " must be a name of " + field->enum_type()->name() + ", and is \"" +
                               name + "\"");
  }
  return found->number();
}

bool flag_at(const FieldDescriptor* field, SEXP value, R_xlen_t place) {
  if (TYPEOF(value) != LGLSXP || LOGICAL(value)[place] == NA_LOGICAL) wrong(field, "TRUE or FALSE", value);
  return LOGICAL(value)[place] != 0;
}

// An int32 from an int64 that has been read.
int32_t narrow(const FieldDescriptor* field, int64_t value) {
  if (value < INT32_MIN || value > INT32_MAX) {
    throw Problem("value", field->name() + " must fit in 32 bits, and is " + std::to_string(value));
  }
  return static_cast<int32_t>(value);
}

uint32_t unsigned_narrow(const FieldDescriptor* field, int64_t value) {
  if (value < 0 || value > UINT32_MAX) {
    throw Problem("value", field->name() + " must fit in 32 bits, and is " + std::to_string(value));
  }
  return static_cast<uint32_t>(value);
}

// Sets or adds the element at a place of a vector.
template <typename Put>
void put_one(const FieldDescriptor* field, SEXP value, R_xlen_t place, Put put) {
  const std::string& name = field->name();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return put.int32(narrow(field, integer_at(value, place, name)));
    case FieldDescriptor::CPPTYPE_UINT32:
      return put.uint32(unsigned_narrow(field, integer_at(value, place, name)));
    case FieldDescriptor::CPPTYPE_INT64:
      return put.int64(integer_at(value, place, name));
    case FieldDescriptor::CPPTYPE_UINT64:
      return put.uint64(static_cast<uint64_t>(integer_at(value, place, name)));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return put.real(double_at(field, value, place));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return put.single(static_cast<float>(double_at(field, value, place)));
    case FieldDescriptor::CPPTYPE_BOOL:
      return put.flag(flag_at(field, value, place));
    case FieldDescriptor::CPPTYPE_ENUM:
      return put.number(enum_at(field, value, place));
    case FieldDescriptor::CPPTYPE_STRING:
      if (TYPEOF(value) != STRSXP) wrong(field, "text", value);
      return put.text(text_at(field, value, place));
    default:
      return;
  }
}

struct Setter {
  Message& message;
  const Reflection* r;
  const FieldDescriptor* f;
  void int32(int32_t v) { r->SetInt32(&message, f, v); }
  void uint32(uint32_t v) { r->SetUInt32(&message, f, v); }
  void int64(int64_t v) { r->SetInt64(&message, f, v); }
  void uint64(uint64_t v) { r->SetUInt64(&message, f, v); }
  void real(double v) { r->SetDouble(&message, f, v); }
  void single(float v) { r->SetFloat(&message, f, v); }
  void flag(bool v) { r->SetBool(&message, f, v); }
  void number(int v) { r->SetEnumValue(&message, f, v); }
  void text(const std::string& v) { r->SetString(&message, f, v); }
};

struct Adder {
  Message& message;
  const Reflection* r;
  const FieldDescriptor* f;
  void int32(int32_t v) { r->AddInt32(&message, f, v); }
  void uint32(uint32_t v) { r->AddUInt32(&message, f, v); }
  void int64(int64_t v) { r->AddInt64(&message, f, v); }
  void uint64(uint64_t v) { r->AddUInt64(&message, f, v); }
  void real(double v) { r->AddDouble(&message, f, v); }
  void single(float v) { r->AddFloat(&message, f, v); }
  void flag(bool v) { r->AddBool(&message, f, v); }
  void number(int v) { r->AddEnumValue(&message, f, v); }
  void text(const std::string& v) { r->AddString(&message, f, v); }
};

// The seconds in a unit of R's durations.
double unit_of(const FieldDescriptor* field, SEXP value) {
  std::string unit = text(Rf_getAttrib(value, Rf_install("units")), "units");
  if (unit == "secs") return 1;
  if (unit == "mins") return 60;
  if (unit == "hours") return 3600;
  if (unit == "days") return 86400;
  if (unit == "weeks") return 604800;
  throw Problem("type", field->name() + " has the unknown unit " + unit);
}

void set_seconds(Message& message, const FieldDescriptor* parent, SEXP value) {
  bool duration = message.GetDescriptor()->full_name() == kDuration;
  const char* wanted = duration ? "one difftime or number of seconds" : "one time or number of seconds";
  if (Rf_xlength(value) != 1 || (TYPEOF(value) != REALSXP && TYPEOF(value) != INTSXP)) wrong(parent, wanted, value);
  double unit = 1;
  if (Rf_isObject(value)) {
    if (duration && Rf_inherits(value, "difftime")) {
      unit = unit_of(parent, value);
    } else if (!duration && Rf_inherits(value, "Date")) {
      unit = 86400;
    } else if (duration || !Rf_inherits(value, "POSIXct")) {
      wrong(parent, wanted, value);
    }
  }
  double seconds = double_at(parent, value, 0) * unit;
  if (!std::isfinite(seconds)) throw Problem("type", parent->name() + " must be finite");
  // To the microsecond, which is what a double has room for: a time of today would else get a tail.
  double micros = std::round(seconds * 1e6);
  double whole = std::floor(micros / 1e6);
  const Descriptor* type = message.GetDescriptor();
  const Reflection* r = message.GetReflection();
  r->SetInt64(&message, type->FindFieldByName("seconds"), static_cast<int64_t>(whole));
  r->SetInt32(&message, type->FindFieldByName("nanos"), static_cast<int32_t>((micros - whole * 1e6) * 1000));
}

void fill(Message& message, const FieldDescriptor* parent, SEXP value) {
  const Descriptor* type = message.GetDescriptor();
  if (is_seconds(type)) return set_seconds(message, parent, value);
  if (type->full_name() == kFieldMask && TYPEOF(value) == STRSXP) {
    const FieldDescriptor* paths = type->FindFieldByName("paths");
    for (const std::string& path : texts(value, parent->name().c_str())) {
      message.GetReflection()->AddString(&message, paths, path);
    }
    return;
  }
  if (TYPEOF(value) != VECSXP) wrong(parent, "a named list", value);
  from_list(message, value);
}

// A map from text to text, as a named character vector or list.
void fill_map(Message& message, const FieldDescriptor* field, SEXP value) {
  SEXP names = Rf_getAttrib(value, R_NamesSymbol);
  if (TYPEOF(value) != STRSXP || names == R_NilValue) wrong(field, "a named character vector", value);
  for (R_xlen_t i = 0; i < Rf_xlength(value); i++) {
    Message* entry = message.GetReflection()->AddMessage(&message, field);
    const Descriptor* type = entry->GetDescriptor();
    const Reflection* r = entry->GetReflection();
    r->SetString(entry, type->map_key(), text_at(field, names, i));
    r->SetString(entry, type->map_value(), text_at(field, value, i));
  }
}

void fill_repeated(Message& message, const FieldDescriptor* field, SEXP value) {
  const Reflection* r = message.GetReflection();
  if (field->is_map()) return fill_map(message, field, value);
  R_xlen_t count = Rf_xlength(value);
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE || field->type() == FieldDescriptor::TYPE_BYTES) {
    if (TYPEOF(value) != VECSXP) wrong(field, "a list", value);
    for (R_xlen_t i = 0; i < count; i++) {
      SEXP element = VECTOR_ELT(value, i);
      if (field->type() == FieldDescriptor::TYPE_BYTES) {
        r->AddString(&message, field, bytes_of(field, element));
      } else {
        fill(*r->AddMessage(&message, field), field, element);
      }
    }
    return;
  }
  for (R_xlen_t i = 0; i < count; i++) put_one(field, value, i, Adder{message, r, field});
}

void fill_field(Message& message, const FieldDescriptor* field, SEXP value) {
  const Reflection* r = message.GetReflection();
  if (field->is_repeated()) return fill_repeated(message, field, value);
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    return fill(*r->MutableMessage(&message, field), field, value);
  }
  if (field->type() == FieldDescriptor::TYPE_BYTES) return r->SetString(&message, field, bytes_of(field, value));
  if (Rf_xlength(value) != 1) throw Problem("type", field->name() + " must be one value");
  put_one(field, value, 0, Setter{message, r, field});
}

}  // namespace

void from_list(Message& message, SEXP list) {
  const Descriptor* type = message.GetDescriptor();
  SEXP names = Rf_getAttrib(list, R_NamesSymbol);
  if (Rf_xlength(list) > 0 && names == R_NilValue) {
    throw Problem("type", "a " + type->name() + " must be a list whose elements are named");
  }
  for (R_xlen_t i = 0; i < Rf_xlength(list); i++) {
    SEXP value = VECTOR_ELT(list, i);
    std::string name = utf8(STRING_ELT(names, i), "a field's name");
    const FieldDescriptor* field = type->FindFieldByName(name);
    if (field == nullptr) throw Problem("value", "a " + type->name() + " has no field " + name);
    if (value != R_NilValue) fill_field(message, field, value);
  }
}

}  // namespace runwire
