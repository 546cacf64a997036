# A program or library of lines of C, in a folder of its own.
compiled <- function(name, lines, ...) {
  folder <- tempfile("compiled")
  dir.create(folder)
  source <- file.path(folder, "source.c")
  writeLines(lines, source)
  compiler <- strsplit(system2(file.path(R.home("bin"), "R"), c("CMD", "config", "CC"), stdout = TRUE), " ")[[1]]
  made <- file.path(folder, name)
  processx::run(compiler[1], c(compiler[-1], "-o", made, source, ...))
  made
}

# Has the disk fail in scripts, through a library that is loaded in front of the system's. `arm(part)` has writes fail as on
# a full disk, in files whose paths have that part, until `disarm()`; `locks = FALSE` is a file system without locks;
# `$synced()` says which files were synced.
new_faults <- function(locks = TRUE) {
  library <- compiled("faults.so", c(
    "#define _GNU_SOURCE",
    "#include <dlfcn.h>",
    "#include <errno.h>",
    "#include <fcntl.h>",
    "#include <stdio.h>",
    "#include <stdlib.h>",
    "#include <string.h>",
    "#include <sys/types.h>",
    "#include <unistd.h>",
    "",
    "static void find_path(int file, char *path, size_t size) {",
    "  char link[64];",
    "  snprintf(link, sizeof link, \"/proc/self/fd/%d\", file);",
    "  ssize_t length = readlink(link, path, size - 1);",
    "  path[length < 0 ? 0 : length] = 0;",
    "}",
    "",
    "static int is_full(int file) {",
    "  char path[4096], part[256] = \"\";",
    "  FILE *found = fopen(getenv(\"FAULTS_FULL\"), \"r\");",
    "  if (found == NULL) return 0;",
    "  if (fgets(part, sizeof part, found) == NULL) part[0] = 0;",
    "  fclose(found);",
    "  part[strcspn(part, \"\\n\")] = 0;",
    "  find_path(file, path, sizeof path);",
    "  if (part[0] == 0 || strstr(path, part) == NULL) return 0;",
    "  errno = ENOSPC;",
    "  return 1;",
    "}",
    "",
    "ssize_t pwrite(int file, const void *data, size_t size, off_t at) {",
    "  ssize_t (*next)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, \"pwrite\");",
    "  return is_full(file) ? -1 : next(file, data, size, at);",
    "}",
    "",
    "ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) {",
    "  ssize_t (*next)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, \"pwrite64\");",
    "  return is_full(file) ? -1 : next(file, data, size, at);",
    "}",
    "",
    "int flock(int file, int operation) {",
    "  int (*next)(int, int) = dlsym(RTLD_NEXT, \"flock\");",
    "  if (strcmp(getenv(\"FAULTS_LOCKS\"), \"no\") != 0) return next(file, operation);",
    "  errno = ENOLCK;",
    "  return -1;",
    "}",
    "",
    "int fsync(int file) {",
    "  int (*next)(int) = dlsym(RTLD_NEXT, \"fsync\");",
    "  char path[4096];",
    "  FILE *log = fopen(getenv(\"FAULTS_SYNCED\"), \"a\");",
    "  find_path(file, path, sizeof path);",
    "  fprintf(log, \"%s\\n\", path);",
    "  fclose(log);",
    "  return next(file);",
    "}"
  ), "-shared", "-fPIC", "-ldl")
  folder <- dirname(library)
  self <- new.env()
  full <- file.path(folder, "full")
  log <- file.path(folder, "synced")
  self$environment <- c(
    LD_PRELOAD = library, FAULTS_FULL = full, FAULTS_SYNCED = log, FAULTS_LOCKS = if (locks) "yes" else "no"
  )
  self$arm <- function(part) {
    writeLines(part, paste0(full, ".new"))
    file.rename(paste0(full, ".new"), full)
  }
  self$disarm <- function() unlink(full)
  self$synced <- function() unique(readLines(log))
  self
}
