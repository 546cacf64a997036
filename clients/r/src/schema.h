// The API's messages, known from their descriptors alone: how R's lists become bytes and back. Nothing of protobuf
// shows here, for its headers are large.
#pragma once

#include <memory>
#include <string>

#include "r.h"

namespace runwire {

// A method of the API, with the full names of its messages.
struct Method {
  std::string path, request, response;
};

// A pool of its own: whatever other libraries of this process have loaded under the same names stays apart.
class Schema {
 public:
  // Takes a serialised FileDescriptorSet, whose files stand behind those that they import.
  explicit Schema(const std::string& set);
  ~Schema();

  // These throw a Problem if there is no such thing.
  Method method(const std::string& service, const std::string& name) const;
  // The full name of a message.
  std::string message(const std::string& name) const;

  // Serialises a message given as a named list. What is NULL stays unset; a name that is no field, and a value that
  // does not fit its field, throw a Problem that names the place.
  std::string encode(const std::string& type, SEXP list);
  // Makes a named list of a serialised message: all fields that have a value or always have one, in the order of their
  // numbers. Absent messages and absent optional fields are left out.
  SEXP decode(const std::string& type, const std::string& bytes);

 private:
  struct Inner;
  std::unique_ptr<Inner> inner_;
};

}  // namespace runwire
