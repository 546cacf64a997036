package dev.runwire.examples.spark

import scala.util.Random

import org.apache.spark.sql.SparkSession

/** How sure is the slope of a regression? Each task draws samples of a table, with replacement, and fits a
  * line to each by gradient descent; its steps are metrics of the job's one run.
  *
  * The address of the server is RUNWIRE_TRACKING_URI. Arguments: the table, the column to predict, and the
  * column to predict it from.
  */
object Bootstrap {
  private val Tasks = 8
  private val Epochs = 2000

  def main(arguments: Array[String]): Unit = {
    val Array(path, target, feature) = arguments
    val spark = SparkSession.builder().appName("bootstrap").getOrCreate()
    val client = TaskRun.connect()
    try
      client.run("spark-bootstrap", experiment = "cars", tags = Map("language" -> "spark")) { run =>
        run.logParams(Map("model" -> "line", "target" -> target, "feature" -> feature, "tasks" -> Tasks))
        val points = read(spark, path, target, feature)
        val slopes = fitAll(spark, TaskRun.of(client, run, spark.sparkContext), points)
        val mean = slopes.sum / slopes.length
        val deviation = math.sqrt(slopes.map(slope => math.pow(slope - mean, 2)).sum / (slopes.length - 1))
        run.logMetrics(Map("slope" -> mean, "slope_deviation" -> deviation, "r2" -> r2(points)))
        println(
          f"$target falls by ${-mean}%.3f for each $feature (standard error $deviation%.3f), run ${run.runId}"
        )
      }
    finally {
      client.close()
      spark.stop()
    }
  }

  private def read(
      spark: SparkSession,
      path: String,
      target: String,
      feature: String
  ): Array[(Double, Double)] =
    spark.read
      .options(Map("header" -> "true", "inferSchema" -> "true"))
      .csv(path)
      .selectExpr(s"CAST(`$feature` AS DOUBLE)", s"CAST(`$target` AS DOUBLE)")
      .collect()
      .map(row => (row.getDouble(0), row.getDouble(1)))

  private def fitAll(spark: SparkSession, run: TaskRun, points: Array[(Double, Double)]): Array[Double] =
    spark.sparkContext
      .parallelize(0 until Tasks, Tasks)
      .map { task =>
        // The same draws in each attempt, and so the same records.
        val chance = new Random(task)
        val sample = Array.fill(points.length)(points(chance.nextInt(points.length)))
        run.log { log =>
          fit(sample)((epoch, error) => log.logMetric(s"task-$task/mse", error, epoch))
        }
      }
      .collect()

  /** Fits a line by gradient descent, and returns its slope. */
  private def fit(points: Array[(Double, Double)])(watch: (Int, Double) => Unit): Double = {
    val mean = points.map(_._1).sum / points.length
    val scale = math.sqrt(points.map { case (x, _) => math.pow(x - mean, 2) }.sum / points.length)
    var (slope, height) = (0.0, 0.0)
    for (epoch <- 0 until Epochs) {
      val errors = points.map { case (x, y) => ((x - mean) / scale, slope * (x - mean) / scale + height - y) }
      slope -= 0.01 * errors.map { case (x, error) => x * error }.sum / points.length
      height -= 0.01 * errors.map(_._2).sum / points.length
      watch(epoch, errors.map { case (_, error) => error * error }.sum / points.length)
    }
    slope / scale
  }

  /** The share of the target's variance that a line explains. */
  private def r2(points: Array[(Double, Double)]): Double = {
    val (mx, my) = (points.map(_._1).sum / points.length, points.map(_._2).sum / points.length)
    val xy = points.map { case (x, y) => (x - mx) * (y - my) }.sum
    val (xx, yy) = (points.map(p => math.pow(p._1 - mx, 2)).sum, points.map(p => math.pow(p._2 - my, 2)).sum)
    xy * xy / (xx * yy)
  }
}
