package dev.runwire.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

class RingTest {
  @Test
  void everyItemComesOutOnceInTheOrderOfItsThread() throws InterruptedException {
    Ring ring = new Ring();
    int threads = 4;
    int each = 300_000;
    List<Thread> adding = new ArrayList<>();
    for (int t = 0; t < threads; t++) {
      Integer item = t;
      Thread thread =
          new Thread(
              () -> {
                for (int i = 0; i < each; i++) {
                  while (ring.size() > 100_000) {
                    Thread.onSpinWait();
                  }
                  ring.add(item, i * 2.0, i, item);
                }
              });
      thread.start();
      adding.add(thread);
    }
    long[] next = new long[threads];
    long[] taken = new long[1];
    while (taken[0] < (long) threads * each) {
      ring.drain(
          (item, value, step, time) -> {
            int t = (Integer) item;
            assertEquals(next[t]++, step);
            assertEquals(step * 2.0, value);
            assertEquals(t, time);
            taken[0]++;
            return true;
          });
    }
    for (Thread thread : adding) {
      thread.join();
    }
    assertEquals(true, ring.isEmpty());
  }

  @Test
  void whoTakesMayStopBehindAnItemAndGoOnLater() {
    Ring ring = new Ring();
    for (int i = 0; i < 3; i++) {
      ring.add(i, 0, i, 0);
    }
    List<Object> taken = new ArrayList<>();
    ring.drain((item, value, step, time) -> taken.add(item) && step != 1);
    assertEquals(List.of(0, 1), taken);
    assertEquals(1, ring.size());
    ring.drain((item, value, step, time) -> taken.add(item));
    assertEquals(List.of(0, 1, 2), taken);
    assertEquals(true, ring.isEmpty());
  }

  @Test
  void whatIsAddedBesideACloseIsTakenOutOrRefused() throws InterruptedException {
    for (int round = 0; round < 50; round++) {
      Ring ring = new Ring();
      AtomicLong added = new AtomicLong();
      List<Thread> threads = new ArrayList<>();
      CountDownLatch begun = new CountDownLatch(2);
      for (int t = 0; t < 2; t++) {
        threads.add(new Thread(() -> addUntilClosed(ring, added, begun)));
      }
      threads.add(new Thread(() -> ring.close("last")));
      threads.get(0).start();
      threads.get(1).start();
      begun.await();
      threads.get(2).start();
      List<Object> taken = new ArrayList<>();
      while (!taken.contains("last")) {
        taken.clear();
        ring.drain(
            (item, value, step, time) -> {
              taken.add(item);
              added.decrementAndGet();
              return true;
            });
      }
      for (Thread thread : threads) {
        thread.join();
      }
      assertEquals("last", taken.get(taken.size() - 1));
      assertEquals(-1, added.get());
      assertEquals(true, ring.isEmpty());
    }
  }

  private static void addUntilClosed(Ring ring, AtomicLong added, CountDownLatch begun) {
    assertThrows(
        IllegalStateException.class,
        () -> {
          while (true) {
            ring.add("item", 0, 0, 0);
            added.incrementAndGet();
            begun.countDown();
          }
        });
  }
}
