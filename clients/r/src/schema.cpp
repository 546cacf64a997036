#include "schema.h"

#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>

#include "lists.h"

namespace runwire {

using google::protobuf::Descriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

struct Schema::Inner {
  Inner() : factory(&pool) {}

  const Descriptor* type(const std::string& full_name) const;
  std::unique_ptr<Message> make(const Descriptor* type) {
    return std::unique_ptr<Message>(factory.GetPrototype(type)->New());
  }

  google::protobuf::DescriptorPool pool;
  google::protobuf::DynamicMessageFactory factory;
};

const Descriptor* Schema::Inner::type(const std::string& full_name) const {
  const auto* found = pool.FindMessageTypeByName(full_name);
  if (found == nullptr) throw Problem("value", "there is no message " + full_name);
  return found;
}

Schema::Schema(const std::string& set) : inner_(new Inner) {
  google::protobuf::FileDescriptorSet files;
  if (!files.ParseFromString(set)) throw Problem("state", "the description of the API is damaged");
  for (const auto& file : files.file()) {
    if (inner_->pool.BuildFile(file) == nullptr) {
      throw Problem("state", "the description of the API is damaged at " + file.name());
    }
  }
}

Schema::~Schema() = default;

Method Schema::method(const std::string& service, const std::string& name) const {
  const auto* found = inner_->pool.FindMethodByName("runwire.v1." + service + "." + name);
  if (found == nullptr) throw Problem("value", "there is no method " + service + "." + name);
  return Method{"/" + found->service()->full_name() + "/" + found->name(), found->input_type()->full_name(),
                found->output_type()->full_name()};
}

std::string Schema::message(const std::string& name) const { return inner_->type("runwire.v1." + name)->full_name(); }

std::string Schema::encode(const std::string& type, SEXP list) {
  auto message = inner_->make(inner_->type(type));
  from_list(*message, list);
  return message->SerializeAsString();
}

SEXP Schema::decode(const std::string& type, const std::string& bytes) {
  auto message = inner_->make(inner_->type(type));
  if (!message->ParseFromString(bytes)) throw Problem("INTERNAL", "the answer is not a " + type);
  return to_list(*message);
}

namespace {

SEXP number_vector(const FieldDescriptor* field, const Message& message) {
  const Reflection* r = message.GetReflection();
  int count = r->FieldSize(message, field);
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      auto numbers = r->GetRepeatedFieldRef<double>(message, field);
      Kept found(Rf_allocVector(REALSXP, count));
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
      Kept found(Rf_allocVector(INTSXP, count));
      for (int i = 0; i < count; i++) INTEGER(found)[i] = r->GetRepeatedInt32(message, field, i);
      return found;
    }
    case FieldDescriptor::CPPTYPE_BOOL: {
      Kept found(Rf_allocVector(LGLSXP, count));
      for (int i = 0; i < count; i++) LOGICAL(found)[i] = r->GetRepeatedBool(message, field, i);
      return found;
    }
    default: {
      Kept found(Rf_allocVector(REALSXP, count));
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

SEXP seconds_of(const Message& message) {
  const Descriptor* type = message.GetDescriptor();
  const Reflection* r = message.GetReflection();
  double seconds = static_cast<double>(r->GetInt64(message, type->FindFieldByName("seconds")));
  double nanos = r->GetInt32(message, type->FindFieldByName("nanos"));
  bool is_time = type->full_name() == kTimestamp;
  Kept found(Rf_ScalarReal(seconds + nanos / 1e9));
  Kept classes(make_texts(is_time ? std::vector<std::string>{"POSIXct", "POSIXt"} : std::vector<std::string>{"difftime"}));
  Rf_setAttrib(found, R_ClassSymbol, classes);
  Rf_setAttrib(found, Rf_install(is_time ? "tzone" : "units"), Kept(Rf_mkString(is_time ? "UTC" : "secs")));
  return found;
}

SEXP message_value(const Message& message) {
  const Descriptor* type = message.GetDescriptor();
  if (is_seconds(type)) return seconds_of(message);
  if (type->full_name() == kFieldMask) {
    const FieldDescriptor* paths = type->FindFieldByName("paths");
    int count = message.GetReflection()->FieldSize(message, paths);
    Kept found(Rf_allocVector(STRSXP, count));
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
  Kept found(Rf_allocVector(STRSXP, count));
  Kept names(Rf_allocVector(STRSXP, count));
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
    Kept found(Rf_allocVector(VECSXP, count));
    for (int i = 0; i < count; i++) {
      SET_VECTOR_ELT(found, i, message_value(r->GetRepeatedMessage(message, field, i)));
    }
    return found;
  }
  if (field->type() == FieldDescriptor::TYPE_BYTES) {
    Kept found(Rf_allocVector(VECSXP, count));
    for (int i = 0; i < count; i++) SET_VECTOR_ELT(found, i, make_raw(r->GetRepeatedString(message, field, i)));
    return found;
  }
  bool is_enum = field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM;
  if (is_enum || field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
    Kept found(Rf_allocVector(STRSXP, count));
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
      return make_text(enum_name(field, r->GetEnumValue(message, field)));
    case FieldDescriptor::CPPTYPE_STRING:
      if (field->type() == FieldDescriptor::TYPE_BYTES) return make_raw(r->GetString(message, field));
      return make_text(r->GetString(message, field));
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
  NamedList found(fields.size());
  for (const FieldDescriptor* field : fields) {
    found.add(field->name(), field->is_repeated() ? repeated_value(field, message) : single_value(field, message));
  }
  return found;
}

}  // namespace runwire
