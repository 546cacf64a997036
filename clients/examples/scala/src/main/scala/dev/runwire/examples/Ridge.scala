package dev.runwire.examples

/** A linear model with a penalty on large weights, fitted by gradient descent.
  *
  * @param rate
  *   how far a step goes
  * @param penalty
  *   how much large weights cost
  */
final case class Ridge(rate: Double, penalty: Double) {

  /** Fits the model to some rows.
    *
    * @param rows
    *   the features of each row
    * @param target
    *   what to predict
    * @param epochs
    *   how many steps to take
    * @param watch
    *   is told the mean squared error of each step
    * @return
    *   the weights, the intercept last
    */
  def fit(rows: Array[Array[Double]], target: Array[Double], epochs: Int)(
      watch: (Int, Double) => Unit
  ): Array[Double] = {
    val weights = new Array[Double](rows.head.length + 1)
    for (epoch <- 0 until epochs) {
      val errors = rows.indices.map(i => Ridge.predict(weights, rows(i)) - target(i)).toArray
      for (j <- weights.indices) {
        val slope = rows.indices.map(i => errors(i) * (if (j < rows(i).length) rows(i)(j) else 1.0)).sum
        val pull = if (j < weights.length - 1) penalty * weights(j) else 0.0
        weights(j) -= rate * (2 * slope / rows.length + pull)
      }
      watch(epoch, errors.map(error => error * error).sum / errors.length)
    }
    weights
  }
}

/** What fitted models do. */
object Ridge {

  /** Predicts the target of one row. */
  def predict(weights: Array[Double], row: Array[Double]): Double =
    row.indices.map(j => weights(j) * row(j)).sum + weights.last

  /** Tells what share of the target's variance the model explains. */
  def r2(weights: Array[Double], rows: Array[Array[Double]], target: Array[Double]): Double = {
    val mean = target.sum / target.length
    val left = rows.indices.map(i => math.pow(target(i) - predict(weights, rows(i)), 2)).sum
    1 - left / target.map(y => math.pow(y - mean, 2)).sum
  }
}
