library(testthat)
library(runwire)

test_check("runwire")
