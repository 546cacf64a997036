package dev.runwire.examples

import java.nio.file.Files
import java.nio.file.Path
import java.security.MessageDigest

import scala.jdk.CollectionConverters._

import dev.runwire.scaladsl.Dataset

/** A table of numbers with a column to predict, each feature scaled to mean 0 and deviation 1.
  *
  * @param features
  *   the names of the features
  * @param rows
  *   the features of each row
  * @param target
  *   what to predict, for each row
  * @param dataset
  *   what to log about where it comes from
  */
final case class Table(
    features: Seq[String],
    rows: Array[Array[Double]],
    target: Array[Double],
    dataset: Dataset
)

/** Reads tables. */
object Table {

  /** Reads a file of comma-separated values with a header. The columns that are not numbers are left out. */
  def read(path: Path, target: String): Table = {
    val lines = Files
      .readAllLines(path)
      .asScala
      .toList
      .map(_.split(',').map(_.trim.stripPrefix("\"").stripSuffix("\"")))
    val columns = lines.head.zip(lines.tail.transpose(_.toSeq)).toMap
    val numbers = columns.collect {
      case (name, values) if values.forall(_.toDoubleOption.isDefined) =>
        name -> values.map(_.toDouble).toArray
    }
    val features = lines.head.toSeq.filter(name => name != target && numbers.contains(name))
    val rows = features.map(name => scaled(numbers(name))).toArray.transpose
    Table(features, rows, numbers(target), describe(path, features :+ target))
  }

  private def scaled(column: Array[Double]): Array[Double] = {
    val mean = column.sum / column.length
    val deviation = math.sqrt(column.map(x => (x - mean) * (x - mean)).sum / column.length)
    column.map(x => if (deviation == 0) 0.0 else (x - mean) / deviation)
  }

  private def describe(path: Path, columns: Seq[String]): Dataset = {
    val digest = MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(path))
    Dataset(
      name = path.getFileName.toString.stripSuffix(".csv"),
      digest = digest.take(8).map(byte => f"$byte%02x").mkString,
      sourceType = "file",
      source = path.toString,
      schema = columns.map(name => s""""$name": "double"""").mkString("{", ", ", "}")
    )
  }
}
