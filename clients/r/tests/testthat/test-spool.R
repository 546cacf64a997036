# What a spool is worth where disks lose something, or folders hold other things.

# Logs a series a time, so that each is a segment of its own; `size` points each.
spooled <- function(root, address = NULL, count = 6, size = 800) {
  client <- runwire_connect(address, mode = "offline", spool_dir = root, spool_bytes = 400000)
  run_id <- runwire_begin_run("0", client = client)
  for (i in seq_len(count)) {
    runwire_log_series("m", stats::runif(size), steps = (i - 1) * size + seq_len(size), run_id = run_id, client = client)
    runwire_flush(client = client)
  }
  runwire_close(client)
  run_id
}

segments_of <- function(root) Sys.glob(file.path(root, "*", "*.segment"))

# The last bytes of a file did not reach the disk.
cut_off <- function(path, bytes) writeBin(utils::head(readBin(path, "raw", file.size(path)), -bytes), path)

test_that("what stands behind a damaged place is kept, told and delivered by a new writer", {
  reader <- shared_client()
  spool <- tempfile("spool")
  run_id <- spooled(spool)
  files <- segments_of(spool)
  expect_gt(length(files), 3)
  cut_off(files[2], 500)
  outcome <- runwire_sync(spool, address = shared_address())
  expect_gt(outcome$left, 0)
  expect_match(outcome$problem, "behind a damaged place.*as_new_writer")
  expect_true(all(file.exists(files[-(1:2)])))
  # Nor does another client that starts take them for nothing.
  other <- new_script(c(
    "client <- runwire_connect()",
    "runwire_flush(client = client)",
    "run_id <- runwire_begin_run('0', client = client)",
    "runwire_flush(client = client)",
    "runwire_close(client)"
  ), RUNWIRE_TRACKING_URI = shared_address(), spool = spool)
  expect_identical(other$end(), 0L)
  expect_true(other$says("1 spool holds what earlier processes did not deliver"))
  expect_true(all(file.exists(files[-(1:2)])))
  outcome <- runwire_sync(spool, address = shared_address(), as_new_writer = TRUE)
  expect_identical(outcome$problem, "")
  expect_identical(outcome$left, 0)
  expect_length(list.files(spool), 0)
  steps <- runwire_get_metric_history(run_id, "m", client = reader)$step
  # The series whose end was cut off is lost, the others are whole.
  expect_true(all(c(1:800, 1601:4800) %in% steps))
  runwire_close(reader)
})

test_that("only what a spool has put there is removed", {
  root <- tempfile("root")
  foreign <- file.path(root, "foreign")
  shared_name <- file.path(root, "0198c5d2e0f57a3b8f1e2d3c4b5a6978")
  for (folder in c(foreign, shared_name)) {
    dir.create(folder, recursive = TRUE)
    writeLines("mine", file.path(folder, "notes.txt"))
  }
  writeLines("mine", file.path(foreign, "lock"))
  reader <- shared_client()
  expect_identical(runwire_sync(root, address = shared_address())$folder, shared_name)
  client <- runwire_connect(shared_address(), spool_dir = root)
  runwire_begin_run("0", client = client)
  runwire_close(client)
  expect_identical(sort(list.files(root, recursive = TRUE)), c(
    "0198c5d2e0f57a3b8f1e2d3c4b5a6978/notes.txt", "foreign/lock", "foreign/notes.txt"
  ))
  expect_identical(nrow(runwire_sync(foreign, address = shared_address())), 0L)
  expect_identical(sort(list.files(foreign)), c("lock", "notes.txt"))
  runwire_close(reader)
})

test_that("a sync reaches all segments", {
  faults <- new_faults()
  spool <- tempfile("spool")
  script <- new_script(c(
    "client <- runwire_connect(mode = 'offline', spool_bytes = 400000)",
    "run_id <- runwire_begin_run('0', client = client)",
    "written <- function() sum(file.size(Sys.glob(file.path(Sys.getenv('RUNWIRE_SPOOL_DIR'), '*', '*.segment'))))",
    "for (i in 1:6) {",
    "  before <- written()",
    "  runwire_log_series('m', runif(800), run_id = run_id, client = client)",
    "  while (written() < before + 6400) Sys.sleep(0.01)",
    "}",
    "runwire_flush(client = client)"
  ), faults$environment, spool = spool)
  expect_identical(script$end(), 0L)
  files <- normalizePath(segments_of(spool))
  expect_gt(length(files), 3)
  expect_true(all(files %in% faults$synced()))
  before <- length(faults$synced())
  # A new writer's copy is on the disk as a whole before the original goes.
  script <- new_script(c(
    "root <- Sys.getenv('RUNWIRE_SPOOL_DIR')",
    "folder <- file.path(root, list.files(root))",
    "made <- runwire:::checked(runwire:::spool_open(folder, TRUE))",
    "cat('made', made$folder, '\\n')"
  ), faults$environment, spool = spool)
  expect_identical(script$end(), 0L)
  expect_length(list.files(spool), 1)
  copied <- normalizePath(segments_of(spool))
  synced <- basename(utils::tail(faults$synced(), -before))
  expect_true(all(basename(copied) %in% synced))
})

test_that("a file system without locks is told, and no end of the process", {
  faults <- new_faults(locks = FALSE)
  script <- new_script(c(
    "client <- runwire_connect(mode = 'offline', shutdown_timeout = 120)",
    "run_id <- runwire_begin_run('0', client = client)",
    "found <- tryCatch(runwire_flush(timeout = 120, client = client), error = conditionMessage)",
    "cat('found', found, '\\n')"
  ), faults$environment)
  expect_identical(script$end(), 0L)
  expect_true(script$says("can not be written: .*/lock: No locks available"))
  expect_true(script$says("found the spool in .* can not be written: .* What was logged last is in memory only"))
})

test_that("a client whose disk was full for a while takes more afterwards", {
  faults <- new_faults()
  script <- new_script(c(
    "client <- runwire_connect(mode = 'offline', shutdown_timeout = 1)",
    "run_id <- runwire_begin_run('0', client = client)",
    "runwire_flush(client = client)",
    "full <- Sys.getenv('FAULTS_FULL')",
    "writeLines('.segment', full)",
    "log_one <- function() tryCatch({",
    "  runwire_log_metric('m', 1, run_id = run_id, client = client)",
    "  'taken'",
    "}, error = function(e) class(e)[1])",
    "while ((found <- log_one()) == 'taken') Sys.sleep(0.02)",
    "cat('full', found, '\\n')",
    "unlink(full)",
    "while (log_one() != 'taken') Sys.sleep(0.02)",
    "cat('second', unique(replicate(30, log_one())), '\\n')",
    "runwire_flush(timeout = 120, client = client)",
    "writeLines('.segment', full)",
    "while (log_one() == 'taken') Sys.sleep(0.02)",
    "unlink(full)",
    # It is tried before it is told to be full.
    "runwire_flush(client = client)",
    "cat('done\\n')"
  ), faults$environment)
  expect_identical(script$end(), 0L)
  expect_identical(trimws(script$told("full")), "runwire_resource_exhausted")
  expect_identical(trimws(script$told("second")), "taken")
  expect_true(script$says("done"))
})

test_that("offline, a spool that takes nothing more is told at once, with what waits there", {
  started <- proc.time()[["elapsed"]]
  full <- runwire_connect(mode = "offline", spool_dir = tempfile("spool"), spool_bytes = 1e5, timeout = 300)
  run_id <- runwire_begin_run("0", client = full)
  log_one <- function() runwire_log_series("m", stats::runif(1000), run_id = run_id, client = full)
  expect_error(repeat log_one(), class = "runwire_resource_exhausted")
  what <- paste0(
    "is full: .*[.] [0-9]+ frames? waits? in .*; `runwire sync .*` delivers (it|them) later[.] ",
    "What was logged last is in memory only$"
  )
  expect_error(runwire_flush(client = full), what, class = "runwire_resource_exhausted")
  error <- expect_error(runwire_close(full), what, class = "runwire_resource_exhausted")
  expect_named(error$metadata, "spool")
  file <- tempfile("file")
  writeLines("no folder", file)
  unwritable <- runwire_connect(mode = "offline", spool_dir = file.path(file, "spool"), timeout = 300)
  runwire_begin_run("0", client = unwritable)
  for (end in list(function() runwire_flush(client = unwritable), function() runwire_close(unwritable))) {
    error <- expect_error(end(), "^the spool in .* can not be written: ", class = "runwire_resource_exhausted")
    expect_match(conditionMessage(error), "[.] What was logged last is in memory only$")
    expect_no_match(conditionMessage(error), "wait")
  }
  # Each of the four could have waited for 300 s.
  expect_lt(proc.time()[["elapsed"]] - started, 120)
})

test_that("a spool that can not be written is named when the time for the delivery is over", {
  file <- tempfile("file")
  writeLines("no folder", file)
  client <- runwire_connect(shared_address(), spool_dir = file.path(file, "spool"))
  runwire_begin_run("0", client = client)
  # A slow machine may take longer than a flush waits to find that out.
  flush <- function() tryCatch(runwire_flush(0.5, client), error = conditionMessage)
  wait_until(grepl("can not be written", flush()))
  expect_error(
    runwire_flush(0.5, client),
    "delivered to [^ ]+ within [0-9.]+ s[.] What was logged last is in memory only: the spool in .* can not be written",
    class = "runwire_deadline_exceeded"
  )
  expect_error(runwire_close(client, 0.1), class = "runwire_deadline_exceeded")
})

test_that("a rejection that the disk does not take is raised, and holds nothing up", {
  faults <- new_faults()
  client <- shared_client()
  script <- new_script(c(
    "client <- runwire_connect()",
    "run_id <- runwire_begin_run('0', params = list(p = 1), client = client)",
    "runwire_flush(client = client)",
    "writeLines('rejections', Sys.getenv('FAULTS_FULL'))",
    "runwire_log_param('p', 2, run_id = run_id, client = client)",
    "runwire_log_metric('m', 7, run_id = run_id, client = client)",
    "found <- tryCatch(runwire_flush(timeout = 120, client = client), error = function(e) class(e)[1])",
    "cat('found', found, '\\n')",
    "cat('metric', runwire_get_run(run_id, client = client)$metrics, '\\n')"
  ), RUNWIRE_TRACKING_URI = shared_address(), faults$environment)
  expect_identical(script$end(), 0L)
  expect_identical(trimws(script$told("found")), "runwire_param_immutable")
  expect_true(script$says("metric 7"))
  runwire_close(client)
})

test_that("one stream can declare all groups that a client makes", {
  client <- shared_client()
  run_id <- runwire_begin_run("0", client = client)
  for (pass in 1:2) {
    for (i in 1:600) {
      keys <- paste0(i, "/", 1:10)
      runwire_log_metrics(stats::setNames(1:10, keys), step = pass, run_id = run_id, client = client)
      block <- runwire_metric_block(paste0("batch/", keys), matrix(1:10, nrow = 1), steps = pass)
      runwire_log_batch(block, run_id = run_id, client = client)
    }
    runwire_flush(client = client)
  }
  expect_length(runwire_get_run(run_id, client = client)$metrics, 12000)
  runwire_close(client)
})

test_that("a set of keys whose last piece is too small for a group is named by groups all the same", {
  spool <- tempfile("spool")
  client <- runwire_connect(mode = "offline", spool_dir = spool)
  run_id <- runwire_begin_run("0", client = client)
  # As many declarations of these keys as it takes would use up what a client may declare.
  row <- stats::setNames(runif(10005), paste0(strrep("k", 90), 1:10005))
  for (step in 1:25) {
    runwire_log_metrics(row, step = step, run_id = run_id, client = client)
    runwire_flush(client = client)
  }
  # 80 KB of values each, and the keys once in each segment.
  expect_lt(sum(file.size(segments_of(spool))), 5e6)
  runwire_close(client)
})

test_that("looking for what earlier processes left takes no lock of this process away", {
  # All that the JVM knows: a record lock.
  program <- compiled("taken", c(
    "#include <fcntl.h>",
    "#include <unistd.h>",
    "int main(int count, char **given) {",
    "  struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};",
    "  return fcntl(open(given[1], O_RDWR), F_SETLK, &whole) == 0;",
    "}"
  ))
  spool <- tempfile("spool")
  clients <- lapply(1:2, function(i) runwire_connect(shared_address(), spool_dir = spool))
  for (client in clients) {
    # A client looks behind the first batch that it folds; the second one is folded after that.
    for (i in 1:2) {
      runwire_begin_run("0", client = client)
      runwire_flush(client = client)
    }
  }
  expect_match(runwire_sync(spool, address = shared_address())$problem, "is in use by process")
  for (path in Sys.glob(file.path(spool, "*", "lock"))) {
    expect_identical(processx::run(program, path, error_on_status = FALSE)$status, 0L)
  }
  for (client in clients) runwire_close(client)
})
