# Fits a table of cars with lm and glm, and logs how well they do.
#
#     RUNWIRE_TRACKING_URI=runwire://127.0.0.1:50051 clients/examples/r/run
library(runwire)

here <- dirname(normalizePath(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))))
path <- file.path(here, "..", "data", "mtcars.csv")
cars <- read.csv(path, row.names = "model")
dataset <- runwire_dataset_from_data_frame(cars, "mtcars", source = normalizePath(path))

formulas <- c("mpg ~ wt", "mpg ~ wt + hp", "mpg ~ wt * hp", "mpg ~ .")

r2 <- function(observed, fitted) 1 - sum((observed - fitted)^2) / sum((observed - mean(observed))^2)

# The error of a linear model as cars are added, in the order of the table: a point for each size of the sample.
learning_curve <- function(formula, sizes) {
  vapply(sizes, function(size) {
    fit <- lm(formula, data = cars[seq_len(size), ])
    # Small samples leave coefficients open, and R says so.
    mean((cars$mpg - suppressWarnings(predict(fit, cars)))^2)
  }, 0)
}

fit_linear <- function(text) {
  formula <- as.formula(text)
  runwire_log_params(list(model = "lm", formula = text))
  runwire_log_input(dataset, "training")
  sizes <- 14:nrow(cars)
  runwire_log_series("mse", learning_curve(formula, sizes), steps = sizes)
  fit <- lm(formula, data = cars)
  runwire_log_metrics(c(r2 = summary(fit)$r.squared, aic = AIC(fit)))
  print(anova(fit))
}

fit_gamma <- function() {
  fit <- glm(mpg ~ wt + hp, data = cars, family = Gamma(link = "log"))
  runwire_log_params(list(model = "glm", family = "Gamma", link = "log", iterations = fit$iter))
  runwire_log_input(dataset, "training")
  runwire_log_metric("mse", mean((cars$mpg - fitted(fit))^2))
  runwire_log_metrics(c(r2 = r2(cars$mpg, fitted(fit)), deviance = deviance(fit)))
}

# A model of classes beside it, of the data that come with R.
fit_iris <- function() {
  fit <- glm(Species == "virginica" ~ Sepal.Length + Sepal.Width, data = iris, family = binomial)
  hits <- mean((fitted(fit) > 0.5) == (iris$Species == "virginica"))
  runwire_log_params(list(model = "glm", family = "binomial"))
  runwire_log_input(runwire_dataset_from_data_frame(iris, "iris"), "training")
  runwire_log_metrics(c(accuracy = hits, deviance = deviance(fit)))
}

tags <- c(language = "r")
runwire_set_experiment("cars")
runwire_with_run(run_name = "r-formulas", tags = tags, {
  for (text in formulas) {
    runwire_with_run(run_name = text, nested = TRUE, tags = tags, fit_linear(text))
  }
  runwire_with_run(run_name = "gamma", nested = TRUE, tags = tags, fit_gamma())
})
runwire_set_experiment("iris")
runwire_with_run(run_name = "virginica", tags = tags, fit_iris())

found <- runwire_search_runs(
  experiment_names = "cars", filter = "tags.language = 'r' AND metrics.r2 IS NOT NULL", order_by = "metrics.r2 DESC"
)
print(found[c("run_name", "metrics.r2", "metrics.mse")])
