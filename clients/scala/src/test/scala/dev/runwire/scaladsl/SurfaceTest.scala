package dev.runwire.scaladsl

import java.lang.reflect.Method
import java.lang.reflect.Modifier

class SurfaceTest extends munit.FunSuite {
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
}
