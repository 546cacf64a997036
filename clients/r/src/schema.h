// The API's messages, known from their descriptors alone, and how R's lists become messages and back.
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/message.h>

#include <memory>
#include <string>

#include "r.h"

namespace runwire {

// A pool of its own: whatever other libraries of this process have loaded under the same names stays apart.
class Schema {
 public:
  // Takes a serialised FileDescriptorSet, whose files stand behind those that they import.
  explicit Schema(const std::string& set);

  // Both throw a Problem if there is no such thing.
  const google::protobuf::MethodDescriptor* method(const std::string& service, const std::string& name) const;
  const google::protobuf::Descriptor* message(const std::string& name) const;

  std::unique_ptr<google::protobuf::Message> make(const google::protobuf::Descriptor* type);

 private:
  google::protobuf::DescriptorPool pool_;
  google::protobuf::DynamicMessageFactory factory_;
};

// Fills a message from a named list. What is NULL stays unset; a name that is no field, and a value that does
// not fit its field, throw a Problem that names the place.
void from_list(google::protobuf::Message& message, SEXP list);

// Makes a named list of a message: all fields that have a value or always have one, in the order of their numbers.
// Absent messages and absent optional fields are left out.
SEXP to_list(const google::protobuf::Message& message);

}  // namespace runwire
