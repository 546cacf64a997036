package dev.runwire.scaladsl

import java.lang.reflect.Method
import java.lang.reflect.Modifier

import scala.concurrent.duration._

class SurfaceTest extends munit.FunSuite {
  override def munitTimeout: Duration = 600.seconds

  private val facade: Seq[Class[_]] = Seq(
    Runwire.getClass,
    classOf[Client],
    classOf[AsyncClient],
    classOf[ActiveRun],
    classOf[RunLogger],
    classOf[ReplayLogger],
    classOf[MetricWatch],
    classOf[MetricEvent],
    classOf[NewPoints],
    classOf[MetricHistory],
    classOf[MetricCurve],
    classOf[Run],
    classOf[Experiment],
    classOf[Page[_]],
    classOf[ServerInfo],
    classOf[StorageStats]
  )

  private def shown(found: Class[_]): Seq[Method] =
    found.getDeclaredMethods.toSeq.filter(method =>
      Modifier.isPublic(method.getModifiers) && !method.isSynthetic
    )

  test("no collection, optional or future of Java is in sight") {
    for (one <- facade; method <- shown(one)) {
      val types = (method.getGenericReturnType +: method.getGenericParameterTypes.toSeq).map(_.getTypeName)
      assert(!types.exists(_.contains("java.util.")), s"$method")
    }
  }

  test("no type of protobuf or gRPC is in sight") {
    for (one <- facade; method <- shown(one)) {
      val types = (method.getReturnType +: method.getParameterTypes.toSeq).map(_.getName)
      assert(!types.exists(name => name.startsWith("io.grpc") || name.startsWith("com.google")), s"$method")
    }
  }

  test("what the client does, the client of futures does too") {
    // Inherited ones too: Scala 3 leaves the methods of traits there.
    def names(found: Class[_]): Set[String] =
      found.getMethods.map(_.getName).filterNot(_.contains("$")).toSet
    val withoutACall = Set("address", "mode", "withTimeout", "async")
    val loans = Set("run", "runAsync", "replay", "replayAttempt")
    val pieceByPiece = Set("experiments", "runs", "watchMetrics")
    // Private to the package in Scala, public in its bytecode.
    val inner = Set("underlying", "beginRun", "endRun", "keepAlive")
    assertEquals(
      names(classOf[Client]) -- names(classOf[AsyncClient]),
      withoutACall ++ loans ++ pieceByPiece ++ inner
    )
  }
}
