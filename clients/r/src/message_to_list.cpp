#include <cstring>

#include "schema.h"
#include "well_known.h"

namespace runwire {

using google::protobuf::Descriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

namespace {

SEXP number_vector(const FieldDescriptor* field, const Message& message) {
  const Reflection* r = message.GetReflection();
  int count = r->FieldSize(message, field);
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      auto numbers = r->GetRepeatedFieldRef<double>(message, field);
      Rcpp::Shield<SEXP> found(Rf_allocVector(REALSXP, count));
      for (int i = 0; i < count; i++) REAL(found)[i] = numbers.Get(i);
      return found;
    }
    case FieldDescriptor::CPPTYPE_INT64: {
      auto numbers = r->GetRepeatedFieldRef<int64_t>(message, field);
      std::vector<int64_t> found(count);
      for (int i = 0; i < count; i++) found[i] = numbers.Get(i);
      return make_integers(found.data(), found.size());
    }
    case FieldDescriptor::CPPTYPE_INT32: {
      Rcpp::Shield<SEXP> found(Rf_allocVector(INTSXP, count));
      for (int i = 0; i < count; i++) INTEGER(found)[i] = r->GetRepeatedInt32(message, field, i);
      return found;
    }
    case FieldDescriptor::CPPTYPE_BOOL: {
      Rcpp::Shield<SEXP> found(Rf_allocVector(LGLSXP, count));
      for (int i = 0; i < count; i++) LOGICAL(found)[i] = r->GetRepeatedBool(message, field, i);
      return found;
    }
    default: {
      Rcpp::Shield<SEXP> found(Rf_allocVector(REALSXP, count));
      for (int i = 0; i < count; i++) {
        REAL(found)[i] = field->cpp_type() == FieldDescriptor::CPPTYPE_UINT32
                             ? r->GetRepeatedUInt32(message, field, i)
                         : field->cpp_type() == FieldDescriptor::CPPTYPE_FLOAT
                             ? r->GetRepeatedFloat(message, field, i)
                             : static_cast<double>(r->GetRepeatedUInt64(message, field, i));
      }
      return found;
    }
  }
}

std::string enum_name(const FieldDescriptor* field, int number) {
  const EnumValueDescriptor* found = field->enum_type()->FindValueByNumber(number);
  // A value that a newer server has.
  return found == nullptr ? std::to_string(number) : found->name();
}

SEXP make_raw(const std::string& bytes) {
  SEXP found = Rf_allocVector(RAWSXP, bytes.size());
  if (!bytes.empty()) std::memcpy(RAW(found), bytes.data(), bytes.size());
  return found;
}

SEXP seconds_of(const Message& message) {
  const Descriptor* type = message.GetDescriptor();
  const Reflection* r = message.GetReflection();
  double seconds = static_cast<double>(r->GetInt64(message, type->FindFieldByName("seconds")));
  double nanos = r->GetInt32(message, type->FindFieldByName("nanos"));
  Rcpp::NumericVector found = Rcpp::NumericVector::create(seconds + nanos / 1e9);
  if (type->full_name() == kTimestamp) {
    found.attr("class") = Rcpp::CharacterVector::create("POSIXct", "POSIXt");
    found.attr("tzone") = "UTC";
  } else {
    found.attr("class") = "difftime";
    found.attr("units") = "secs";
  }
  return found;
}

SEXP message_value(const Message& message) {
  const Descriptor* type = message.GetDescriptor();
  if (is_seconds(type)) return seconds_of(message);
  if (type->full_name() == kFieldMask) {
    const FieldDescriptor* paths = type->FindFieldByName("paths");
    int count = message.GetReflection()->FieldSize(message, paths);
    Rcpp::Shield<SEXP> found(Rf_allocVector(STRSXP, count));
    for (int i = 0; i < count; i++) {
      SET_STRING_ELT(found, i, make_string(message.GetReflection()->GetRepeatedString(message, paths, i)));
    }
    return found;
  }
  return to_list(message);
}

SEXP map_value(const FieldDescriptor* field, const Message& message) {
  const Reflection* r = message.GetReflection();
  int count = r->FieldSize(message, field);
  Rcpp::Shield<SEXP> found(Rf_allocVector(STRSXP, count));
  Rcpp::Shield<SEXP> names(Rf_allocVector(STRSXP, count));
  for (int i = 0; i < count; i++) {
    const Message& entry = r->GetRepeatedMessage(message, field, i);
    const Descriptor* type = entry.GetDescriptor();
    SET_STRING_ELT(names, i, make_string(entry.GetReflection()->GetString(entry, type->map_key())));
    SET_STRING_ELT(found, i, make_string(entry.GetReflection()->GetString(entry, type->map_value())));
  }
  Rf_setAttrib(found, R_NamesSymbol, names);
  return found;
}

SEXP repeated_value(const FieldDescriptor* field, const Message& message) {
  const Reflection* r = message.GetReflection();
  int count = r->FieldSize(message, field);
  if (field->is_map()) return map_value(field, message);
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    Rcpp::Shield<SEXP> found(Rf_allocVector(VECSXP, count));
    for (int i = 0; i < count; i++) {
      SET_VECTOR_ELT(found, i, message_value(r->GetRepeatedMessage(message, field, i)));
    }
    return found;
  }
  if (field->type() == FieldDescriptor::TYPE_BYTES) {
    Rcpp::Shield<SEXP> found(Rf_allocVector(VECSXP, count));
    for (int i = 0; i < count; i++) SET_VECTOR_ELT(found, i, make_raw(r->GetRepeatedString(message, field, i)));
    return found;
  }
  bool is_enum = field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM;
  if (is_enum || field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
    Rcpp::Shield<SEXP> found(Rf_allocVector(STRSXP, count));
    for (int i = 0; i < count; i++) {
      SET_STRING_ELT(found, i,
                     make_string(is_enum ? enum_name(field, r->GetRepeatedEnumValue(message, field, i))
                                         : r->GetRepeatedString(message, field, i)));
    }
    return found;
  }
  return number_vector(field, message);
}

SEXP single_value(const FieldDescriptor* field, const Message& message) {
  const Reflection* r = message.GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return Rf_ScalarInteger(r->GetInt32(message, field));
    case FieldDescriptor::CPPTYPE_UINT32:
      return Rf_ScalarReal(r->GetUInt32(message, field));
    case FieldDescriptor::CPPTYPE_INT64: {
      int64_t number = r->GetInt64(message, field);
      return make_integers(&number, 1);
    }
    case FieldDescriptor::CPPTYPE_UINT64:
      return Rf_ScalarReal(static_cast<double>(r->GetUInt64(message, field)));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return Rf_ScalarReal(r->GetDouble(message, field));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return Rf_ScalarReal(r->GetFloat(message, field));
    case FieldDescriptor::CPPTYPE_BOOL:
      return Rf_ScalarLogical(r->GetBool(message, field));
    case FieldDescriptor::CPPTYPE_ENUM:
      return Rf_mkString(enum_name(field, r->GetEnumValue(message, field)).c_str());
    case FieldDescriptor::CPPTYPE_STRING:
      if (field->type() == FieldDescriptor::TYPE_BYTES) return make_raw(r->GetString(message, field));
      return Rf_ScalarString(Rcpp::Shield<SEXP>(make_string(r->GetString(message, field))));
    default:
      return message_value(r->GetMessage(message, field));
  }
}

}  // namespace

SEXP to_list(const Message& message) {
  const Descriptor* type = message.GetDescriptor();
  const Reflection* r = message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  for (int i = 0; i < type->field_count(); i++) {
    const FieldDescriptor* field = type->field(i);
    if (field->is_repeated() || !field->has_presence() || r->HasField(message, field)) fields.push_back(field);
  }
  Rcpp::Shield<SEXP> found(Rf_allocVector(VECSXP, fields.size()));
  Rcpp::Shield<SEXP> names(Rf_allocVector(STRSXP, fields.size()));
  for (size_t i = 0; i < fields.size(); i++) {
    SET_STRING_ELT(names, i, make_string(fields[i]->name()));
    SET_VECTOR_ELT(found, i,
                   fields[i]->is_repeated() ? repeated_value(fields[i], message) : single_value(fields[i], message));
  }
  Rf_setAttrib(found, R_NamesSymbol, names);
  return found;
}

}  // namespace runwire
