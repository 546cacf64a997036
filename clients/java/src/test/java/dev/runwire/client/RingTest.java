package dev.runwire.client;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
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
          });
    }
    for (Thread thread : adding) {
      thread.join();
    }
    assertEquals(true, ring.isEmpty());
  }
}
