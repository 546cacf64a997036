#include "schema.h"

#include <google/protobuf/descriptor.pb.h>

namespace runwire {

using google::protobuf::Descriptor;
using google::protobuf::FileDescriptorSet;
using google::protobuf::Message;
using google::protobuf::MethodDescriptor;

Schema::Schema(const std::string& set) : factory_(&pool_) {
  FileDescriptorSet files;
  if (!files.ParseFromString(set)) throw Problem("state", "the description of the API is damaged");
  for (const auto& file : files.file()) {
    if (pool_.BuildFile(file) == nullptr) {
      throw Problem("state", "the description of the API is damaged at " + file.name());
    }
  }
}

const MethodDescriptor* Schema::method(const std::string& service, const std::string& name) const {
  const auto* found = pool_.FindMethodByName("runwire.v1." + service + "." + name);
  if (found == nullptr) throw Problem("value", "there is no method " + service + "." + name);
  return found;
}

const Descriptor* Schema::message(const std::string& name) const {
  const auto* found = pool_.FindMessageTypeByName("runwire.v1." + name);
  if (found == nullptr) throw Problem("value", "there is no message " + name);
  return found;
}

std::unique_ptr<Message> Schema::make(const Descriptor* type) {
  return std::unique_ptr<Message>(factory_.GetPrototype(type)->New());
}

}  // namespace runwire
