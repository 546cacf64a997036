package dev.runwire.examples

import java.nio.file.Path
import java.nio.file.Paths

import scala.concurrent.Await
import scala.concurrent.duration._
import scala.concurrent.ExecutionContext.Implicits.global
import scala.concurrent.Future

import dev.runwire.scaladsl._

/** Looks for the best linear model of a table: a grid of settings, all tried at once, each in a run of its
  * own.
  *
  * The address of the server is RUNWIRE_TRACKING_URI. Arguments: the table, and the column to predict.
  */
object GridSearch {
  private val Experiment = "cars"
  private val Epochs = 400

  def main(arguments: Array[String]): Unit = {
    val path = Paths.get(arguments(0))
    val target = arguments(1)
    val client = Runwire.connect()
    try search(client, Table.read(path, target), path)
    finally client.close()
  }

  private def search(client: Client, table: Table, path: Path): Unit = {
    val parent = client.run("scala-grid", experiment = Experiment, tags = Map("language" -> "scala")) {
      grid =>
        grid.logParams(Map("model" -> "ridge", "data" -> path.getFileName, "epochs" -> Epochs))
        val runs =
          for (rate <- Seq(0.003, 0.01, 0.03, 0.1); penalty <- Seq(0.0, 0.1, 1.0))
            yield attempt(client, grid.runId, table, Ridge(rate, penalty))
        val scores = Await.result(Future.sequence(runs), 5.minutes)
        grid.logMetric("best_r2", scores.max)
        grid.runId
    }
    report(client, parent)
  }

  /** Fits one model in a run that is a part of the grid's. */
  private def attempt(client: Client, grid: String, table: Table, model: Ridge): Future[Double] =
    client.runAsync(
      s"rate ${model.rate}, penalty ${model.penalty}",
      experiment = Experiment,
      parentRunId = grid,
      params = Map("model" -> "ridge", "rate" -> model.rate, "penalty" -> model.penalty),
      tags = Map("language" -> "scala")
    ) { run =>
      Future {
        val weights = model.fit(table.rows, table.target, Epochs) { (epoch, error) =>
          run.logMetric("mse", error, epoch)
        }
        run.logInput(table.dataset, context = "training")
        val score = Ridge.r2(weights, table.rows, table.target)
        run.logMetrics(Map("r2" -> score))
        score
      }
    }

  private def report(client: Client, grid: String): Unit = {
    val parent = client.getRun(grid, fields = Seq("experiment_id"))
    val best = client.searchRuns(
      Seq(parent.experimentId),
      filter = s"parent_run_id = '$grid' AND metrics.r2 > 0",
      orderBy = Seq("metrics.r2 DESC"),
      pageSize = 5
    )
    println(s"the best of the grid ${grid.takeRight(8)}:")
    for (run <- best.items) {
      val (r2, mse) = (run.metrics("r2").value, run.metrics("mse"))
      println(f"  r2 $r2%.4f  mse ${mse.first}%.1f -> ${mse.value}%.3f in ${mse.count} steps  ${run.name}")
    }
  }
}
