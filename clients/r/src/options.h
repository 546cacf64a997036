// The way to a server, as R says it.
#pragma once

#include "delivery.h"
#include "r.h"

namespace runwire {

DeliveryOptions delivery_options(SEXP given);

}  // namespace runwire
